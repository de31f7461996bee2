#ifndef BROKER_SERVER_GRPC_CALLS_H_
#define BROKER_SERVER_GRPC_CALLS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/strings/string_view.h"
#include "broker/server/call_metrics.h"
#include "broker/server/request_ids.h"
#include "broker/server/security/log_gate.h"

namespace barista::server {

class GrpcCall;

// What every gRPC call passes at its begin and its end: it is counted, it has an id, and one that
// fails is in the log. Thread-safe; outlives the calls.
//
// The id is what the client gave as metadata `x-request-id`, if that is sane (RequestIds). It comes
// back as trailing metadata of that name. Without one a call that fails gets an id of ours; a call
// that succeeds gets none, since nothing is known under it: it would cost every reply an entry.
class GrpcCalls {
 public:
  explicit GrpcCalls(const CallMetrics* metrics) : metrics_(metrics) {}

  // `method` as CallMetrics::Begin wants it; `queue`, as the request names it, lasts as
  // long as the call.
  GrpcCall Begin(grpc::CallbackServerContext* context, absl::string_view method,
                 absl::string_view queue = "");

 private:
  friend GrpcCall;
  // Of an error that is not the client's, one in LogGate::kInterval is logged at info with its
  // text; the others at debug, without it: it may quote what the client has sent.
  void LogFailure(const GrpcCall& call, const grpc::Status& status, absl::string_view id);

  const CallMetrics* const metrics_;
  RequestIds ids_;
  LogGate log_gate_;
};

// One call: a value. It ends once, before its reactor's Finish is called; until then its context is
// there.
class GrpcCall {
 public:
  void End(const grpc::Status& status) const;

 private:
  friend GrpcCalls;
  GrpcCall(GrpcCalls* calls, const CallMetrics::Call& counted, grpc::CallbackServerContext* context,
           absl::string_view queue)
      : calls_(calls), counted_(counted), context_(context), queue_(queue) {}

  GrpcCalls* calls_;
  CallMetrics::Call counted_;
  grpc::CallbackServerContext* context_;
  absl::string_view queue_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_GRPC_CALLS_H_
