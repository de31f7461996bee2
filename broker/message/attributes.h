#ifndef BARISTA_BROKER_MESSAGE_ATTRIBUTES_H_
#define BARISTA_BROKER_MESSAGE_ATTRIBUTES_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/queue_attributes.h"

namespace barista::internal {

inline constexpr size_t kMaxTags = 50;
inline constexpr size_t kMaxTagKeyBytes = 128;
inline constexpr size_t kMaxTagValueBytes = 256;

// The attributes that are given, as ParseQueueAttributes reads them; of a dead-letter queue's ARN
// `arn_prefix` ends before the name.
std::map<std::string, std::string> FormatGivenAttributes(const QueueAttributes& attributes,
                                                         absl::string_view arn_prefix);

// Reads what FormatQueueAttributes writes; the description has no name, tags or age. Attributes
// that we do not know are left out: a newer broker may have more. Errors as ParseQueueAttributes.
absl::StatusOr<QueueDescription> ParseQueueDescription(
    const std::map<std::string, std::string>& text);

// Whether every given attribute is in its range. The ranges stand here and nowhere else; errors as
// ParseQueueAttributes lists them.
absl::Status ValidateQueueAttributes(const QueueAttributes& attributes);
// kInvalidArgument/InvalidParameterValue: 1 to 80 of [A-Za-z0-9_-].
absl::Status ValidateQueueName(absl::string_view name);
absl::Status ValidateTags(const QueueTags& tags);

// `given` over `base`: each attribute that is given replaces that of `base`; an empty redrive
// policy removes it.
QueueAttributes Merge(const QueueAttributes& base, const QueueAttributes& given);
// Every attribute set, but redrive_policy.
QueueAttributes DefaultQueueAttributes(Durability durability);
// The AWS name of the first attribute that is given and differs from `current`; empty if none does.
absl::string_view FirstDifference(const QueueAttributes& current, const QueueAttributes& given);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_MESSAGE_ATTRIBUTES_H_
