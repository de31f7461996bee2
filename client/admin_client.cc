#include "client/admin_client.h"

#include <grpcpp/client_context.h>

#include <chrono>
#include <utility>

namespace barista::client {

absl::StatusOr<std::unique_ptr<AdminClient>> AdminClient::Open(const ChannelOptions& options,
                                                               absl::Duration timeout) {
  auto channel = OpenChannel(options);
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<AdminClient>(
      new AdminClient(options.server, v1::AdminService::NewStub(*channel), timeout));
}

AdminClient::AdminClient(absl::string_view server, std::unique_ptr<v1::AdminService::Stub> stub,
                         absl::Duration timeout)
    : server_(server), stub_(std::move(stub)), timeout_(timeout) {}

absl::StatusOr<v1::BackupResponse> AdminClient::Backup(const v1::BackupRequest& request) {
  grpc::ClientContext context;
  if (timeout_ != absl::InfiniteDuration()) {
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout_));
  }
  v1::BackupResponse response;
  const grpc::Status status = stub_->Backup(&context, request, &response);
  if (!status.ok()) return FromCallStatus(status, server_, timeout_);
  return response;
}

}  // namespace barista::client
