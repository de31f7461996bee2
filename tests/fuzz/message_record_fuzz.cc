// Bytes that claim to be a stored record: they are refused, or they are a record that encodes to
// itself when written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "broker/message/message_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace internal = barista::internal;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto record = internal::DecodeRecord(bytes);
  if (!record.ok()) return 0;
  internal::DecodeAttributes(record->attributes, record->attribute_count).IgnoreError();
  std::string again(internal::EncodedBytes(*record), '\0');
  internal::EncodeRecord(*record, again.data());
  const auto reread = internal::DecodeRecord(again);
  if (!reread.ok() || reread->body != record->body || reread->attributes != record->attributes ||
      reread->message_id != record->message_id || reread->sent_ms != record->sent_ms ||
      reread->group_id != record->group_id) {
    std::abort();
  }
  return 0;
}
