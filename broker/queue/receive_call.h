#ifndef BARISTA_BROKER_QUEUE_RECEIVE_CALL_H_
#define BARISTA_BROKER_QUEUE_RECEIVE_CALL_H_

#include <cstdint>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "barista/queue.h"
#include "broker/core/timer.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

// A receive that could not be answered at once: it waits in the queue's list, and whoever makes
// messages visible runs it again. No thread waits with it. Thread-safe.
//
//   RUNNING --nothing there--> PARKED --woken--> RUNNING ... --> DONE (callback called, exactly
//   once)
//
// Cancel and timeout finish a parked call at once; of a running one they are remembered and take
// effect when it would park.
class ReceiveCall final : public PendingReceive, public std::enable_shared_from_this<ReceiveCall> {
 public:
  // `deadline_ns`: monotonic time until which to wait for messages; 0: do not.
  ReceiveCall(std::shared_ptr<StandardQueue> queue, int max_messages, int64_t visibility_ns,
              int64_t deadline_ns, Queue::ReceiveCallback done)
      : queue_(std::move(queue)),
        max_messages_(max_messages),
        visibility_ns_(visibility_ns),
        deadline_ns_(deadline_ns),
        callback_(std::move(done)) {}

  // Begins: goes on with what `taken` holds if it has to be committed, else makes the first
  // attempt.
  void Start(StandardQueue::Taken taken);
  // One attempt, by the thread that owns the RUNNING call. True if the call is done or went to the
  // commit log; false if it parked.
  bool Run();
  // Goes on after the attempt's operation: `status` of the commit, `messages` to deliver.
  void Committed(const absl::Status& status, StandardQueue::Taken taken);

  void Cancel() override;
  // Ends the call with `status` (OK: an empty answer) unless it is about to be answered.
  void End(const absl::Status& status);
  bool done() const;

 private:
  friend class StandardQueue;
  enum class Phase { kRunning, kParked, kDone };

  // Hands what was taken to the commit log, which calls Committed.
  void Commit(StandardQueue::Taken taken);
  // PARKED -> RUNNING, by whoever takes it from its list. Under queue_->receives_mutex_.
  void Unpark() ABSL_NO_THREAD_SAFETY_ANALYSIS;

  absl::Status OverLimit() const;
  // Parks unless it has to end; true if it ended instead.
  bool Park(bool for_page, bool in_front);
  void Finish(absl::StatusOr<std::vector<ReceivedMessage>> result);

  const std::shared_ptr<StandardQueue> queue_;
  const int max_messages_;
  const int64_t visibility_ns_;
  const int64_t deadline_ns_;
  Queue::ReceiveCallback callback_;

  // Under queue_->receives_mutex_.
  Phase phase_ = Phase::kRunning;
  bool end_requested_ = false;
  bool cancel_requested_ = false;
  absl::Status end_status_;
  bool parked_for_page_ = false;
  bool was_parked_ = false;
  std::list<std::shared_ptr<ReceiveCall>>::iterator place_;
};

// Ends a call at its deadline.
class ReceiveTimeout final : public core::TimerNode {
 public:
  explicit ReceiveTimeout(std::shared_ptr<ReceiveCall> call) : call_(std::move(call)) {}
  int64_t Fire(int64_t) override {
    call_->End(absl::OkStatus());
    return core::kNever;
  }
  bool Dead() const override { return call_->done(); }

 private:
  const std::shared_ptr<ReceiveCall> call_;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_RECEIVE_CALL_H_
