#include "broker/message/attributes.h"

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "barista/error.h"
#include "barista/message.h"

namespace barista {
namespace {

constexpr char kRedrivePolicy[] = "RedrivePolicy";
constexpr char kDurability[] = "Durability";
constexpr char kBodyCharset[] = "BodyCharset";
constexpr int kMaxReceiveCountLimit = 1000;

// The attributes that are whole numbers on the wire.
struct NumberAttribute {
  absl::string_view name;
  int64_t min;
  int64_t max;
  int64_t default_value;
  // Exactly one of the two: seconds, or a plain number.
  std::optional<absl::Duration> QueueAttributes::*duration;
  std::optional<int64_t> QueueAttributes::*number;

  std::optional<int64_t> Get(const QueueAttributes& from) const {
    if (number != nullptr) return from.*number;
    const std::optional<absl::Duration>& value = from.*duration;
    if (!value.has_value()) return std::nullopt;
    return absl::ToInt64Seconds(*value);
  }
  void Set(int64_t value, QueueAttributes* to) const {
    if (number != nullptr) {
      to->*number = value;
    } else {
      to->*duration = absl::Seconds(value);
    }
  }
};

constexpr std::array<NumberAttribute, 6> kNumbers = {{
    {"VisibilityTimeout", 0, 43200, 30, &QueueAttributes::visibility_timeout, nullptr},
    {"DelaySeconds", 0, 900, 0, &QueueAttributes::delay, nullptr},
    {"MessageRetentionPeriod", 60, 1209600, 345600, &QueueAttributes::retention, nullptr},
    {"ReceiveMessageWaitTimeSeconds", 0, 20, 0, &QueueAttributes::receive_wait, nullptr},
    {"MaximumMessageSize", 1024, static_cast<int64_t>(kMaxMessageBytes),
     static_cast<int64_t>(kMaxMessageBytes), nullptr, &QueueAttributes::maximum_message_size},
    {"MaximumInFlightMessages", 1, 1'000'000'000, 120'000, nullptr,
     &QueueAttributes::maximum_in_flight},
}};

constexpr absl::string_view kReadOnly[] = {
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "All",
};

absl::Status InvalidValue(absl::string_view name, absl::string_view value,
                          absl::string_view limit) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("Invalid value for the parameter ", name, ". Reason: it is \"",
                                value.substr(0, 128), "\", must be ", limit, "."),
                   {.reason = "InvalidAttributeValue",
                    .field = std::string(name),
                    .value = std::string(value),
                    .limit = std::string(limit)});
}

absl::Status InvalidRedrivePolicy(absl::string_view value, absl::string_view why,
                                  absl::string_view limit) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("Value ", value.substr(0, 128),
                                " for parameter RedrivePolicy is invalid. Reason: ", why),
                   {.reason = "InvalidParameterValue",
                    .field = kRedrivePolicy,
                    .value = std::string(value),
                    .limit = std::string(limit)});
}

std::string Range(const NumberAttribute& attribute) {
  return absl::StrCat("an integer from ", attribute.min, " to ", attribute.max);
}

absl::StatusOr<RedrivePolicy> ParseRedrivePolicy(const std::string& text) {
  RedrivePolicy policy;
  if (text.empty()) return policy;  // Removes the policy.
  boost::json::error_code error;
  const boost::json::value json = boost::json::parse(text, error);
  if (error || !json.is_object())
    return InvalidRedrivePolicy(text, "Redrive policy is not a valid JSON map.", "a JSON object");
  const boost::json::object& object = json.as_object();
  for (const auto& [key, value] : object) {
    if (key != "deadLetterTargetArn" && key != "maxReceiveCount") {
      return InvalidRedrivePolicy(
          text, "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].",
          "maxReceiveCount, deadLetterTargetArn");
    }
  }
  const boost::json::value* target = object.if_contains("deadLetterTargetArn");
  if (target == nullptr) {
    return InvalidRedrivePolicy(
        text, "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
        "deadLetterTargetArn");
  }
  const boost::json::value* count = object.if_contains("maxReceiveCount");
  if (count == nullptr) {
    return InvalidRedrivePolicy(
        text, "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
        "maxReceiveCount");
  }
  const std::vector<std::string> arn = target->is_string()
                                           ? absl::StrSplit(std::string(target->as_string()), ':')
                                           : std::vector<std::string>();
  if (arn.size() != 6 || arn[0] != "arn" || arn[2] != "sqs" || arn[5].empty()) {
    return InvalidRedrivePolicy(text, "Dead-letter target ARN should be fully qualified ARN.",
                                "arn:aws:sqs:REGION:ACCOUNT:NAME");
  }
  policy.dead_letter_queue = arn[5];
  int64_t max_receive_count = -1;
  if (count->is_int64()) {
    max_receive_count = count->as_int64();
  } else if (!count->is_string() ||
             !absl::SimpleAtoi(std::string(count->as_string()), &max_receive_count)) {
    max_receive_count = -1;
  }
  if (max_receive_count < 1 || max_receive_count > kMaxReceiveCountLimit) {
    return InvalidRedrivePolicy(
        text,
        absl::StrCat("Invalid value for maxReceiveCount: ", boost::json::serialize(*count),
                     ", valid values are from 1 to ", kMaxReceiveCountLimit, " both inclusive."),
        "1 to 1000");
  }
  policy.max_receive_count = static_cast<int>(max_receive_count);
  return policy;
}

// `arn_prefix` ends before the queue's name. Empty: removes the policy.
std::string FormatRedrivePolicy(const RedrivePolicy& policy, absl::string_view arn_prefix) {
  if (policy.dead_letter_queue.empty()) return "";
  boost::json::object json;
  json["deadLetterTargetArn"] = absl::StrCat(arn_prefix, policy.dead_letter_queue);
  json["maxReceiveCount"] = policy.max_receive_count;
  return boost::json::serialize(json);
}

bool IsSettable(absl::string_view name) {
  for (const NumberAttribute& attribute : kNumbers) {
    if (attribute.name == name) return true;
  }
  return name == kRedrivePolicy || name == kDurability || name == kBodyCharset;
}

absl::string_view BodyCharsetName(BodyCharset charset) {
  return charset == BodyCharset::kBinary ? "binary" : "text";
}

}  // namespace

absl::string_view DurabilityName(Durability durability) {
  switch (durability) {
    case Durability::kMemory:
      return "memory";
    case Durability::kOs:
      return "os";
    case Durability::kFsync:
      return "fsync";
  }
  return "unknown";
}

absl::StatusOr<Durability> ParseDurability(absl::string_view text) {
  for (Durability d : {Durability::kMemory, Durability::kOs, Durability::kFsync}) {
    if (text == DurabilityName(d)) return d;
  }
  return InvalidValue(kDurability, text, "one of fsync, os, memory");
}

absl::StatusOr<QueueAttributes> ParseQueueAttributes(
    const std::map<std::string, std::string>& text) {
  QueueAttributes attributes;
  for (const auto& [name, value] : text) {
    const NumberAttribute* number = nullptr;
    for (const NumberAttribute& candidate : kNumbers) {
      if (candidate.name == name) number = &candidate;
    }
    if (number != nullptr) {
      int64_t parsed;
      if (!absl::SimpleAtoi(value, &parsed) || parsed < number->min || parsed > number->max) {
        return InvalidValue(name, value, Range(*number));
      }
      number->Set(parsed, &attributes);
    } else if (name == kRedrivePolicy) {
      absl::StatusOr<RedrivePolicy> policy = ParseRedrivePolicy(value);
      if (!policy.ok()) return policy.status();
      attributes.redrive_policy = *std::move(policy);
    } else if (name == kDurability) {
      absl::StatusOr<Durability> durability = ParseDurability(value);
      if (!durability.ok()) return durability.status();
      attributes.durability = *durability;
    } else if (name == kBodyCharset) {
      if (value == BodyCharsetName(BodyCharset::kText)) {
        attributes.body_charset = BodyCharset::kText;
      } else if (value == BodyCharsetName(BodyCharset::kBinary)) {
        attributes.body_charset = BodyCharset::kBinary;
      } else {
        return InvalidValue(name, value, "one of text, binary");
      }
    } else {
      bool read_only = false;
      for (absl::string_view known : kReadOnly) read_only = read_only || known == name;
      return MakeError(absl::StatusCode::kInvalidArgument,
                       read_only ? absl::StrCat("The attribute ", name, " can only be read.")
                                 : absl::StrCat("Unknown Attribute ", name.substr(0, 128), "."),
                       {.reason = "InvalidAttributeName",
                        .field = "Attributes",
                        .value = name,
                        .limit = "VisibilityTimeout, DelaySeconds, MessageRetentionPeriod, "
                                 "ReceiveMessageWaitTimeSeconds, "
                                 "MaximumMessageSize, MaximumInFlightMessages, RedrivePolicy, "
                                 "Durability, BodyCharset"});
    }
  }
  return attributes;
}

std::map<std::string, std::string> FormatQueueAttributes(const QueueDescription& description) {
  const absl::string_view arn = description.arn;
  std::map<std::string, std::string> text =
      internal::FormatGivenAttributes(description.attributes, arn.substr(0, arn.rfind(':') + 1));
  text["QueueArn"] = description.arn;
  text["CreatedTimestamp"] = absl::StrCat(absl::ToUnixSeconds(description.created_at));
  text["LastModifiedTimestamp"] = absl::StrCat(absl::ToUnixSeconds(description.last_modified_at));
  text["ApproximateNumberOfMessages"] = absl::StrCat(description.visible);
  text["ApproximateNumberOfMessagesNotVisible"] = absl::StrCat(description.in_flight);
  text["ApproximateNumberOfMessagesDelayed"] = absl::StrCat(description.delayed);
  return text;
}

absl::Status CheckQueueName(absl::string_view name) { return internal::ValidateQueueName(name); }

absl::Status CheckQueueTags(const QueueTags& tags) { return internal::ValidateTags(tags); }

namespace internal {

std::map<std::string, std::string> FormatGivenAttributes(const QueueAttributes& attributes,
                                                         absl::string_view arn_prefix) {
  std::map<std::string, std::string> text;
  for (const NumberAttribute& attribute : kNumbers) {
    if (const std::optional<int64_t> value = attribute.Get(attributes))
      text[std::string(attribute.name)] = absl::StrCat(*value);
  }
  if (attributes.redrive_policy.has_value())
    text[kRedrivePolicy] = FormatRedrivePolicy(*attributes.redrive_policy, arn_prefix);
  if (attributes.durability.has_value())
    text[kDurability] = std::string(DurabilityName(*attributes.durability));
  if (attributes.body_charset.has_value())
    text[kBodyCharset] = std::string(BodyCharsetName(*attributes.body_charset));
  return text;
}

absl::StatusOr<QueueDescription> ParseQueueDescription(
    const std::map<std::string, std::string>& text) {
  const auto number = [&](const char* name) {
    int64_t value = 0;
    const auto found = text.find(name);
    return found != text.end() && absl::SimpleAtoi(found->second, &value) ? value : 0;
  };
  std::map<std::string, std::string> settable;
  for (const auto& [name, value] : text) {
    if (IsSettable(name)) settable.emplace(name, value);
  }
  absl::StatusOr<QueueAttributes> attributes = ParseQueueAttributes(settable);
  if (!attributes.ok()) return attributes.status();
  QueueDescription description;
  description.attributes = *std::move(attributes);
  if (const auto arn = text.find("QueueArn"); arn != text.end()) description.arn = arn->second;
  description.created_at = absl::FromUnixSeconds(number("CreatedTimestamp"));
  description.last_modified_at = absl::FromUnixSeconds(number("LastModifiedTimestamp"));
  description.visible = number("ApproximateNumberOfMessages");
  description.in_flight = number("ApproximateNumberOfMessagesNotVisible");
  description.delayed = number("ApproximateNumberOfMessagesDelayed");
  return description;
}

absl::Status ValidateQueueName(absl::string_view name) {
  constexpr size_t kMaxNameBytes = 80;
  bool valid = !name.empty() && name.size() <= kMaxNameBytes;
  for (char c : name)
    valid = valid && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_');
  if (valid) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   name.empty() ? "Queue name cannot be empty"
                                : absl::StrCat("Queue name \"", name.substr(0, 128),
                                               "\": Can only include alphanumeric characters, "
                                               "hyphens, or underscores. 1 to 80 in length"),
                   {.reason = "InvalidParameterValue",
                    .field = "QueueName",
                    .value = std::string(name),
                    .limit = "1 to 80 of [A-Za-z0-9_-]"});
}

absl::Status ValidateQueueAttributes(const QueueAttributes& attributes) {
  for (const NumberAttribute& attribute : kNumbers) {
    if (attribute.number != nullptr) {
      const std::optional<int64_t>& value = attributes.*attribute.number;
      if (value.has_value() && (*value < attribute.min || *value > attribute.max)) {
        return InvalidValue(attribute.name, absl::StrCat(*value), Range(attribute));
      }
    } else {
      const std::optional<absl::Duration>& value = attributes.*attribute.duration;
      if (value.has_value() &&
          (*value < absl::Seconds(attribute.min) || *value > absl::Seconds(attribute.max) ||
           *value != absl::Seconds(absl::ToInt64Seconds(*value)))) {
        return InvalidValue(attribute.name, absl::FormatDuration(*value),
                            absl::StrCat(Range(attribute), " seconds"));
      }
    }
  }
  if (attributes.redrive_policy.has_value() &&
      !attributes.redrive_policy->dead_letter_queue.empty()) {
    const RedrivePolicy& policy = *attributes.redrive_policy;
    if (policy.max_receive_count < 1 || policy.max_receive_count > kMaxReceiveCountLimit) {
      return InvalidRedrivePolicy(
          absl::StrCat(policy.max_receive_count),
          absl::StrCat("Invalid value for maxReceiveCount: ", policy.max_receive_count,
                       ", valid values are from 1 to 1000 both inclusive."),
          "1 to 1000");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateTags(const QueueTags& tags) {
  const auto error = [](absl::string_view what, absl::string_view value, absl::string_view limit) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat("Tags: ", what, ", limit ", limit),
                     {.reason = "InvalidParameterValue",
                      .field = "Tags",
                      .value = std::string(value),
                      .limit = std::string(limit)});
  };
  if (tags.size() > kMaxTags)
    return error(absl::StrCat(tags.size(), " tags"), absl::StrCat(tags.size()), "50 tags");
  for (const auto& [key, value] : tags) {
    if (key.empty() || key.size() > kMaxTagKeyBytes)
      return error(absl::StrCat("key of ", key.size(), " bytes"), key, "1 to 128 bytes");
    if (value.size() > kMaxTagValueBytes)
      return error(absl::StrCat("value of ", value.size(), " bytes"), key, "256 bytes");
  }
  return absl::OkStatus();
}

QueueAttributes DefaultQueueAttributes(Durability durability) {
  QueueAttributes attributes;
  for (const NumberAttribute& attribute : kNumbers)
    attribute.Set(attribute.default_value, &attributes);
  attributes.durability = durability;
  attributes.body_charset = BodyCharset::kText;
  return attributes;
}

QueueAttributes Merge(const QueueAttributes& base, const QueueAttributes& given) {
  QueueAttributes merged = base;
  for (const NumberAttribute& attribute : kNumbers) {
    if (const std::optional<int64_t> value = attribute.Get(given)) attribute.Set(*value, &merged);
  }
  if (given.redrive_policy.has_value()) {
    merged.redrive_policy = given.redrive_policy;
    if (merged.redrive_policy->dead_letter_queue.empty()) merged.redrive_policy.reset();
  }
  if (given.durability.has_value()) merged.durability = given.durability;
  if (given.body_charset.has_value()) merged.body_charset = given.body_charset;
  return merged;
}

absl::string_view FirstDifference(const QueueAttributes& current, const QueueAttributes& given) {
  for (const NumberAttribute& attribute : kNumbers) {
    const std::optional<int64_t> value = attribute.Get(given);
    if (value.has_value() && value != attribute.Get(current)) return attribute.name;
  }
  if (given.redrive_policy.has_value()) {
    const bool none = given.redrive_policy->dead_letter_queue.empty();
    if (none ? current.redrive_policy.has_value() : given.redrive_policy != current.redrive_policy)
      return kRedrivePolicy;
  }
  if (given.durability.has_value() && given.durability != current.durability) return kDurability;
  if (given.body_charset.has_value() && given.body_charset != current.body_charset)
    return kBodyCharset;
  return "";
}

}  // namespace internal
}  // namespace barista
