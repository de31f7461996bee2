#include "storage/meta_rows.h"

#include "absl/strings/str_cat.h"
#include "broker/base/codec.h"
#include "storage/errors.h"

namespace barista::storage {
namespace {

constexpr uint8_t kVersion = 1;

absl::Status Check(absl::string_view what, absl::string_view bytes, size_t size) {
  const uint8_t version = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  if (version > kVersion) return TooNewError(what, version, kVersion);
  if (version == 0) return CorruptError(what, "it has no version");
  if (bytes.size() != size) {
    return CorruptError(what, absl::StrCat("it has ", bytes.size(), " bytes instead of ", size));
  }
  return absl::OkStatus();
}

}  // namespace

std::string EncodeIdentity(const IdentityRow& row) {
  return absl::StrCat(absl::string_view("\x01", 1), row.store_id, row.secret);
}

absl::StatusOr<IdentityRow> DecodeIdentity(absl::string_view bytes) {
  if (absl::Status status = Check("identity row", bytes, 1 + kStoreIdBytes + kSecretBytes);
      !status.ok()) {
    return status;
  }
  return IdentityRow{std::string(bytes.substr(1, kStoreIdBytes)),
                     std::string(bytes.substr(1 + kStoreIdBytes))};
}

std::array<char, kCountersBytes> EncodeCounters(const QueueCounters& counters) {
  std::array<char, kCountersBytes> row;
  char* p = row.data();
  *p++ = static_cast<char>(kVersion);
  for (uint64_t value : {counters.next_sequence, counters.low_watermark, counters.purge_sequence,
                         counters.enqueued, counters.deleted, counters.delayed}) {
    StoreLittle(value, p);
    p += sizeof(value);
  }
  return row;
}

absl::StatusOr<QueueCounters> DecodeCounters(absl::string_view bytes) {
  if (absl::Status status = Check("counters row", bytes, kCountersBytes); !status.ok())
    return status;
  QueueCounters counters;
  const char* p = bytes.data() + 1;
  for (uint64_t* value :
       {&counters.next_sequence, &counters.low_watermark, &counters.purge_sequence,
        &counters.enqueued, &counters.deleted, &counters.delayed}) {
    *value = LoadLittle<uint64_t>(p);
    p += sizeof(*value);
  }
  return counters;
}

absl::StatusOr<absl::string_view> DecodeDefinition(absl::string_view bytes) {
  if (absl::Status status = Check("definition row", bytes, bytes.size()); !status.ok())
    return status;
  return bytes.substr(1);
}

std::string EncodeBoot(uint32_t boot) {
  std::string bytes;
  AppendLittle(boot, &bytes);
  return bytes;
}

absl::StatusOr<uint32_t> DecodeBoot(absl::string_view bytes) {
  if (bytes.size() != 4)
    return CorruptError("boot row", absl::StrCat("it has ", bytes.size(), " bytes instead of 4"));
  return LoadLittle<uint32_t>(bytes.data());
}

}  // namespace barista::storage
