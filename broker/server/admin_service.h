#ifndef BROKER_SERVER_ADMIN_SERVICE_H_
#define BROKER_SERVER_ADMIN_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "barista/broker.h"
#include "barista/v1/admin.grpc.pb.h"
#include "broker/server/access.h"
#include "broker/server/admin_call.h"
#include "broker/server/executor.h"
#include "broker/server/grpc_calls.h"

namespace barista::server {

// The gRPC API of administration (proto/barista/v1/admin.proto) on a Broker. Thread-safe. Every
// call runs on the executor, so no thread of gRPC ever blocks.
class AdminService final : public v1::AdminService::CallbackService {
 public:
  // All outlive the service's last call.
  AdminService(Broker* broker, Executor* executor, Access* access, GrpcCalls* calls);

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* Backup(Context*, const v1::BackupRequest*, v1::BackupResponse*) override;

 private:
  // Every call of this service comes through here: it is counted, and refused to who may not make
  // it. `action` is the name of the RPC.
  Reactor* Begin(Context* context, absl::string_view action, AdminCall::Work work);

  // Makes `handle` what runs for `method`, with an answer to bytes that are no request.
  template <typename Request, typename Response>
  void Serve(const std::string& method,
             Reactor* (AdminService::*handle)(Context*, const Request*, Response*));

  Broker* const broker_;
  Executor* const executor_;
  Access* const access_;
  GrpcCalls* const calls_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_SERVICE_H_
