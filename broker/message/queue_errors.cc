#include "broker/message/queue_errors.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::internal {

absl::Status QueueDoesNotExist(absl::string_view name) {
  return MakeError(
      absl::StatusCode::kNotFound,
      absl::StrCat("The specified queue does not exist: ", name.substr(0, 128)),
      {.reason = "QueueDoesNotExist", .field = "QueueName", .value = std::string(name)});
}

absl::Status BrokerClosed() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "the broker is closed",
                   {.reason = "BrokerClosed"});
}

}  // namespace barista::internal
