#ifndef BARISTA_STORAGE_META_ROWS_H_
#define BARISTA_STORAGE_META_ROWS_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/store.h"

// The values of the family `meta`, little-endian.
namespace barista::storage {

inline constexpr size_t kStoreIdBytes = 16;
inline constexpr size_t kSecretBytes = 16;

// {u8 version = 1, store id 16 B, secret 16 B}: made with the store, never changed.
struct IdentityRow {
  std::string store_id;
  std::string secret;
};
std::string EncodeIdentity(const IdentityRow& row);
absl::StatusOr<IdentityRow> DecodeIdentity(absl::string_view bytes);

// {u8 version = 1, u64 x 6 in the order of QueueCounters}.
inline constexpr size_t kCountersBytes = 49;
std::array<char, kCountersBytes> EncodeCounters(const QueueCounters& counters);
absl::StatusOr<QueueCounters> DecodeCounters(absl::string_view bytes);

// {u8 version = 1, the definition}: what is in it is the engine's.
inline constexpr char kDefinitionVersion = 1;
absl::StatusOr<absl::string_view> DecodeDefinition(absl::string_view bytes);

// {u32 boots}.
std::string EncodeBoot(uint32_t boot);
absl::StatusOr<uint32_t> DecodeBoot(absl::string_view bytes);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_META_ROWS_H_
