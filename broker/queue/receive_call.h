#ifndef BARISTA_BROKER_QUEUE_RECEIVE_CALL_H_
#define BARISTA_BROKER_QUEUE_RECEIVE_CALL_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "barista/queue.h"
#include "broker/core/timer.h"
#include "broker/core/waiters.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

// A receive that could not be answered at once: it waits in the queue's lane, and whoever makes
// messages visible runs it again. No thread waits with it. Thread-safe.
//
//   RUNNING --nothing there--> PARKED --woken--> RUNNING ... --> DONE (callback called, exactly
//   once)
//
// These are the states of a waiter (core/waiters.h): one thread at a time owns the RUNNING call.
// Cancel and timeout finish a parked call at once; of a running one they are remembered and take
// effect when it would park.
class ReceiveCall final : public PendingReceive, public std::enable_shared_from_this<ReceiveCall> {
 public:
  // `deadline_ns`: monotonic time until which to wait for messages; 0: do not.
  ReceiveCall(std::shared_ptr<StandardQueue> queue, const StandardQueue::TakeLimits& limits,
              int64_t deadline_ns, Queue::ReceiveCallback done)
      : queue_(std::move(queue)),
        limits_(limits),
        deadline_ns_(deadline_ns),
        callback_(std::move(done)) {}

  // Begins: goes on with what `taken` holds if it has to be committed, else makes the first
  // attempt.
  void Start(StandardQueue::Taken taken);

  enum class Ran {
    kAway,           // done, or gone to the commit log
    kParked,         // nothing there; the caller looks again, with WakeReceives
    kParkedAtLimit,  // no room for what is there: nor is there for others
  };
  // One attempt, by the thread that owns the RUNNING call.
  Ran Run();
  // Goes on after the attempt's operation: `status` of the commit, `messages` to deliver.
  void Committed(const absl::Status& status, StandardQueue::Taken taken);
  // The owner's answer.
  void Finish(absl::StatusOr<std::vector<ReceivedMessage>> result);

  void Cancel() override { Request(kCancelled); }
  // Ends the call with an empty answer unless it is about to be answered.
  void TimeOut() { Request(kTimedOut); }
  bool done() const { return waiter_.bits == 0 || queue_->parked_.Gone(waiter_); }

 private:
  // What others ask of the call.
  static constexpr uint32_t kTimedOut = 1;
  static constexpr uint32_t kCancelled = 2;

  void Request(uint32_t request);
  // Before others hear of the call.
  void Share() {
    if (waiter_.bits == 0) waiter_ = queue_->parked_.Begin();
  }
  // Hands what was taken to the commit log, which calls Committed.
  void Commit(StandardQueue::Taken taken);
  absl::Status OverLimit() const;
  // Parks unless it has to end; false if it ended instead.
  bool Park();

  const std::shared_ptr<StandardQueue> queue_;
  const StandardQueue::TakeLimits limits_;
  const int64_t deadline_ns_;
  Queue::ReceiveCallback callback_;  // the owner's
  // Nobody while the thread that began the call is the only one that knows it: a call that is
  // answered at once never becomes a waiter. Written once, before it is shared.
  core::WaiterId waiter_;
};

// Ends a call at its deadline.
class ReceiveTimeout final : public core::TimerNode {
 public:
  explicit ReceiveTimeout(std::shared_ptr<ReceiveCall> call) : call_(std::move(call)) {}
  int64_t Fire(int64_t) override {
    call_->TimeOut();
    return core::kNever;
  }
  bool Dead() const override { return call_->done(); }

 private:
  const std::shared_ptr<ReceiveCall> call_;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_RECEIVE_CALL_H_
