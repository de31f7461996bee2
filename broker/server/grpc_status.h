#ifndef BROKER_SERVER_GRPC_STATUS_H_
#define BROKER_SERVER_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "barista/v1/error.pb.h"

namespace barista::server {

// The one place where errors of the engine become errors of the gRPC API. The codes are the same;
// the ErrorInfo travels in `grpc-status-details-bin` as proto/barista/v1/error.proto says.
// Thread-safe.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The error of one entry. `status` is not OK.
void EncodeError(const absl::Status& status, v1::Error* error);

// kUnavailable/ServerDraining: how streams end when the server does.
absl::Status ServerDraining();
// kInvalidArgument/MalformedRequest: bytes that are no request of their method.
absl::Status MalformedRequest();

}  // namespace barista::server

#endif  // BROKER_SERVER_GRPC_STATUS_H_
