#include "broker/server/admin_service.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "broker/server/grpc_caller.h"
#include "broker/server/grpc_status.h"
#include "broker/server/unary_handler.h"

namespace barista::server {

AdminService::AdminService(Broker* broker, Executor* executor, Access* access, GrpcCalls* calls)
    : broker_(broker), executor_(executor), access_(access), calls_(calls) {
  Serve("Backup", &AdminService::Backup);
}

template <typename Request, typename Response>
void AdminService::Serve(const std::string& method,
                         Reactor* (AdminService::*handle)(Context*, const Request*, Response*)) {
  const auto refuse = [this, method](Context* context) -> Reactor* {
    return Begin(context, method,
                 [](const AdminCall::Cancelled&) -> absl::Status { return MalformedRequest(); });
  };
  MarkMethodCallback(
      IndexOfMethod(v1::AdminService::service_full_name(), method),
      new UnaryHandler<Request, Response>(
          [this, handle](Context* context, const Request* request, Response* response) {
            return (this->*handle)(context, request, response);
          },
          refuse));
}

AdminService::Reactor* AdminService::Begin(Context* context, absl::string_view action,
                                           AdminCall::Work work) {
  auto* const call =
      new AdminCall(calls_->Begin(context, absl::StrCat("barista.v1.AdminService/", action)));
  const absl::Status allowed = access_->Check(GrpcCaller(*context), action, "");
  if (allowed.ok()) {
    call->Start(executor_, std::move(work));
  } else {
    call->Refuse(allowed);
  }
  return call;
}

AdminService::Reactor* AdminService::Backup(Context* context, const v1::BackupRequest* request,
                                            v1::BackupResponse* response) {
  return Begin(context, "Backup", [=, this](const AdminCall::Cancelled& cancelled) -> absl::Status {
    const absl::StatusOr<BackupResult> result =
        broker_->Backup(request->directory(), [&](const FileProgress&) { return !cancelled(); });
    if (!result.ok()) return result.status();
    response->set_files(result->files);
    response->set_bytes(result->bytes);
    return absl::OkStatus();
  });
}

}  // namespace barista::server
