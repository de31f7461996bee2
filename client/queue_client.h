#ifndef BARISTA_CLIENT_QUEUE_CLIENT_H_
#define BARISTA_CLIENT_QUEUE_CLIENT_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/v1/queue.grpc.pb.h"
#include "client/channel.h"

namespace barista::client {

// Gives up calls from another thread. Thread-safe. Outlives the calls that it is given to.
class CallCanceller {
 public:
  // Ends the running calls and each later one with kCancelled.
  void Cancel();
  bool cancelled() const;

 private:
  friend class QueueClient;
  void Add(grpc::ClientContext* call);
  void Remove(grpc::ClientContext* call);

  // std::mutex: the annotated one belongs to the engine, which no arrow of this room reaches.
  // Guards what follows.
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  std::set<grpc::ClientContext*> calls_;
};

// A call in flight with all that must live as long as it does.
template <typename Request, typename Response>
struct AsyncCall {
  AsyncCall() = default;
  virtual ~AsyncCall() = default;

  grpc::ClientContext context;
  Request request;
  Response response;
  // The result, once the callback runs.
  absl::Status status;
};
using SendMessageCall = AsyncCall<v1::SendMessageRequest, v1::SendMessageResponse>;
using DeleteMessageCall = AsyncCall<v1::DeleteMessageRequest, v1::DeleteMessageResponse>;

// Calls of barista.v1.QueueService on one broker; the proto is the contract of each. Thread-safe.
// Holds a share of its channel.
//
// Errors: the broker's, with ErrorInfo (barista/error.h). kUnavailable without a reason: no broker
// can be reached. kDeadlineExceeded without a reason: it did not answer within `timeout` (and, for
// a receive, its wait). Of a write that ended with either it is not known whether it happened.
class QueueClient {
 public:
  // kInvalidArgument: as OpenChannel.
  static absl::StatusOr<std::unique_ptr<QueueClient>> Open(const ChannelOptions& options,
                                                           absl::Duration timeout);

  absl::StatusOr<v1::CreateQueueResponse> CreateQueue(const v1::CreateQueueRequest& request);
  absl::StatusOr<v1::GetQueueResponse> GetQueue(const v1::GetQueueRequest& request);
  absl::Status SetQueueAttributes(const v1::SetQueueAttributesRequest& request);
  absl::Status DeleteQueue(const v1::DeleteQueueRequest& request);
  absl::StatusOr<v1::ListQueuesResponse> ListQueues(const v1::ListQueuesRequest& request);
  absl::Status PurgeQueue(const v1::PurgeQueueRequest& request);
  absl::Status TagQueue(const v1::TagQueueRequest& request);
  absl::Status UntagQueue(const v1::UntagQueueRequest& request);

  absl::StatusOr<v1::SendMessageResponse> SendMessage(const v1::SendMessageRequest& request);
  // Blocks until there is a message, the wait has passed or `canceller` (may be null) gives the
  // call up.
  absl::StatusOr<v1::ReceiveMessageResponse> ReceiveMessage(
      const v1::ReceiveMessageRequest& request, CallCanceller* canceller);
  absl::StatusOr<v1::DeleteMessageResponse> DeleteMessage(const v1::DeleteMessageRequest& request);
  absl::StatusOr<v1::ChangeMessageVisibilityResponse> ChangeMessageVisibility(
      const v1::ChangeMessageVisibilityRequest& request);
  absl::StatusOr<v1::PeekMessagesResponse> PeekMessages(const v1::PeekMessagesRequest& request);

  // Starts `call` and returns; `done` runs once on a thread of gRPC, must be quick, and gets the
  // call back.
  void StartSendMessage(std::unique_ptr<SendMessageCall> call,
                        std::function<void(std::unique_ptr<SendMessageCall>)> done);
  void StartDeleteMessage(std::unique_ptr<DeleteMessageCall> call,
                          std::function<void(std::unique_ptr<DeleteMessageCall>)> done);

 private:
  QueueClient(absl::string_view server, std::unique_ptr<v1::QueueService::Stub> stub,
              absl::Duration timeout);

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::QueueService::Stub::*method)(grpc::ClientContext*,
                                                                               const Request&,
                                                                               Response*),
                                const Request& request);
  absl::Status ToStatus(const grpc::Status& status) const;

  const std::string server_;
  const std::unique_ptr<v1::QueueService::Stub> stub_;
  const absl::Duration timeout_;
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_QUEUE_CLIENT_H_
