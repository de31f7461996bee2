#ifndef BROKER_SERVER_STREAM_ACCESS_H_
#define BROKER_SERVER_STREAM_ACCESS_H_

#include <grpcpp/server_context.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "broker/server/access.h"
#include "broker/server/grpc_calls.h"
#include "broker/server/grpc_status.h"
#include "broker/server/stream_reactor.h"

namespace barista::server {

// The rights of one stream. It keeps what the call showed when it began, since a stream may name a
// queue when its context is gone. Thread-compatible.
class StreamAccess {
 public:
  // `action` is the name of the RPC, a literal. `access` outlives it.
  StreamAccess(Access* access, const grpc::ServerContextBase& context, absl::string_view action);

  // Whether the stream may begin at all: with any token, since it has not named a queue yet. It has
  // its place among its client's streams then (Access::TakeStream), for as long as this lives.
  // Once.
  absl::Status Open();
  // Whether it may use `queue`, which it names.
  absl::Status CheckQueue(absl::string_view queue) const {
    return access_->Check(caller_, action_, queue);
  }

 private:
  class KnownCaller final : public Caller {
   public:
    explicit KnownCaller(const Caller& caller)
        : authorization_(caller.Authorization()), client_(caller.Client()) {}
    absl::string_view Authorization() const override { return authorization_; }
    std::string Client() const override { return client_; }

   private:
    std::string authorization_, client_;
  };

  Access* access_;
  absl::string_view action_;
  KnownCaller caller_;
  std::optional<ClientLimit::Share> place_;
};

// A stream that may not begin: ends with `status`, and deletes itself.
class RefusedStream final : public RawStream {
 public:
  RefusedStream(const absl::Status& status, const GrpcCall& counted) {
    const grpc::Status refused = ToGrpcStatus(status);
    counted.End(refused);
    Finish(refused);
  }
  void OnDone() override { delete this; }
};

}  // namespace barista::server

#endif  // BROKER_SERVER_STREAM_ACCESS_H_
