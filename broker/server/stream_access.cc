#include "broker/server/stream_access.h"

#include <utility>

#include "broker/server/grpc_caller.h"

namespace barista::server {

StreamAccess::StreamAccess(Access* access, const grpc::ServerContextBase& context,
                           absl::string_view action)
    : access_(access), action_(action), caller_(GrpcCaller(context)) {}

absl::Status StreamAccess::Open() {
  if (absl::Status allowed = access_->Check(caller_, "OpenStream", ""); !allowed.ok()) {
    return allowed;
  }
  auto place = access_->TakeStream(caller_);
  if (!place.ok()) return place.status();
  place_.emplace(*std::move(place));
  return absl::OkStatus();
}

}  // namespace barista::server
