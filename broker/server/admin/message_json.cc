#include "broker/server/admin/message_json.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

absl::string_view StateName(MessageState state) {
  switch (state) {
    case MessageState::kVisible:
      return "visible";
    case MessageState::kInFlight:
      return "in_flight";
    case MessageState::kDelayed:
      return "delayed";
  }
  return "";
}

boost::json::string Text(absl::string_view text) {
  return boost::json::string(text.data(), text.size());
}

}  // namespace

std::string TimeToText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

boost::json::object MessageToJson(const PeekedMessage& message) {
  boost::json::object out;
  out["message_id"] = message.message_id.ToString();
  if (IsUtf8(message.body)) {
    out["body"] = Text(message.body);
  } else {
    out["body_base64"] = absl::Base64Escape(message.body);
  }
  out["receive_count"] = message.receive_count;
  out["sent_at"] = TimeToText(message.sent_at);
  boost::json::object attributes;
  if (message.has_attributes()) {
    for (const auto& [name, attribute] : message.attributes()) {
      boost::json::object value = {{"type", ToUtf8(attribute.data_type)}};
      if (attribute.is_binary()) {
        value["value_base64"] = absl::Base64Escape(attribute.value);
      } else {
        value["value"] = ToUtf8(attribute.value);
      }
      attributes[ToUtf8(name)] = std::move(value);
    }
  }
  out["attributes"] = std::move(attributes);
  if (auto group_id = message.group_id()) out["group_id"] = ToUtf8(*group_id);
  if (auto dedup_id = message.dedup_id()) out["dedup_id"] = ToUtf8(*dedup_id);
  if (message.sequence_number) out["sequence_number"] = *message.sequence_number;
  if (auto source = message.dead_letter_source()) out["dead_letter_source"] = ToUtf8(*source);
  out["state"] = Text(StateName(message.state));
  if (message.state != MessageState::kVisible) out["visible_at"] = TimeToText(message.visible_at);
  return out;
}

}  // namespace barista::server
