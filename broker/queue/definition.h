#ifndef BARISTA_BROKER_QUEUE_DEFINITION_H_
#define BARISTA_BROKER_QUEUE_DEFINITION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "barista/queue_attributes.h"

namespace barista::internal {

// The stored form of what is durable in a description (not arn and counts): JSON with a version, so
// that a later version may add to it.
std::string EncodeDefinition(const QueueDescription& description);
// kDataLoss/DataCorrupt; kFailedPrecondition/DataDirectoryTooNew.
absl::StatusOr<QueueDescription> DecodeDefinition(absl::string_view definition);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_DEFINITION_H_
