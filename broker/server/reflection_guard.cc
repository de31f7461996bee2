#include "broker/server/reflection_guard.h"

#include <grpc/grpc.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "broker/server/grpc_caller.h"

namespace barista::server {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Guard final : public grpc::experimental::Interceptor {
 public:
  Guard(Access* access, grpc::experimental::ServerRpcInfo* call) : access_(access), call_(call) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      absl::string_view action = call_->method();
      action.remove_prefix(action.rfind('/') + 1);
      grpc::ServerContextBase& context = *call_->server_context();
      const absl::Status allowed = access_->Check(GrpcCaller(context), action, "");
      if (!allowed.ok()) {
        // As TryCancel does, with a status of its own: the handler finds the stream at its end.
        grpc_call_cancel_with_status(context.c_call(),
                                     static_cast<grpc_status_code>(allowed.raw_code()),
                                     std::string(allowed.message()).c_str(), nullptr);
      }
    }
    methods->Proceed();
  }

 private:
  Access* const access_;
  grpc::experimental::ServerRpcInfo* const call_;
};

class GuardFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit GuardFactory(Access* access) : access_(access) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* call) override {
    const absl::string_view method = call->method();
    if (absl::StartsWith(method, "/barista.") || absl::StartsWith(method, "/grpc.health.")) {
      return nullptr;
    }
    return new Guard(access_, call);
  }

 private:
  Access* const access_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeReflectionGuard(
    Access* access) {
  return std::make_unique<GuardFactory>(access);
}

}  // namespace barista::server
