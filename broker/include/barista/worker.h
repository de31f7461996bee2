#ifndef BARISTA_WORKER_H_
#define BARISTA_WORKER_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/message.h"
#include "barista/queue.h"

namespace barista {

inline constexpr int kMaxWorkerConcurrency = 1000;

struct WorkerOptions {
  // Handlers at work at a time, each on a thread of the worker's: [1, kMaxWorkerConcurrency]. As
  // many messages again are fetched ahead.
  int concurrency = 1;
  // After a handler's error its message becomes visible so much later, [0s, 12h].
  absl::Duration retry_delay = absl::ZeroDuration();
  // As in ConsumeOptions.
  std::optional<absl::Duration> visibility_timeout = std::nullopt;
  bool heartbeat = true;
  // Is told what the worker goes on after, for a log: why it consumes again after a pause, and
  // deletes and releases that failed. On a thread of the worker's; empty: nobody is told.
  std::function<void(const absl::Status&)> on_trouble = {};
};

// Calls a handler with each message of a queue and does the rest, for an embedded broker as for a
// remote one: the message is deleted after OK, and released after an error, to come again; to give
// up after some attempts, create the queue with a redrive policy. The handler is called by several
// threads at a time and must not throw. Delivery is at least once. Thread-safe.
//
// After kUnavailable and kResourceExhausted (a connection that breaks, a broker that ends, or is
// short of something) the worker consumes again when the handlers at work have returned, after
// pauses that grow from 50 ms to 5 s, each a random part of that, so that workers do not come back
// together. What these handlers were at work on may have been handed out again by then.
//
// No signal handlers are installed: call Stop where the program ends.
class Worker {
 public:
  using Handler = std::function<absl::Status(const ReceivedMessage&)>;

  // Starts to work. kInvalidArgument/InvalidParameterValue: an option out of its range. What is
  // wrong with the queue is told by Wait.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(Queue queue, const WorkerOptions& options,
                                                       Handler handler);

  // Stop and Wait: not in a handler. Before the embedded broker is gone.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Lets handlers at work finish and begins no other; what was fetched ahead is visible to others
  // at once. Returns at once, callable from anywhere, any number of times.
  void Stop();

  // Until all handlers have returned and what they did to their messages is done: OK after Stop, or
  // the error that another attempt would not help: kNotFound/QueueDoesNotExist, kPermissionDenied/
  // AccessDenied, kFailedPrecondition/BrokerClosed. Not in a handler.
  absl::Status Wait();

 private:
  class Work;
  explicit Worker(std::unique_ptr<Work> work);
  const std::unique_ptr<Work> work_;
};

}  // namespace barista

#endif  // BARISTA_WORKER_H_
