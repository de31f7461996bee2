#include "broker/server/admin_call.h"

#include <utility>

#include "broker/server/grpc_status.h"

namespace barista::server {

void AdminCall::Start(Executor* executor, Work work) {
  const bool accepted = executor->TrySubmit([this, work = std::move(work)]() mutable {
    Finish(ToGrpcStatus(work([this] { return cancelled_.load(std::memory_order_relaxed); })));
  });
  if (!accepted) Finish(ToGrpcStatus(ServerBusy()));
}

}  // namespace barista::server
