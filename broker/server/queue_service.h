#ifndef BROKER_SERVER_QUEUE_SERVICE_H_
#define BROKER_SERVER_QUEUE_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "barista/broker.h"
#include "barista/v1/queue.grpc.pb.h"
#include "broker/server/access.h"
#include "broker/server/executor.h"
#include "broker/server/grpc_calls.h"
#include "broker/server/queue_methods.h"
#include "broker/server/receive_call.h"
#include "broker/server/stream_reactor.h"

namespace barista::server {

// The gRPC API of queues (proto/barista/v1/queue.proto) on a Broker. Thread-safe.
//
// No thread of gRPC ever blocks: messages go through the engine's callback forms, calls on
// definitions and the looking ones through the executor.
class QueueService final : public QueueMethods {
 public:
  // Everything outlives the service's last call. `url_prefix` goes before the name in a queue's
  // URL.
  QueueService(Broker* broker, Executor* executor, Access* access, DrainList* drains,
               GrpcCalls* calls);

  // Before the first call.
  void set_url_prefix(std::string prefix) { url_prefix_ = std::move(prefix); }

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* CreateQueue(Context*, const v1::CreateQueueRequest*, v1::CreateQueueResponse*) override;
  Reactor* GetQueue(Context*, const v1::GetQueueRequest*, v1::GetQueueResponse*) override;
  Reactor* SetQueueAttributes(Context*, const v1::SetQueueAttributesRequest*,
                              v1::SetQueueAttributesResponse*) override;
  Reactor* DeleteQueue(Context*, const v1::DeleteQueueRequest*, v1::DeleteQueueResponse*) override;
  Reactor* ListQueues(Context*, const v1::ListQueuesRequest*, v1::ListQueuesResponse*) override;
  Reactor* PurgeQueue(Context*, const v1::PurgeQueueRequest*, v1::PurgeQueueResponse*) override;
  Reactor* TagQueue(Context*, const v1::TagQueueRequest*, v1::TagQueueResponse*) override;
  Reactor* UntagQueue(Context*, const v1::UntagQueueRequest*, v1::UntagQueueResponse*) override;

  Reactor* SendMessage(Context*, const v1::SendMessageRequest*, v1::SendMessageResponse*) override;
  Reactor* ReceiveMessage(Context*, const v1::ReceiveMessageRequest*,
                          v1::ReceiveMessageResponse*) override;
  Reactor* DeleteMessage(Context*, const v1::DeleteMessageRequest*,
                         v1::DeleteMessageResponse*) override;
  Reactor* ChangeMessageVisibility(Context*, const v1::ChangeMessageVisibilityRequest*,
                                   v1::ChangeMessageVisibilityResponse*) override;
  Reactor* PeekMessages(Context*, const v1::PeekMessagesRequest*,
                        v1::PeekMessagesResponse*) override;

  RawStream* SendStream(Context*) override;
  RawStream* ConsumeStream(Context*) override;

 private:
  // A unary call under way, answered by Finish, once.
  struct Unary {
    void Finish(const grpc::Status& status) const {
      call.End(status);
      reactor->Finish(status);
    }
    Reactor* FinishNow(const absl::Status& status) const;

    Reactor* reactor;
    GrpcCall call;
  };
  Unary Begin(Context* context, absl::string_view method, absl::string_view queue = "") const;
  // Makes `handle` what runs for the unary `method`, with an answer to bytes that are no request.
  template <typename Request, typename Response>
  void Serve(const std::string& method,
             Reactor* (QueueService::*handle)(Context*, const Request*, Response*));
  // Runs `work` on the executor and ends the call with its status.
  Reactor* Submit(Unary unary, absl::AnyInvocable<absl::Status()> work);
  absl::Status Describe(Queue queue, v1::Queue* out) const;
  // Whether the caller may do `action`, an RPC by its name, on `queue` now.
  absl::Status Check(const Context& context, absl::string_view action, absl::string_view queue);
  // The same for the queue to which `attributes` would let messages be moved, if there is one: who
  // may not define a queue may not have messages put into it either.
  absl::Status CheckRedrive(const Context& context, absl::string_view action,
                            const QueueAttributes& attributes);

  Broker* const broker_;
  Executor* const executor_;
  Access* const access_;
  DrainList* const drains_;
  GrpcCalls* const calls_;
  std::string url_prefix_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_QUEUE_SERVICE_H_
