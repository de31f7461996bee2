#include "broker/message/payload.h"

#include <optional>

#include "barista/message.h"

namespace barista {
namespace internal {

PayloadRef::PayloadRef(const PayloadRef& other) : payload_(other.payload_) {
  if (payload_ != nullptr) payload_->Ref();
}
void PayloadRef::Unref() { payload_->Unref(); }

}  // namespace internal

namespace {

// The record was checked when it was encoded or read. Most have nothing to decode.
internal::MessageRecord Record(const internal::PayloadRef& payload, bool anything) {
  if (!anything) return {};
  absl::StatusOr<internal::MessageRecord> record = internal::DecodeRecord(payload.get()->record());
  return record.ok() ? *record : internal::MessageRecord{};
}
internal::MessageRecord Fields(const internal::PayloadRef& payload) {
  return Record(payload, payload.get() != nullptr && payload.get()->has_fields());
}

}  // namespace

bool StoredMessage::has_attributes() const {
  return payload.get() != nullptr && payload.get()->has_attributes();
}
MessageAttributes StoredMessage::attributes() const {
  const internal::MessageRecord record = Record(payload, has_attributes());
  if (record.attribute_count == 0) return {};
  absl::StatusOr<MessageAttributes> attributes =
      internal::DecodeAttributes(record.attributes, record.attribute_count);
  return attributes.ok() ? *std::move(attributes) : MessageAttributes();
}

bool StoredMessage::has_fields() const {
  return payload.get() != nullptr && payload.get()->has_fields();
}
std::optional<absl::string_view> StoredMessage::group_id() const {
  return Fields(payload).group_id;
}
std::optional<absl::string_view> StoredMessage::dedup_id() const {
  return Fields(payload).dedup_id;
}
std::optional<absl::string_view> StoredMessage::trace_header() const {
  return Fields(payload).trace_header;
}
std::optional<absl::string_view> StoredMessage::sender_id() const {
  return Fields(payload).sender_id;
}
std::optional<absl::string_view> StoredMessage::dead_letter_source() const {
  return Fields(payload).dead_letter_source;
}

}  // namespace barista
