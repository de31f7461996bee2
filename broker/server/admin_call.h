#ifndef BROKER_SERVER_ADMIN_CALL_H_
#define BROKER_SERVER_ADMIN_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "broker/server/executor.h"
#include "broker/server/grpc_calls.h"
#include "broker/server/security/client_limit.h"

namespace barista::server {

// A unary call whose work may take long or whose reply may be large, on the executor: it learns
// when its caller is gone. gRPC owns the time of its end: it deletes itself in OnDone.
class AdminCall final : public grpc::ServerUnaryReactor {
 public:
  // True once the caller has given the call up, or its connection or the server has ended.
  // Only during the work.
  using Cancelled = std::function<bool()>;
  using Work = absl::AnyInvocable<absl::Status(const Cancelled& cancelled)>;

  explicit AdminCall(const GrpcCall& counted) : counted_(counted) {}

  // Runs `work` and ends the call with its status; kResourceExhausted/ServerBusy without running it
  // if too much waits. Once, in the handler; nothing of the call may be touched afterwards, but it
  // is to be returned.
  void Start(Executor* executor, Work work);
  // Ends the call with `status` instead.
  void Refuse(const absl::Status& status) { End(status); }

  // Has `room` until the reply has left. During the work.
  void Keep(ClientLimit::Share room) { room_.emplace(std::move(room)); }

  void OnCancel() override { cancelled_.store(true, std::memory_order_relaxed); }
  void OnDone() override { delete this; }

 private:
  void End(const absl::Status& status);

  const GrpcCall counted_;
  // OnCancel stores it, the work loads it now and then. It publishes nothing else, so relaxed is
  // enough: late by one look at worst.
  std::atomic<bool> cancelled_{false};
  std::optional<ClientLimit::Share> room_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_CALL_H_
