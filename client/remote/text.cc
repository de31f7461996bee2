#include "client/remote/text.h"

#include "broker/message/attributes.h"
#include "broker/message/validation.h"

namespace barista::client {

bool IsText(absl::string_view text) { return !internal::FirstForbiddenCharacter(text).has_value(); }

absl::Status EncodeAttributes(const QueueAttributes& attributes, TextMap* out) {
  if (attributes.redrive_policy.has_value()) {
    const std::string& target = attributes.redrive_policy->dead_letter_queue;
    if (!target.empty() && !internal::ValidateQueueName(target).ok()) {
      return internal::InvalidParameter(
          "RedrivePolicy", target, "Dead letter target does not exist.", "the name of a queue");
    }
  }
  // Of an ARN the broker reads the name.
  for (const auto& [name, value] : internal::FormatGivenAttributes(attributes, "arn:aws:sqs:::")) {
    (*out)[name] = value;
  }
  return absl::OkStatus();
}

absl::Status EncodeTags(const QueueTags& tags, TextMap* out) {
  if (absl::Status status = internal::ValidateTags(tags); !status.ok()) return status;
  for (const auto& [key, value] : tags) {
    if (!IsText(key) || !IsText(value)) {
      return internal::InvalidParameter("Tags", IsText(key) ? value : key,
                                        "Tags must be text to be sent.",
                                        "UTF-8 without most control characters");
    }
    (*out)[key] = value;
  }
  return absl::OkStatus();
}

}  // namespace barista::client
