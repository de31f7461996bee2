#include "broker/queue/receive_call.h"

#include "barista/error.h"
#include "broker/queue/operations.h"

namespace barista::internal {

using commit::CommitLog;

void ReceiveCall::Start(StandardQueue::Taken taken) {
  if (taken.must_commit) {
    Commit(std::move(taken));
  } else {
    Run();
  }
  // Also for an attempt that went to the log: it may find nothing to deliver, and park.
  if (deadline_ns_ != 0 && !done()) {
    queue_->engine_->timer->Arm(deadline_ns_, std::make_unique<ReceiveTimeout>(shared_from_this()));
  }
}

void ReceiveCall::Commit(StandardQueue::Taken taken) {
  std::shared_ptr<StandardQueue> target =
      taken.exhausted.empty() ? nullptr : queue_->DeadLetterQueue();
  queue_->engine_->log->Submit(
      new ReceiveOp(queue_, std::move(target), std::move(taken), shared_from_this()));
}

bool ReceiveCall::Run() {
  StandardQueue& queue = *queue_;
  for (;;) {
    if (absl::Status status = queue.CheckOpen(); !status.ok()) {
      Finish(status);
      return true;
    }
    const bool more_on_disk = queue.MoreOnDisk();
    StandardQueue::Taken taken;
    queue.Take(max_messages_, visibility_ns_, &taken);
    if (taken.must_commit) {
      Commit(std::move(taken));
      return true;
    }
    if (!taken.messages.empty()) {
      Finish(std::move(taken.messages));
      if (visibility_ns_ == 0) queue.WakeReceives();
      return true;
    }
    if (deadline_ns_ == 0 && taken.over_limit) {
      Finish(OverLimit());
      return true;
    }
    const bool wait_for_page = deadline_ns_ == 0;
    if (wait_for_page && !more_on_disk) {
      Finish(std::vector<ReceivedMessage>());
      return true;
    }
    if (Park(wait_for_page, was_parked_)) return true;
    // Second looks, for what changed between the first and the parking: whoever changed it found
    // nobody parked.
    if (absl::Status status = queue.CheckOpen(); !status.ok()) {
      End(status);
      return true;
    }
    if (wait_for_page && !queue.MoreOnDisk()) {
      queue.WakePageWaiters();
      return false;
    }
    if (queue.LanesEmpty()) return false;
    if (taken.over_limit) {
      queue.limited_.store(true);
      if (queue.in_flight_.load() >= queue.max_in_flight_.load()) return false;
    }
    MutexLock lock(&queue.receives_mutex_);
    if (phase_ != Phase::kParked) return false;  // Someone else runs it already.
    Unpark();
  }
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

void ReceiveCall::Unpark() {
  (parked_for_page_ ? queue_->page_waiters_ : queue_->parked_).erase(place_);
  queue_->parked_count_.fetch_sub(1);
  queue_->engine_->parked.fetch_sub(1, std::memory_order_relaxed);
  phase_ = Phase::kRunning;
}

void ReceiveCall::Committed(const absl::Status& status, StandardQueue::Taken taken) {
  if (!status.ok()) {
    Finish(status);
  } else if (!taken.messages.empty()) {
    Finish(std::move(taken.messages));
    if (visibility_ns_ == 0) queue_->WakeReceives();
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
    if (phase_ != Phase::kDone) cancel_requested_ = true;
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
    Unpark();
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
