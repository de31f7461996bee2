#ifndef BROKER_SERVER_ADMIN_SERVICE_H_
#define BROKER_SERVER_ADMIN_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "barista/broker.h"
#include "barista/v1/admin.grpc.pb.h"
#include "broker/server/admin_call.h"
#include "broker/server/executor.h"

namespace barista::server {

// The gRPC API of administration (proto/barista/v1/admin.proto) on a Broker. Thread-safe. Every
// call runs on the executor, so no thread of gRPC ever blocks.
class AdminService final : public v1::AdminService::CallbackService {
 public:
  // Both outlive the service's last call.
  AdminService(Broker* broker, Executor* executor) : broker_(broker), executor_(executor) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* Backup(Context*, const v1::BackupRequest*, v1::BackupResponse*) override;

 private:
  // Every call of this service comes through here: who may make it is decided in this place.
  Reactor* Begin(AdminCall::Work work);

  Broker* const broker_;
  Executor* const executor_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_SERVICE_H_
