#include "broker/queue/receive_call.h"

#include "barista/error.h"
#include "broker/queue/operations.h"

namespace barista::internal {

using commit::CommitLog;

bool ReceiveCall::Run() {
  StandardQueue& queue = *queue_;
  for (;;) {
    if (absl::Status status = queue.CheckOpen(); !status.ok()) {
      Finish(status);
      return true;
    }
    const bool spilled = queue.spilled_.load(std::memory_order_acquire);
    StandardQueue::Taken taken;
    queue.Take(max_messages_, visibility_ns_, &taken);
    if (taken.must_commit) {
      std::shared_ptr<StandardQueue> target =
          taken.exhausted.empty() ? nullptr : queue.DeadLetterQueue();
      queue.engine_->log->Submit(
          new ReceiveOp(queue_, std::move(target), std::move(taken), shared_from_this()));
      return true;
    }
    if (!taken.messages.empty()) {
      Finish(std::move(taken.messages));
      return true;
    }
    if (deadline_ns_ == 0 && taken.over_limit) {
      Finish(MakeError(absl::StatusCode::kResourceExhausted,
                       "Too many messages have been received without being deleted.\nPlease delete "
                       "your received messages or let them "
                       "timeout before receiving more.",
                       {.reason = "OverLimit",
                        .field = "MaximumInFlightMessages",
                        .value = std::to_string(queue.in_flight_.load()),
                        .limit = std::to_string(queue.max_in_flight_.load())}));
      return true;
    }
    const bool wait_for_page = deadline_ns_ == 0;
    if (wait_for_page && !spilled) {
      Finish(std::vector<ReceivedMessage>());
      return true;
    }
    if (Park(wait_for_page, was_parked_)) return true;
    // The second look: a message that became visible between Take and Park found nobody parked.
    if (queue.LaneSize() == 0 || taken.over_limit) {
      if (wait_for_page && !queue.spilled_.load(std::memory_order_acquire)) queue.WakePageWaiters();
      return false;
    }
    {
      MutexLock lock(&queue.receives_mutex_);
      if (phase_ != Phase::kParked) return false;  // Someone else runs it already.
      (parked_for_page_ ? queue.page_waiters_ : queue.parked_).erase(place_);
      queue.parked_count_.fetch_sub(1);
      queue.engine_->parked.fetch_sub(1, std::memory_order_relaxed);
      phase_ = Phase::kRunning;
    }
  }
}

void ReceiveCall::Committed(const absl::Status& status, StandardQueue::Taken taken) {
  if (!status.ok()) {
    Finish(status);
  } else if (!taken.messages.empty()) {
    Finish(std::move(taken.messages));
  } else {
    Run();  // Everything went to the dead-letter queue: look for more.
  }
}

bool ReceiveCall::Park(bool for_page, bool in_front) {
  StandardQueue& queue = *queue_;
  absl::Status status;
  bool parked = false;
  {
    MutexLock lock(&queue.receives_mutex_);
    status = end_status_;
    if (!end_requested_) {
      auto& list = for_page ? queue.page_waiters_ : queue.parked_;
      place_ = list.insert(in_front ? list.begin() : list.end(), shared_from_this());
      phase_ = Phase::kParked;
      parked_for_page_ = for_page;
      was_parked_ = true;
      parked = true;
      queue.parked_count_.fetch_add(1);
      queue.engine_->parked.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (!parked) {
    if (status.ok()) {
      Finish(std::vector<ReceivedMessage>());
    } else {
      Finish(status);
    }
    return true;
  }
  queue.RequestPageIfLow();
  return false;
}

void ReceiveCall::Finish(absl::StatusOr<std::vector<ReceivedMessage>> result) {
  bool cancelled;
  {
    MutexLock lock(&queue_->receives_mutex_);
    phase_ = Phase::kDone;
    cancelled = cancel_requested_;
  }
  if (cancelled) {
    if (result.ok() && !result->empty()) {
      std::vector<ReceiptHandle> handles;
      for (const ReceivedMessage& message : *result) handles.push_back(message.receipt_handle);
      queue_->ReturnUndelivered(handles);
    }
    result = absl::CancelledError("the receive was cancelled");
  }
  CommitLog::RunCallback([&] { callback_(std::move(result)); });
  callback_ = nullptr;
}

void ReceiveCall::Cancel() {
  {
    MutexLock lock(&queue_->receives_mutex_);
    if (phase_ == Phase::kRunning) cancel_requested_ = true;
  }
  End(absl::CancelledError("the receive was cancelled"));
}

void ReceiveCall::End(const absl::Status& status) {
  {
    MutexLock lock(&queue_->receives_mutex_);
    if (phase_ == Phase::kDone) return;
    if (phase_ == Phase::kRunning) {
      if (!end_requested_) end_status_ = status;
      end_requested_ = true;
      return;
    }
    (parked_for_page_ ? queue_->page_waiters_ : queue_->parked_).erase(place_);
    queue_->parked_count_.fetch_sub(1);
    queue_->engine_->parked.fetch_sub(1, std::memory_order_relaxed);
    phase_ = Phase::kRunning;
  }
  if (status.ok()) {
    Finish(std::vector<ReceivedMessage>());
  } else {
    Finish(status);
  }
}

bool ReceiveCall::done() const {
  MutexLock lock(&queue_->receives_mutex_);
  return phase_ == Phase::kDone;
}

}  // namespace barista::internal
