#include "broker/server/admin_call.h"

#include <utility>

#include "broker/server/grpc_status.h"

namespace barista::server {

void AdminCall::Start(Executor* executor, Work work) {
  const bool accepted = executor->TrySubmit([this, work = std::move(work)]() mutable {
    End(work([this] { return cancelled_.load(std::memory_order_relaxed); }));
  });
  if (!accepted) End(ServerBusy());
}

void AdminCall::End(const absl::Status& status) {
  const grpc::Status answer = ToGrpcStatus(status);
  counted_.End(answer);
  Finish(answer);
}

}  // namespace barista::server
