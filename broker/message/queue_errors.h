#ifndef BARISTA_BROKER_MESSAGE_QUEUE_ERRORS_H_
#define BARISTA_BROKER_MESSAGE_QUEUE_ERRORS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace barista::internal {

// What every operation on a queue may answer. kNotFound/QueueDoesNotExist.
absl::Status QueueDoesNotExist(absl::string_view name);
// kFailedPrecondition/BrokerClosed.
absl::Status BrokerClosed();

}  // namespace barista::internal

#endif  // BARISTA_BROKER_MESSAGE_QUEUE_ERRORS_H_
