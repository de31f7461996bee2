#ifndef BROKER_SERVER_EXECUTOR_H_
#define BROKER_SERVER_EXECUTOR_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"

namespace barista::server {

// A few threads for calls that may block for a commit or a disk read (definitions, purge, peek,
// metrics), so that no thread of gRPC or of the HTTP listeners ever does. Thread-safe.
class Executor {
 public:
  static constexpr size_t kMaxWaiting = 1024;

  explicit Executor(int threads);
  // Stop().
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Runs `task` soon, on one of the threads. False, and `task` is dropped: kMaxWaiting tasks wait
  // already, or Stop() was called.
  bool TrySubmit(absl::AnyInvocable<void()> task);

  // Runs what was submitted and joins the threads.
  void Stop();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<absl::AnyInvocable<void()>> waiting_;  // guarded by mutex_
  bool stopping_ = false;                           // guarded by mutex_
  std::vector<std::thread> threads_;
};

// kResourceExhausted/ServerBusy: what a call answers that the executor did not take.
absl::Status ServerBusy();

}  // namespace barista::server

#endif  // BROKER_SERVER_EXECUTOR_H_
