#ifndef BARISTA_CLIENT_LOAD_GRPC_STREAM_CALL_H_
#define BARISTA_CLIENT_LOAD_GRPC_STREAM_CALL_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace barista::load {

// Our side of a bidirectional stream. Thread-safe.
template <typename Request, typename Response>
class StreamCall final : private grpc::ClientBidiReactor<Request, Response> {
 public:
  using Reactor = grpc::ClientBidiReactor<Request, Response>;
  // Prepares the call with the reactor.
  using Opener = std::function<void(grpc::ClientContext*, Reactor*)>;
  // These run on a thread of gRPC, one at a time, and must be quick. They may write. The stream has
  // ended after `on_end`, which runs once.
  using OnResponse = std::function<void(Response&)>;
  using OnEnd = std::function<void(const grpc::Status&)>;

  StreamCall(const Opener& open, OnResponse on_response, OnEnd on_end)
      : on_response_(std::move(on_response)), on_end_(std::move(on_end)) {
    open(&context_, this);
    this->AddHold();  // writes begin outside of reactions
    this->StartRead(&incoming_);
    this->StartCall();
  }
  // Cancels, and waits for the end.
  ~StreamCall() override {
    context_.TryCancel();
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
  }

  // Queues a request; nothing once the stream breaks. What is queued is the caller's to bound.
  void Write(Request request) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (broken_) return;
    outgoing_.push_back(std::move(request));
    if (outgoing_.size() == 1) this->StartWrite(&outgoing_.front());
  }

 private:
  void OnReadDone(bool ok) override {
    if (ok) {
      on_response_(incoming_);
      incoming_.Clear();
      this->StartRead(&incoming_);
      return;
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      broken_ = true;
    }
    this->RemoveHold();  // no write begins any more
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    outgoing_.pop_front();
    if (!ok) broken_ = true;
    if (!broken_ && !outgoing_.empty()) this->StartWrite(&outgoing_.front());
  }

  void OnDone(const grpc::Status& status) override {
    on_end_(status);
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ = true;
    changed_.notify_all();  // Under the lock: who waits destroys this.
  }

  grpc::ClientContext context_;
  const OnResponse on_response_;
  const OnEnd on_end_;
  Response incoming_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Request> outgoing_;  // the first one is being written
  bool broken_ = false;
  bool done_ = false;
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_GRPC_STREAM_CALL_H_
