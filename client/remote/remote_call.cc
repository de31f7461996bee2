#include "client/remote/remote_call.h"

#include <chrono>

#include "absl/time/clock.h"
#include "broker/message/queue_errors.h"

namespace barista::client {

RemoteCall::RemoteCall(std::shared_ptr<Connection> connection, Repeatable repeatable,
                       AtClose at_close, absl::Duration timeout)
    : connection_(std::move(connection)),
      repeatable_(repeatable),
      at_close_(at_close),
      timeout_(timeout) {}

void RemoteCall::Start() {
  deadline_ = absl::Now() + timeout_;
  if (absl::Status status = connection_->Begin(shared_from_this()); !status.ok()) {
    return Finish(status);
  }
  Attempt();
}

void RemoteCall::Attempt() {
  // (An alarm keeps what it calls, which keeps us, until it is destroyed.)
  std::unique_ptr<grpc::Alarm> rung;
  grpc::ClientContext* context = nullptr;
  absl::Status stop;
  {
    MutexLock lock(&mutex_);
    rung = std::move(pause_);
    stop = given_up_;
    if (stop.ok() && last_attempt_ && attempts_ > 0) stop = failure_;
    if (stop.ok()) {
      ++attempts_;
      context_ = std::make_unique<grpc::ClientContext>();
      context_->set_deadline(absl::ToChronoTime(deadline_));
      // What must not be repeated is not sent before somebody is there.
      context_->set_wait_for_ready(repeatable_ == Repeatable::kNo);
      context = context_.get();
    }
  }
  if (context == nullptr) return End(stop);
  StartAttempt(context, [self = shared_from_this()](const grpc::Status& status) {
    self->OnAttemptDone(self->connection_->ToStatus(status));
  });
}

void RemoteCall::OnAttemptDone(const absl::Status& status) {
  absl::Status end = status;
  bool again = false;
  if (!status.ok()) {
    MutexLock lock(&mutex_);
    const RetryPolicy& retry = connection_->options().retry;
    if (!given_up_.ok()) {
      end = given_up_;
    } else if (!last_attempt_ && attempts_ < retry.max_attempts && MayRetry(status, repeatable_)) {
      const absl::Time next = absl::Now() + Backoff(retry, attempts_);
      if (next < deadline_) {
        again = true;
        failure_ = status;
        pause_ = std::make_unique<grpc::Alarm>();
        pause_->Set(absl::ToChronoTime(next),
                    [self = shared_from_this()](bool) { self->Attempt(); });
      }
    }
  }
  if (!again) End(end);
}

void RemoteCall::Cancel() { GiveUp(absl::CancelledError("the receive was given up")); }

void RemoteCall::OnClose() {
  if (at_close_ == AtClose::kGiveUp) return GiveUp(internal::BrokerClosed());
  MutexLock lock(&mutex_);
  last_attempt_ = true;
  if (pause_ != nullptr) pause_->Cancel();
}

void RemoteCall::GiveUp(const absl::Status& why) {
  MutexLock lock(&mutex_);
  if (!given_up_.ok()) return;
  given_up_ = why;
  // Both only ask: what they end is told on threads of gRPC.
  if (context_ != nullptr) context_->TryCancel();
  if (pause_ != nullptr) pause_->Cancel();
}

void RemoteCall::End(const absl::Status& status) {
  {
    // Has a share of the channel, which must not outlive the call. (Our user may still have us.)
    std::unique_ptr<grpc::ClientContext> context;
    MutexLock lock(&mutex_);
    context = std::move(context_);
  }
  Finish(status);
  connection_->End(this);
}

}  // namespace barista::client
