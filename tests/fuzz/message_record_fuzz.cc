// Bytes that claim to be a stored record: they are refused, or they are a record that encodes to
// itself when written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "storage/message_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace storage = barista::storage;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto record = storage::Decode(bytes);
  if (!record.ok()) return 0;
  storage::DecodeAttributes(record->attributes, record->attribute_count).IgnoreError();
  std::string again(storage::EncodedBytes(*record), '\0');
  storage::Encode(*record, again.data());
  const auto reread = storage::Decode(again);
  if (!reread.ok() || reread->body != record->body || reread->attributes != record->attributes ||
      reread->message_id != record->message_id || reread->sent_ms != record->sent_ms ||
      reread->group_id != record->group_id) {
    std::abort();
  }
  return 0;
}
