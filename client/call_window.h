#ifndef BARISTA_CLIENT_CALL_WINDOW_H_
#define BARISTA_CLIENT_CALL_WINDOW_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace barista::client {

// Keeps several calls in flight and gives them back as they end. `Call` is an AsyncCall or a struct
// derived from one.
//
// Used by one thread, beside the threads of gRPC that end the calls. The destructor waits for the
// calls that are in flight, so the starter and what it refers to must outlive the window. Memory:
// the calls in flight; how many that are is the user's business.
template <typename Call>
class CallWindow {
 public:
  using Done = std::function<void(std::unique_ptr<Call>)>;
  // Starts a call and returns; the Done runs once, on any thread.
  using Starter = std::function<void(std::unique_ptr<Call>, Done)>;

  explicit CallWindow(Starter start) : start_(std::move(start)) {}
  ~CallWindow() {
    while (in_flight_ > 0) Next();
  }
  CallWindow(const CallWindow&) = delete;
  CallWindow& operator=(const CallWindow&) = delete;

  void Start(std::unique_ptr<Call> call) {
    ++in_flight_;
    start_(std::move(call), [this](std::unique_ptr<Call> ended) {
      std::lock_guard<std::mutex> lock(mutex_);
      ended_.push_back(std::move(ended));
      cv_.notify_one();  // Under the lock: the thread that takes the last call may destroy *this.
    });
  }

  // Calls started and not yet given back.
  int in_flight() const { return in_flight_; }

  // Waits until a call has ended and gives it back. There must be one in flight.
  std::unique_ptr<Call> Next() {
    std::unique_lock<std::mutex> lock(mutex_);
    cv_.wait(lock, [this] { return !ended_.empty(); });
    return Take();
  }

  // A call that has ended already; null if there is none.
  std::unique_ptr<Call> TryNext() {
    std::lock_guard<std::mutex> lock(mutex_);
    return ended_.empty() ? nullptr : Take();
  }

 private:
  std::unique_ptr<Call> Take() {
    std::unique_ptr<Call> call = std::move(ended_.front());
    ended_.pop_front();
    --in_flight_;
    return call;
  }

  const Starter start_;
  int in_flight_ = 0;  // the using thread's
  std::mutex mutex_;   // guards what follows
  std::condition_variable cv_;
  std::deque<std::unique_ptr<Call>> ended_;
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_CALL_WINDOW_H_
