#ifndef BARISTA_STORAGE_KEYS_H_
#define BARISTA_STORAGE_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "broker/base/ids.h"
#include "storage/store.h"

// The keys of our rows. All integers are big-endian, so that the order of the bytes is the order of
// the numbers; times have their sign bit flipped for the same reason.
//
//   messages, state   [slot u16 = 0][queue u32][sequence u64]
//   delayed           [slot u16 = 0][queue u32][due_ms i64][id u64]
//   expiry            [slot u16 = 0][queue u32][kind u8][at_ms i64][sequence u64]
//   definitions       ['q'][slot u16 = 0][queue u32]
//   counters          ['n'][slot u16 = 0][queue u32]
//
// `slot` is there for sharding.
namespace barista::storage {

inline constexpr size_t kQueuePrefixBytes = 6;
inline constexpr size_t kMaxKeyBytes = 23;

// The rows of the family `meta` that exist once.
inline constexpr absl::string_view kIdentityKey = "identity";
inline constexpr absl::string_view kBootKey = "boot";
inline constexpr absl::string_view kCommitMarkerKey = "commit";
inline constexpr char kDefinitionTag = 'q';
inline constexpr char kCounterTag = 'n';

// A key by value. Immutable.
class Key {
 public:
  Key() = default;
  absl::string_view view() const { return absl::string_view(bytes_.data(), size_); }
  operator absl::string_view() const { return view(); }  // NOLINT(runtime/explicit)

  static Key Queue(QueueId queue);       // the prefix of all rows of the queue
  static Key AfterQueue(QueueId queue);  // the first key behind them
  static Key Message(QueueId queue, Sequence sequence);
  static Key Delayed(QueueId queue, int64_t due_ms, uint64_t id);
  static Key Expiry(QueueId queue, Batch::ExpiryKind kind, int64_t at_ms, Sequence sequence);
  static Key Definition(QueueId queue);
  static Key Counters(QueueId queue);

 private:
  friend class KeyWriter;
  std::array<char, kMaxKeyBytes> bytes_;
  uint8_t size_ = 0;
};

// The reverse of the functions above. False: `key` is not of that form.
// Of any row that belongs to a queue, but for those of the family `meta`.
bool ParseQueuePrefix(absl::string_view key, QueueId* queue);
bool ParseMessageKey(absl::string_view key, QueueId* queue, Sequence* sequence);
bool ParseDelayedKey(absl::string_view key, int64_t* due_ms, uint64_t* id);
bool ParseExpiryKey(absl::string_view key, Batch::ExpiryKind* kind, int64_t* at_ms,
                    Sequence* sequence);
bool ParseQueueRowKey(absl::string_view key, char tag, QueueId* queue);

// The keys in [begin, end).
struct KeyRange {
  std::string begin;
  std::string end;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_KEYS_H_
