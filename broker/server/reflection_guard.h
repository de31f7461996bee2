#ifndef BROKER_SERVER_REFLECTION_GUARD_H_
#define BROKER_SERVER_REFLECTION_GUARD_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "broker/server/access.h"

namespace barista::server {

// Checks calls of the services that are not ours, but for health checking, which is open: that is
// reflection, which gRPC brings along without a place for a check. Ours check for themselves, since
// they know the queue. A call that is refused ends with the status of Access, without its
// ErrorInfo. `access` outlives the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeReflectionGuard(
    Access* access);

}  // namespace barista::server

#endif  // BROKER_SERVER_REFLECTION_GUARD_H_
