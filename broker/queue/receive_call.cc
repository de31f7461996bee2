#include "broker/queue/receive_call.h"

#include "barista/error.h"
#include "broker/base/callback.h"
#include "broker/queue/operations.h"

namespace barista::internal {

void ReceiveCall::Start(StandardQueue::Taken taken) {
  if (taken.must_commit) {
    Commit(std::move(taken));
  } else if (Run() == Ran::kParked || limits_.MayLeave()) {
    queue_->WakeReceives();
  }
  // Also for an attempt that went to the log: it may find nothing to deliver, and park.
  if (deadline_ns_ != 0 && !done()) {
    queue_->engine_->timer->Arm(deadline_ns_, std::make_unique<ReceiveTimeout>(shared_from_this()));
  }
}

void ReceiveCall::Commit(StandardQueue::Taken taken) {
  Share();
  std::shared_ptr<StandardQueue> target =
      taken.exhausted.empty() ? nullptr : queue_->DeadLetterQueue();
  queue_->engine_->log->Submit(
      new ReceiveOp(queue_, std::move(target), std::move(taken), shared_from_this()));
}

ReceiveCall::Ran ReceiveCall::Run() {
  StandardQueue& queue = *queue_;
  if (absl::Status status = queue.CheckOpen(); !status.ok()) {
    Finish(status);
    return Ran::kAway;
  }
  const bool more_on_disk = queue.MoreOnDisk();
  StandardQueue::Taken taken;
  queue.Take(limits_, &taken);
  if (taken.must_commit) {
    Commit(std::move(taken));
    return Ran::kAway;
  }
  if (!taken.messages.empty()) {
    Finish(std::move(taken.messages));
    return Ran::kAway;
  }
  if (deadline_ns_ == 0 && taken.over_limit) {
    Finish(OverLimit());
    return Ran::kAway;
  }
  if (deadline_ns_ == 0 && !more_on_disk) {
    Finish(std::vector<ReceivedMessage>());
    return Ran::kAway;
  }
  if (!Park()) return Ran::kAway;
  // Second looks, for what changed between the first and the parking: whoever changed it found
  // nobody parked. (The call may be another's by now.)
  queue.RequestPageIfLow();
  queue.LookAfterParked();
  if (taken.over_limit) {
    queue.limited_.store(true);
    if (queue.in_flight_.load() >= queue.max_in_flight_.load()) return Ran::kParkedAtLimit;
  }
  return Ran::kParked;
}

absl::Status ReceiveCall::OverLimit() const {
  return MakeError(absl::StatusCode::kResourceExhausted,
                   "Too many messages have been received without being deleted.\nPlease delete "
                   "your received messages or let them timeout before receiving more.",
                   {.reason = "OverLimit",
                    .field = "MaximumInFlightMessages",
                    .value = std::to_string(queue_->in_flight_.load()),
                    .limit = std::to_string(queue_->max_in_flight_.load())});
}

void ReceiveCall::Committed(const absl::Status& status, StandardQueue::Taken taken) {
  if (!status.ok()) {
    Finish(status);
  } else if (!taken.messages.empty()) {
    Finish(std::move(taken.messages));
    if (limits_.MayLeave()) queue_->WakeReceives();
  } else if (Run() == Ran::kParked ||
             limits_.MayLeave()) {  // Everything went to the dead-letter queue: look for more.
    queue_->WakeReceives();
  }
}

bool ReceiveCall::Park() {
  Share();
  // Counted before others may end it.
  std::atomic<int64_t>& parked = queue_->engine_->parked;
  parked.fetch_add(1, std::memory_order_relaxed);
  if (queue_->parked_.Park(waiter_, shared_from_this(),
                           deadline_ns_ == 0 ? core::Waits::kTogether : core::Waits::kInTurn)) {
    return true;
  }
  parked.fetch_sub(1, std::memory_order_relaxed);
  Finish(std::vector<ReceivedMessage>());
  return false;
}

void ReceiveCall::Finish(absl::StatusOr<std::vector<ReceivedMessage>> result) {
  const uint32_t requests = waiter_.bits == 0 ? 0 : queue_->parked_.Finish(waiter_);
  if ((requests & kCancelled) != 0) {
    if (result.ok() && !result->empty()) {
      std::vector<ReceiptHandle> handles;
      for (const ReceivedMessage& message : *result) handles.push_back(message.receipt_handle);
      queue_->ReturnUndelivered(handles);
    }
    result = absl::CancelledError("the receive was cancelled");
  }
  RunCallback([&] { callback_(std::move(result)); });
  callback_ = nullptr;
}

void ReceiveCall::Request(uint32_t request) {
  if (waiter_.bits == 0) return;
  // (Keeps us alive, whatever the callback drops.)
  const std::shared_ptr<ReceiveCall> won =
      queue_->Unparked(queue_->parked_.Request(waiter_, request));
  if (won != nullptr) Finish(std::vector<ReceivedMessage>());
}

}  // namespace barista::internal
