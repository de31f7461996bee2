#ifndef BARISTA_CLIENT_LOAD_GRPC_STREAM_TARGET_H_
#define BARISTA_CLIENT_LOAD_GRPC_STREAM_TARGET_H_

#include <memory>

#include "client/load/grpc/connections.h"
#include "client/load/load_target.h"

namespace barista::load {

// A `barista serve`, by streams: each producer has a SendStream, each consumer a ConsumeStream of
// each queue that it serves. They are spread over the connections.
std::unique_ptr<LoadTarget> NewStreamTarget(std::unique_ptr<Connections> connections);

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_GRPC_STREAM_TARGET_H_
