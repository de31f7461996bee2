#ifndef BARISTA_CLIENT_ADMIN_CLIENT_H_
#define BARISTA_CLIENT_ADMIN_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/v1/admin.grpc.pb.h"
#include "client/channel.h"

namespace barista::client {

// Calls of barista.v1.AdminService on one broker; the proto is the contract of each. Thread-safe.
// Holds a share of its channel. Errors as QueueClient's.
class AdminClient {
 public:
  // `timeout` may be infinite: these calls may take long. kInvalidArgument: as OpenChannel.
  static absl::StatusOr<std::unique_ptr<AdminClient>> Open(const ChannelOptions& options,
                                                           absl::Duration timeout);

  absl::StatusOr<v1::BackupResponse> Backup(const v1::BackupRequest& request);

 private:
  AdminClient(absl::string_view server, std::unique_ptr<v1::AdminService::Stub> stub,
              absl::Duration timeout);

  const std::string server_;
  const std::unique_ptr<v1::AdminService::Stub> stub_;
  const absl::Duration timeout_;
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_ADMIN_CLIENT_H_
