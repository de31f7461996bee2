#ifndef BROKER_SERVER_RECEIVE_CALL_H_
#define BROKER_SERVER_RECEIVE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "barista/v1/queue.pb.h"
#include "broker/server/access.h"
#include "broker/server/drain_list.h"
#include "broker/server/grpc_calls.h"
#include "broker/server/security/client_limit.h"

namespace barista::server {

// Room for messages in one reply: what gRPC lets a client receive by default (4 MiB), less the
// frame around them.
inline constexpr size_t kMaxReplyBytes = (4 << 20) - (4 << 10);

// One ReceiveMessage call. gRPC owns the time of its end: it deletes itself in OnDone.
//
// A call that is gone before its reply has left takes nothing: while it waits, OnCancel gives the
// receive up; when messages have been taken already, they go back through Queue::ReturnUndelivered,
// from OnReceived if the call is known to be gone by then, else from OnDone, when gRPC knows
// whether the reply could be sent. No thread is held while it waits.
//
// A call that has to wait takes a place among its client's streams, a large reply takes room until
// it has left (Access); who gets none is refused, and its messages go back.
class ReceiveCall final : public grpc::ServerUnaryReactor {
 public:
  // `context`, `request` and `response` are gRPC's and last until OnDone. Start() once, in the
  // handler; nothing of the call may be touched after the handler has returned it.
  ReceiveCall(grpc::CallbackServerContext* context, const v1::ReceiveMessageRequest* request,
              v1::ReceiveMessageResponse* response, Access* access, DrainList* drains,
              GrpcCall counted);

  void Start(Queue queue);

  void OnCancel() override;
  void OnDone() override;

 private:
  // Counts the call and answers it.
  void End(const grpc::Status& status);
  void OnReceived(absl::StatusOr<std::vector<ReceivedMessage>> received);
  // Moves what fits into the reply and puts the rest back; all of it if there is no room for it.
  absl::Status FillReply(const std::vector<ReceivedMessage>& messages);

  grpc::CallbackServerContext* const context_;
  const v1::ReceiveMessageRequest* const request_;
  v1::ReceiveMessageResponse* const response_;
  Access* const access_;
  DrainList* const drains_;
  const GrpcCall counted_;
  Queue queue_;
  // Written before the handler returns, read by OnCancel, which gRPC calls after that.
  std::shared_ptr<PendingReceive> pending_;
  // Why a call that had to wait was not let: written before it is given up for it, read if it was.
  absl::Status refused_;
  std::optional<ClientLimit::Share> place_, room_;
  // Start sets it when it has taken the place, OnReceived when that is not needed any more; who
  // comes second gives it back, so that the client's next call finds it free. Both acquire and
  // release: the second sees the place that the first has written.
  std::atomic<bool> place_settled_{false};
  // The handles in the reply: written before Finish, read by OnDone.
  std::vector<ReceiptHandle> replied_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_RECEIVE_CALL_H_
