#include "broker/server/visibility_entries.h"

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/error.h"
#include "broker/server/message_codec.h"

namespace barista::server {
namespace {

constexpr char kField[] = "VisibilityTimeout";

absl::StatusOr<VisibilityChange> Decode(const v1::ChangeMessageVisibilityEntry& entry) {
  const absl::StatusOr<ReceiptHandle> handle = ReceiptHandle::Parse(entry.receipt_handle());
  if (!handle.ok()) return handle.status();
  if (entry.undelivered()) {
    if (!entry.has_visibility_timeout()) return VisibilityChange{*handle, absl::ZeroDuration()};
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        "An entry that was not delivered must not have the parameter "
        "VisibilityTimeout.",
        {.reason = "InvalidParameterValue",
         .field = kField,
         .value = absl::FormatDuration(absl::Seconds(entry.visibility_timeout().seconds())),
         .limit = "none beside undelivered"});
  }
  if (!entry.has_visibility_timeout()) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     "The request must contain the parameter VisibilityTimeout.",
                     {.reason = "MissingParameter", .field = kField});
  }
  const absl::StatusOr<absl::Duration> timeout = DecodeDuration(kField, entry.visibility_timeout());
  if (!timeout.ok()) return timeout.status();
  return VisibilityChange{*handle, *timeout, entry.last_receive_only()};
}

}  // namespace

VisibilityEntries::VisibilityEntries(const v1::ChangeMessageVisibilityRequest& request) {
  const auto entries = static_cast<size_t>(request.entries_size());
  changes_.reserve(entries);
  decoded_.reserve(entries);
  for (const v1::ChangeMessageVisibilityEntry& entry : request.entries()) {
    const absl::StatusOr<VisibilityChange> change = Decode(entry);
    decoded_.push_back(change.status());
    if (!change.ok()) continue;
    asked_.push_back(!entry.undelivered());
    if (entry.undelivered()) {
      undelivered_.push_back(change->receipt_handle);
    } else {
      changes_.push_back(*change);
    }
  }
}

std::vector<absl::Status> VisibilityEntries::ResultsWith(
    std::vector<absl::Status> of_changes) const {
  if (undelivered_.empty()) return of_changes;
  std::vector<absl::Status> results(asked_.size());
  size_t next = 0;
  for (size_t i = 0; i < asked_.size(); ++i) {
    if (asked_[i]) results[i] = std::move(of_changes[next++]);
  }
  return results;
}

}  // namespace barista::server
