#ifndef BARISTA_CLIENT_REMOTE_REMOTE_CALL_H_
#define BARISTA_CLIENT_REMOTE_REMOTE_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/queue.h"
#include "barista/v1/queue.grpc.pb.h"
#include "broker/base/callback.h"
#include "broker/base/mutex.h"
#include "client/remote/connection.h"
#include "client/remote/retry.h"

namespace barista::client {

// One call with its attempts: made, made again after a pause where MayRetry says so, and given up.
// No thread waits for it. Thread-safe. While it is under way the connection keeps it alive.
class RemoteCall : public PendingReceive,
                   public UnderWay,
                   public std::enable_shared_from_this<RemoteCall> {
 public:
  // How a call takes the end of its host.
  enum class AtClose {
    kFinish,  // the attempt under way is the last one, and is waited for
    kGiveUp,  // at once, with BrokerClosed
  };
  // `timeout`: of all attempts together, from Start on.
  RemoteCall(std::shared_ptr<Connection> connection, Repeatable repeatable, AtClose at_close,
             absl::Duration timeout);

  // Once.
  void Start();
  // PendingReceive: ends the call with kCancelled, unless it has succeeded already.
  void Cancel() override;
  // UnderWay: by the connection.
  void OnClose() override;

 protected:
  // Starts the call itself; `done` runs once, not inside of this.
  virtual void StartAttempt(grpc::ClientContext* context,
                            std::function<void(grpc::Status)> done) = 0;
  // The end, once, without a lock. Lets go of what is the user's.
  virtual void Finish(absl::Status status) = 0;
  const Connection& connection() const { return *connection_; }

 private:
  void Attempt();
  void OnAttemptDone(const absl::Status& status);
  void GiveUp(const absl::Status& why);
  void End(const absl::Status& status);

  const std::shared_ptr<Connection> connection_;
  const Repeatable repeatable_;
  const AtClose at_close_;
  const absl::Duration timeout_;
  absl::Time deadline_;

  Mutex mutex_;
  int attempts_ ABSL_GUARDED_BY(mutex_) = 0;
  bool last_attempt_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status given_up_ ABSL_GUARDED_BY(mutex_);  // OK: not
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);   // of the attempt before
  // Of the attempt under way, or the one before. (Replaced only between attempts.)
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Alarm> pause_ ABSL_GUARDED_BY(mutex_);
};

using QueueApi = v1::QueueService::StubInterface::async_interface;
// One of QueueService's unary methods.
template <typename Request, typename Response>
using Method = void (QueueApi::*)(grpc::ClientContext*, const Request*, Response*,
                                  std::function<void(grpc::Status)>);

template <typename Request, typename Response>
class UnaryCall final : public RemoteCall {
 public:
  using Done = absl::AnyInvocable<void(const absl::Status& status, Response& response)>;

  UnaryCall(const std::shared_ptr<Connection>& connection, Method<Request, Response> method,
            Request request, Repeatable repeatable, AtClose at_close, absl::Duration timeout,
            Done done)
      : RemoteCall(connection, repeatable, at_close, timeout),
        method_(method),
        request_(std::move(request)),
        done_(std::move(done)) {}

 private:
  void StartAttempt(grpc::ClientContext* context, std::function<void(grpc::Status)> done) override {
    response_.Clear();
    (connection().api()->*method_)(context, &request_, &response_, std::move(done));
  }
  void Finish(absl::Status status) override {
    done_(status, response_);
    done_ = nullptr;
  }

  const Method<Request, Response> method_;
  const Request request_;
  Response response_;
  Done done_;
};

// Starts a call that ends within the connection's timeout; `done` runs once, on a thread of gRPC or
// inside of this.
template <typename Request, typename Response, typename Done>
void StartCall(const std::shared_ptr<Connection>& connection, Method<Request, Response> method,
               Request request, Repeatable repeatable, Done done) {
  std::make_shared<UnaryCall<Request, Response>>(connection, method, std::move(request), repeatable,
                                                 RemoteCall::AtClose::kFinish,
                                                 connection->options().timeout, std::move(done))
      ->Start();
}

// The same, waited for. WouldBlock inside a callback.
template <typename Request, typename Response>
absl::StatusOr<Response> CallAndWait(const std::shared_ptr<Connection>& connection,
                                     Method<Request, Response> method, Request request,
                                     Repeatable repeatable) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  Notification finished;
  absl::StatusOr<Response> result;
  StartCall(connection, method, std::move(request), repeatable,
            [&](const absl::Status& status, Response& response) {
              if (status.ok()) {
                result = std::move(response);
              } else {
                result = status;
              }
              finished.Notify();
            });
  finished.Wait();
  return result;
}

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_REMOTE_CALL_H_
