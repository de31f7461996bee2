#include "client/remote/wire.h"

#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/message/attributes.h"
#include "broker/message/message_record.h"
#include "broker/message/payload.h"

namespace barista::client {
namespace {

using internal::MessageRecord;
using internal::Payload;
using internal::PayloadRef;

absl::Status Unreadable(absl::string_view what, absl::string_view value) {
  return absl::InternalError(
      absl::StrCat("the broker's reply cannot be read: ", what, " \"", value.substr(0, 128), "\""));
}

absl::Time DecodeTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

MessageAttributes DecodeAttributes(const v1::Message& message) {
  MessageAttributes attributes;
  attributes.reserve(message.attributes().size());
  for (const auto& [name, value] : message.attributes()) {
    attributes.emplace_back(
        name, MessageAttribute(value.data_type(), value.has_binary_value() ? value.binary_value()
                                                                           : value.string_value()));
  }
  std::sort(attributes.begin(), attributes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return attributes;
}

// The message is encoded as the engine does, so that it is read by the same code (and its views
// live as long as a copy of it).
absl::Status DecodeStored(const v1::Message& message, StoredMessage* out) {
  const std::optional<MessageId> id = MessageId::Parse(message.message_id());
  if (!id.has_value()) return Unreadable("message id", message.message_id());
  MessageRecord record;
  record.message_id = *id;
  record.sent_ms = absl::ToUnixMillis(DecodeTime(message.sent_at()));
  if (message.has_group_id()) record.group_id = message.group_id();
  if (message.has_dedup_id()) record.dedup_id = message.dedup_id();
  if (message.has_sender_id()) record.sender_id = message.sender_id();
  if (message.has_trace_header()) record.trace_header = message.trace_header();
  if (message.has_dead_letter_source()) record.dead_letter_source = message.dead_letter_source();
  std::string attributes;
  if (!message.attributes().empty()) {
    internal::EncodeAttributes(DecodeAttributes(message), &attributes);
    record.attribute_count = static_cast<uint16_t>(message.attributes().size());
    record.attributes = attributes;
  }
  record.body = message.body();
  Payload* const payload = Payload::Encode(nullptr, record);
  out->payload = PayloadRef(payload);
  out->message_id = *id;
  out->body = payload->body();
  out->sent_at = DecodeTime(message.sent_at());
  out->receive_count = message.receive_count();
  if (message.has_first_received_at()) {
    out->first_received_at = DecodeTime(message.first_received_at());
  }
  if (message.has_sequence_number()) out->sequence_number = message.sequence_number();
  return absl::OkStatus();
}

}  // namespace

void EncodeDuration(absl::Duration duration, google::protobuf::Duration* out) {
  const int64_t seconds = absl::IDivDuration(duration, absl::Seconds(1), &duration);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

void EncodeEntry(const OutgoingMessage& message, v1::SendMessageEntry* out) {
  out->set_body(message.body.data(), message.body.size());
  for (const auto& [name, attribute] : message.attributes) {
    v1::MessageAttributeValue& value = (*out->mutable_attributes())[name];
    value.set_data_type(attribute.data_type);
    if (attribute.is_binary()) {
      value.set_binary_value(attribute.value);
    } else {
      value.set_string_value(attribute.value);
    }
  }
  if (message.delay) EncodeDuration(*message.delay, out->mutable_delay());
  if (message.group_id) out->set_group_id(std::string(*message.group_id));
  if (message.dedup_id) out->set_dedup_id(std::string(*message.dedup_id));
  if (message.trace_header) out->set_trace_header(std::string(*message.trace_header));
}

absl::StatusOr<SendResult> DecodeSendResult(const v1::SendMessageResult& result) {
  if (result.has_error()) return DecodeError(result.error());
  const std::optional<MessageId> id = MessageId::Parse(result.message_id());
  if (!id.has_value()) return Unreadable("message id", result.message_id());
  SendResult out{*id, std::nullopt};
  if (result.has_sequence_number()) out.sequence_number = result.sequence_number();
  return out;
}

absl::StatusOr<ReceivedMessage> DecodeReceivedMessage(const v1::Message& message) {
  ReceivedMessage out;
  if (absl::Status status = DecodeStored(message, &out); !status.ok()) return status;
  const absl::StatusOr<ReceiptHandle> handle = ReceiptHandle::Parse(message.receipt_handle());
  if (!handle.ok()) return Unreadable("receipt handle", message.receipt_handle());
  out.receipt_handle = *handle;
  return out;
}

absl::StatusOr<ReceivedMessage> DecodeDelivery(const v1::Message& message) {
  if (!message.receipt_handle().empty()) return DecodeReceivedMessage(message);
  ReceivedMessage out;
  if (absl::Status status = DecodeStored(message, &out); !status.ok()) return status;
  return out;
}

absl::StatusOr<PeekedMessage> DecodePeekedMessage(const v1::PeekedMessage& message) {
  PeekedMessage out;
  if (absl::Status status = DecodeStored(message.message(), &out); !status.ok()) return status;
  switch (message.state()) {
    case v1::MESSAGE_STATE_IN_FLIGHT:
      out.state = MessageState::kInFlight;
      break;
    case v1::MESSAGE_STATE_DELAYED:
      out.state = MessageState::kDelayed;
      break;
    default:
      out.state = MessageState::kVisible;
  }
  out.visible_at = message.has_visible_at() ? DecodeTime(message.visible_at()) : out.sent_at;
  return out;
}

absl::StatusOr<QueueDescription> DecodeDescription(const v1::Queue& queue) {
  absl::StatusOr<QueueDescription> description = internal::ParseQueueDescription(
      std::map<std::string, std::string>(queue.attributes().begin(), queue.attributes().end()));
  if (!description.ok()) return Unreadable("attributes", description.status().message());
  description->name = queue.name();
  description->arn = queue.arn();
  description->tags.insert(queue.tags().begin(), queue.tags().end());
  return description;
}

absl::Status DecodeError(const v1::Error& error) {
  const bool known = error.code() > 0 && error.code() <= 16;
  const auto code =
      known ? static_cast<absl::StatusCode>(error.code()) : absl::StatusCode::kUnknown;
  if (error.reason().empty()) return absl::Status(code, error.message());
  return MakeError(code, error.message(),
                   {.reason = error.reason(),
                    .field = error.field(),
                    .value = error.value(),
                    .limit = error.limit()});
}

}  // namespace barista::client
