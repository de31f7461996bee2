#ifndef BARISTA_CLIENT_LOAD_GRPC_UNARY_TARGET_H_
#define BARISTA_CLIENT_LOAD_GRPC_UNARY_TARGET_H_

#include <memory>

#include "client/load/grpc/connections.h"
#include "client/load/load_target.h"

namespace barista::load {

// A `barista serve`, by unary calls.
std::unique_ptr<LoadTarget> NewUnaryTarget(std::unique_ptr<Connections> connections);

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_GRPC_UNARY_TARGET_H_
