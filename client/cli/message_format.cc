#include "client/cli/message_format.h"

#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace barista::cli {
namespace {

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// Proto maps have no order of their own.
template <typename Value>
std::map<std::string, Value> Sorted(const google::protobuf::Map<std::string, Value>& map) {
  return {map.begin(), map.end()};
}

boost::json::object StringsToJson(const google::protobuf::Map<std::string, std::string>& map) {
  boost::json::object object;
  for (const auto& [key, value] : Sorted(map)) object[key] = value;
  return object;
}

// The facts that a received and a peeked message share, after its id.
void AppendCommon(std::string& text, const v1::Message& message) {
  absl::StrAppend(&text, "sent       ", IsoTime(FromProto(message.sent_at())), ", received ",
                  message.receive_count(), message.receive_count() == 1 ? " time\n" : " times\n");
  if (message.has_group_id()) absl::StrAppend(&text, "group      ", message.group_id(), "\n");
  if (message.has_dead_letter_source()) {
    absl::StrAppend(&text, "moved from ", message.dead_letter_source(), "\n");
  }
  for (const auto& [name, value] : Sorted(message.attributes())) {
    absl::StrAppend(
        &text, "attribute  ", name, " (", value.data_type(), ") = ",
        value.has_binary_value() ? absl::Base64Escape(value.binary_value()) : value.string_value(),
        "\n");
  }
}

}  // namespace

bool IsUtf8(absl::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    const auto lead = static_cast<uint8_t>(bytes[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    // Length, and the bounds of the second byte, which rule out overlong forms, surrogates and what
    // lies above U+10FFFF.
    size_t length = 0;
    uint8_t low = 0x80, high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
      length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      length = 3;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      length = 4;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (i + length > bytes.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(bytes[i + k]);
      if (next < low || next > high) return false;
      low = 0x80;
      high = 0xbf;
    }
    i += length;
  }
  return true;
}

std::string IsoTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string StateName(v1::MessageState state) {
  switch (state) {
    case v1::MESSAGE_STATE_VISIBLE:
      return "visible";
    case v1::MESSAGE_STATE_IN_FLIGHT:
      return "in_flight";
    case v1::MESSAGE_STATE_DELAYED:
      return "delayed";
    default:
      return "unknown";
  }
}

boost::json::object MessageToJson(const v1::Message& message) {
  boost::json::object object;
  object["message_id"] = message.message_id();
  if (IsUtf8(message.body())) {
    object["body"] = message.body();
  } else {
    object["body_base64"] = absl::Base64Escape(message.body());
  }
  if (!message.receipt_handle().empty()) object["receipt_handle"] = message.receipt_handle();
  object["receive_count"] = message.receive_count();
  object["sent_at"] = IsoTime(FromProto(message.sent_at()));
  boost::json::object attributes;
  for (const auto& [name, value] : Sorted(message.attributes())) {
    boost::json::object attribute{{"type", value.data_type()}};
    if (value.has_binary_value()) {
      attribute["value_base64"] = absl::Base64Escape(value.binary_value());
    } else {
      attribute["value"] = value.string_value();
    }
    attributes[name] = std::move(attribute);
  }
  object["attributes"] = std::move(attributes);
  if (message.has_group_id()) object["group_id"] = message.group_id();
  if (message.has_dedup_id()) object["dedup_id"] = message.dedup_id();
  if (message.has_sequence_number()) object["sequence_number"] = message.sequence_number();
  if (message.has_dead_letter_source()) object["dead_letter_source"] = message.dead_letter_source();
  return object;
}

boost::json::object PeekedToJson(const v1::PeekedMessage& peeked) {
  boost::json::object object = MessageToJson(peeked.message());
  object["state"] = StateName(peeked.state());
  if (peeked.has_visible_at()) object["visible_at"] = IsoTime(FromProto(peeked.visible_at()));
  return object;
}

boost::json::object QueueToJson(const v1::Queue& queue) {
  boost::json::object object;
  object["name"] = queue.name();
  object["arn"] = queue.arn();
  object["url"] = queue.url();
  object["attributes"] = StringsToJson(queue.attributes());
  object["tags"] = StringsToJson(queue.tags());
  return object;
}

std::string MessageToText(const v1::Message& message) {
  std::string text = absl::StrCat("message    ", message.message_id(), "\n");
  AppendCommon(text, message);
  absl::StrAppend(&text, "handle     ", message.receipt_handle(), "\n\n", message.body(), "\n");
  return text;
}

std::string PeekedToText(const v1::PeekedMessage& peeked) {
  std::string text = absl::StrCat("message    ", peeked.message().message_id(), "\n");
  absl::StrAppend(&text, "state      ", StateName(peeked.state()));
  if (peeked.has_visible_at()) {
    absl::StrAppend(&text, " until ", IsoTime(FromProto(peeked.visible_at())));
  }
  text += "\n";
  AppendCommon(text, peeked.message());
  absl::StrAppend(&text, "\n", peeked.message().body(), "\n");
  return text;
}

}  // namespace barista::cli
