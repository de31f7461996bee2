#include "broker/queue/payload.h"

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

// The record was checked when it was encoded or read.
storage::MessageRecord Record(const internal::PayloadRef& payload) {
  if (payload.get() == nullptr) return {};
  absl::StatusOr<storage::MessageRecord> record = storage::Decode(payload.get()->record());
  return record.ok() ? *record : storage::MessageRecord{};
}

}  // namespace

MessageAttributes StoredMessage::attributes() const {
  const storage::MessageRecord record = Record(payload);
  if (record.attribute_count == 0) return {};
  absl::StatusOr<MessageAttributes> attributes =
      storage::DecodeAttributes(record.attributes, record.attribute_count);
  return attributes.ok() ? *std::move(attributes) : MessageAttributes();
}
bool StoredMessage::has_attributes() const { return Record(payload).attribute_count > 0; }
std::optional<absl::string_view> StoredMessage::group_id() const {
  return Record(payload).group_id;
}
std::optional<absl::string_view> StoredMessage::dedup_id() const {
  return Record(payload).dedup_id;
}
std::optional<absl::string_view> StoredMessage::trace_header() const {
  return Record(payload).trace_header;
}
std::optional<absl::string_view> StoredMessage::sender_id() const {
  return Record(payload).sender_id;
}
std::optional<absl::string_view> StoredMessage::dead_letter_source() const {
  return Record(payload).dead_letter_source;
}

}  // namespace barista
