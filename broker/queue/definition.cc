#include "broker/queue/definition.h"

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/message/attributes.h"

namespace barista::internal {

std::string EncodeDefinition(const QueueDescription& description) {
  boost::json::object attributes;
  // The account and region are the broker's, not the definition's.
  for (const auto& [name, value] : FormatGivenAttributes(description.attributes, "arn:aws:sqs:::"))
    attributes[name] = value;
  boost::json::object tags;
  for (const auto& [key, value] : description.tags) tags[key] = value;
  boost::json::object json;
  json["version"] = 1;
  json["name"] = description.name;
  json["attributes"] = std::move(attributes);
  json["tags"] = std::move(tags);
  json["created_ms"] = absl::ToUnixMillis(description.created_at);
  json["modified_ms"] = absl::ToUnixMillis(description.last_modified_at);
  return boost::json::serialize(json);
}

absl::StatusOr<QueueDescription> DecodeDefinition(absl::string_view definition) {
  const auto corrupt = [&](absl::string_view why) {
    return MakeError(absl::StatusCode::kDataLoss, absl::StrCat("queue definition: ", why),
                     {.reason = "DataCorrupt",
                      .field = "definition",
                      .value = std::string(definition.substr(0, 128))});
  };
  boost::json::error_code error;
  const boost::json::value json = boost::json::parse(std::string(definition), error);
  if (error || !json.is_object()) return corrupt("not a JSON object");
  const boost::json::object& object = json.as_object();
  const auto number = [&](const char* key) -> std::optional<int64_t> {
    const boost::json::value* value = object.if_contains(key);
    return value != nullptr && value->is_int64() ? std::optional<int64_t>(value->as_int64())
                                                 : std::nullopt;
  };
  const auto strings = [&](const char* key) -> std::optional<std::map<std::string, std::string>> {
    const boost::json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_object()) return std::nullopt;
    std::map<std::string, std::string> out;
    for (const auto& [name, text] : value->as_object()) {
      if (!text.is_string()) return std::nullopt;
      out[std::string(name)] = std::string(text.as_string());
    }
    return out;
  };
  const std::optional<int64_t> version = number("version");
  if (version.has_value() && *version > 1) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("queue definition of version ", *version, "; this barista reads up to 1"),
        {.reason = "DataDirectoryTooNew",
         .field = "version",
         .value = absl::StrCat(*version),
         .limit = "1"});
  }
  const boost::json::value* name = object.if_contains("name");
  const std::optional<std::map<std::string, std::string>> text = strings("attributes");
  const std::optional<std::map<std::string, std::string>> tags = strings("tags");
  const std::optional<int64_t> created = number("created_ms");
  const std::optional<int64_t> modified = number("modified_ms");
  if (!version || name == nullptr || !name->is_string() || !text || !tags || !created ||
      !modified) {
    return corrupt("a member is missing or of the wrong type");
  }
  absl::StatusOr<QueueAttributes> attributes = ParseQueueAttributes(*text);
  if (!attributes.ok()) return corrupt(attributes.status().message());
  QueueDescription description;
  description.name = std::string(name->as_string());
  description.attributes = Merge(DefaultQueueAttributes(Durability::kFsync), *attributes);
  description.tags = *tags;
  description.created_at = absl::FromUnixMillis(*created);
  description.last_modified_at = absl::FromUnixMillis(*modified);
  return description;
}

}  // namespace barista::internal
