#ifndef BROKER_SERVER_UNARY_HANDLER_H_
#define BROKER_SERVER_UNARY_HANDLER_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <string>
#include <utility>

namespace barista::server {

// What gRPC runs for a unary method: its handler, or `refuse` when the bytes that came are no
// Request. gRPC alone would answer UNIMPLEMENTED without a word. A service gives it to
// MarkMethodCallback, which owns it. Thread-safe as the functions are; costs one virtual call.
template <typename Request, typename Response>
class UnaryHandler final : public grpc::internal::MethodHandler {
 public:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  UnaryHandler(std::function<Reactor*(Context*, const Request*, Response*)> handle,
               std::function<Reactor*(Context*)> refuse)
      : handler_(std::move(handle)),
        refuser_([refuse = std::move(refuse)](Context* context, const Request*, Response*) {
          return refuse(context);
        }) {}

  void* Deserialize(grpc_call* call, grpc_byte_buffer* bytes, grpc::Status* status,
                    void** messages) override {
    return handler_.Deserialize(call, bytes, status, messages);
  }

  void RunHandler(const HandlerParameter& parameter) override {
    if (parameter.status.ok()) return handler_.RunHandler(parameter);
    // The messages are there all the same, only that nothing is in the request.
    refuser_.RunHandler(HandlerParameter(parameter.call, parameter.server_context,
                                         parameter.request, grpc::Status::OK,
                                         parameter.internal_data, parameter.call_requester));
  }

 private:
  grpc::internal::CallbackUnaryHandler<Request, Response> handler_, refuser_;
};

// The number of `method` in `service`, both by name, as MarkMethodCallback counts.
inline int IndexOfMethod(const std::string& service, const std::string& method) {
  return google::protobuf::DescriptorPool::generated_pool()
      ->FindServiceByName(service)
      ->FindMethodByName(method)
      ->index();
}

}  // namespace barista::server

#endif  // BROKER_SERVER_UNARY_HANDLER_H_
