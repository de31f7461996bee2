#ifndef BROKER_SERVER_BATCH_REPLY_H_
#define BROKER_SERVER_BATCH_REPLY_H_

#include <grpcpp/support/status.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "barista/message.h"
#include "barista/v1/queue.pb.h"

namespace barista::server {

// Calls of several entries: which of their errors are the call's, and which the entries' (see
// QueueService in queue.proto). Stateless.

// kInvalidArgument/EmptyBatchRequest, TooManyEntriesInBatchRequest.
absl::Status CheckEntries(int entries);

// Fills `response` with one result per entry and returns the status of the call. `decoded` has one
// status per entry: not OK where the entry was refused before it reached the engine; `results` has
// the engine's answers for the others, in order.
grpc::Status ReplySends(const std::vector<absl::Status>& decoded,
                        const std::vector<absl::StatusOr<SendResult>>& results,
                        v1::SendMessageResponse* response);

// The same for entries without a result of their own. Response: DeleteMessageResponse,
// ChangeMessageVisibilityResponse.
template <typename Response>
grpc::Status ReplyStatuses(const std::vector<absl::Status>& decoded,
                           const std::vector<absl::Status>& results, Response* response);

}  // namespace barista::server

#endif  // BROKER_SERVER_BATCH_REPLY_H_
