#include "broker/server/message_codec.h"

#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

// The range of google.protobuf.Duration.
constexpr int64_t kMaxDurationSeconds = 315576000000;
constexpr int32_t kMaxNanos = 999999999;
constexpr size_t kMaxNamed = 256;  // bytes of what an error quotes

void EncodeTime(absl::Time time, google::protobuf::Timestamp* out) {
  // The engine's times are whole milliseconds from 1970 on.
  const int64_t millis = absl::ToUnixMillis(time);
  out->set_seconds(millis / 1000);
  out->set_nanos(static_cast<int32_t>(millis % 1000 * 1'000'000));
}

absl::Status WrongKind(const std::string& name, const std::string& type,
                       absl::string_view expected) {
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      absl::StrCat("the value of attribute \"", name.substr(0, kMaxNamed), "\" of type \"",
                   type.substr(0, kMaxNamed), "\" must be a ", expected),
      {.reason = "InvalidParameterValue",
       .field = absl::StrCat("MessageAttributes.", name.substr(0, kMaxNamed)),
       .value = type.substr(0, kMaxNamed),
       .limit = std::string(expected)});
}

}  // namespace

absl::StatusOr<absl::Duration> DecodeDuration(absl::string_view field,
                                              const google::protobuf::Duration& duration) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  if (seconds < -kMaxDurationSeconds || seconds > kMaxDurationSeconds || nanos < -kMaxNanos ||
      nanos > kMaxNanos || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
    const std::string value = absl::StrCat(seconds, " s ", nanos, " ns");
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat(field, " is not a valid google.protobuf.Duration: ", value),
                     {.reason = "InvalidParameterValue",
                      .field = std::string(field),
                      .value = value,
                      .limit = "seconds and nanos of the same sign, nanos below 1e9"});
  }
  return absl::Seconds(seconds) + absl::Nanoseconds(nanos);
}

absl::StatusOr<OutgoingMessage> DecodeEntry(const v1::SendMessageEntry& entry) {
  OutgoingMessage message;
  message.body = entry.body();
  if (entry.has_delay()) {
    absl::StatusOr<absl::Duration> delay = DecodeDuration("DelaySeconds", entry.delay());
    if (!delay.ok()) return delay.status();
    message.delay = *delay;
  }
  if (entry.has_group_id()) message.group_id = entry.group_id();
  if (entry.has_dedup_id()) message.dedup_id = entry.dedup_id();
  if (entry.has_trace_header()) message.trace_header = entry.trace_header();
  if (entry.attributes().empty()) return message;

  message.attributes.reserve(entry.attributes().size());
  for (const auto& [name, attribute] : entry.attributes()) {
    MessageAttribute value(attribute.data_type(), std::string());
    if (value.is_binary()) {
      if (attribute.has_string_value()) return WrongKind(name, value.data_type, "binary_value");
      value.value = attribute.binary_value();
    } else {
      if (attribute.has_binary_value()) return WrongKind(name, value.data_type, "string_value");
      value.value = attribute.string_value();
    }
    message.attributes.emplace_back(name, std::move(value));
  }
  std::sort(message.attributes.begin(), message.attributes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return message;
}

void EncodeSendResult(const SendResult& result, v1::SendMessageResult* out) {
  out->set_message_id(result.message_id.ToString());
  if (result.sequence_number) out->set_sequence_number(*result.sequence_number);
}

void EncodeMessage(const StoredMessage& message, v1::Message* out) {
  char id[MessageId::kTextSize];
  message.message_id.ToText(id);
  out->set_message_id(id, sizeof(id));
  out->set_body(message.body.data(), message.body.size());
  out->set_receive_count(message.receive_count);
  EncodeTime(message.sent_at, out->mutable_sent_at());
  if (message.first_received_at != absl::InfiniteFuture()) {
    EncodeTime(message.first_received_at, out->mutable_first_received_at());
  }
  if (message.has_attributes()) {
    for (auto& [name, attribute] : message.attributes()) {
      v1::MessageAttributeValue& value = (*out->mutable_attributes())[ToUtf8(name)];
      value.set_data_type(ToUtf8(attribute.data_type));
      if (attribute.is_binary()) {
        value.set_binary_value(attribute.value);
      } else {
        value.set_string_value(ToUtf8(attribute.value));
      }
    }
  }
  if (message.sequence_number) out->set_sequence_number(*message.sequence_number);
  if (!message.has_fields()) return;
  if (auto group_id = message.group_id()) out->set_group_id(ToUtf8(*group_id));
  if (auto dedup_id = message.dedup_id()) out->set_dedup_id(ToUtf8(*dedup_id));
  if (auto header = message.trace_header()) out->set_trace_header(ToUtf8(*header));
  if (auto sender_id = message.sender_id()) out->set_sender_id(ToUtf8(*sender_id));
  if (auto source = message.dead_letter_source()) out->set_dead_letter_source(ToUtf8(*source));
}

void EncodeReceivedMessage(const ReceivedMessage& message, v1::Message* out) {
  EncodeMessage(message, out);
  out->set_receipt_handle(message.receipt_handle.ToString());
}

void EncodePeekedMessage(const PeekedMessage& message, v1::PeekedMessage* out) {
  EncodeMessage(message, out->mutable_message());
  switch (message.state) {
    case MessageState::kVisible:
      out->set_state(v1::MESSAGE_STATE_VISIBLE);
      return;
    case MessageState::kInFlight:
      out->set_state(v1::MESSAGE_STATE_IN_FLIGHT);
      break;
    case MessageState::kDelayed:
      out->set_state(v1::MESSAGE_STATE_DELAYED);
      break;
  }
  EncodeTime(message.visible_at, out->mutable_visible_at());
}

}  // namespace barista::server
