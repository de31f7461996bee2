#include "broker/server/admin_service.h"

#include <utility>

#include "absl/status/statusor.h"

namespace barista::server {

AdminService::Reactor* AdminService::Begin(AdminCall::Work work) {
  auto* const call = new AdminCall;
  call->Start(executor_, std::move(work));
  return call;
}

AdminService::Reactor* AdminService::Backup(Context*, const v1::BackupRequest* request,
                                            v1::BackupResponse* response) {
  return Begin([=, this](const AdminCall::Cancelled& cancelled) -> absl::Status {
    const absl::StatusOr<BackupResult> result =
        broker_->Backup(request->directory(), [&](const FileProgress&) { return !cancelled(); });
    if (!result.ok()) return result.status();
    response->set_files(result->files);
    response->set_bytes(result->bytes);
    return absl::OkStatus();
  });
}

}  // namespace barista::server
