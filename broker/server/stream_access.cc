#include "broker/server/stream_access.h"

#include "broker/server/grpc_caller.h"

namespace barista::server {

StreamAccess::StreamAccess(Access* access, const grpc::ServerContextBase& context,
                           absl::string_view action)
    : access_(access), action_(action), caller_(GrpcCaller(context)) {}

}  // namespace barista::server
