#ifndef BROKER_SERVER_GRPC_CALLER_H_
#define BROKER_SERVER_GRPC_CALLER_H_

#include <grpcpp/server_context.h>

#include <string>

#include "absl/strings/string_view.h"
#include "broker/server/access.h"

namespace barista::server {

// Who makes a gRPC call, for Access::Check. Borrows the call's context.
class GrpcCaller final : public Caller {
 public:
  explicit GrpcCaller(const grpc::ServerContextBase& context) : context_(context) {}

  absl::string_view Authorization() const override;
  std::string Client() const override { return ClientOfPeer(context_.peer()); }

  // The address in what gRPC calls a peer: "10.1.2.3" of "ipv4:10.1.2.3:4567", "::1" of
  // "ipv6:%5B::1%5D:4567", "unix" of "unix:".
  static std::string ClientOfPeer(absl::string_view peer);

 private:
  const grpc::ServerContextBase& context_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_GRPC_CALLER_H_
