#include "broker/queue/queue_consumer.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/types/span.h"
#include "barista/error.h"
#include "broker/core/timer.h"
#include "broker/queue/engine.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {
namespace {

constexpr absl::Duration kMaxWait = absl::Hours(1);  // of a receive; then again

// Of the consumer's own receives: another one that has a message by now is left alone (I3).
VisibilityChange ChangeOf(const ReceiptHandle& handle, absl::Duration timeout) {
  return {handle, timeout, /*last_receive_only=*/true};
}

}  // namespace

// ---- Timers ----

class QueueConsumer::HeartbeatTimer final : public core::TimerNode {
 public:
  explicit HeartbeatTimer(std::weak_ptr<QueueConsumer> consumer) : consumer_(std::move(consumer)) {}
  int64_t Fire(int64_t now_ns) override {
    const std::shared_ptr<QueueConsumer> consumer = consumer_.lock();
    return consumer == nullptr ? core::kNever : consumer->OnBeat(now_ns);
  }
  bool Dead() const override { return consumer_.expired(); }

 private:
  const std::weak_ptr<QueueConsumer> consumer_;
};

// Goes on where another thread has turned for long enough.
class QueueConsumer::AttendTimer final : public core::TimerNode {
 public:
  explicit AttendTimer(std::shared_ptr<QueueConsumer> consumer) : consumer_(std::move(consumer)) {}
  int64_t Fire(int64_t) override {
    consumer_->Turn();
    return core::kNever;
  }
  bool Dead() const override { return false; }

 private:
  const std::shared_ptr<QueueConsumer> consumer_;
};

// Wakes a blocking form when it has waited for long enough.
class QueueConsumer::WaitTimer final : public core::TimerNode {
 public:
  WaitTimer(std::weak_ptr<QueueConsumer> consumer, std::shared_ptr<std::atomic<bool>> over)
      : consumer_(std::move(consumer)), over_(std::move(over)) {}
  int64_t Fire(int64_t) override {
    if (const std::shared_ptr<QueueConsumer> consumer = consumer_.lock()) {
      MutexLock lock(&consumer->mutex_);
      consumer->NotifyAll();
    }
    return core::kNever;
  }
  bool Dead() const override { return over_->load(); }

 private:
  const std::weak_ptr<QueueConsumer> consumer_;
  const std::shared_ptr<std::atomic<bool>> over_;
};

// ---- Attending ----

QueueConsumer::QueueConsumer(std::shared_ptr<StandardQueue> queue, const ConsumeOptions& options)
    : ConsumerState(options.credit),
      queue_(std::move(queue)),
      visibility_timeout_(*options.visibility_timeout),
      heartbeat_(options.heartbeat),
      beat_period_ns_(absl::ToInt64Nanoseconds(visibility_timeout_ / kBeats)) {}

void QueueConsumer::Attend() {
  {
    MutexLock lock(&mutex_);
    if (attending_) return;  // (That thread has yet to look a last time.)
    attending_ = true;
  }
  Turn();
}

void QueueConsumer::Turn() {
  for (int turns = 0; turns < kMaxTurns; ++turns) {
    Work work;
    {
      MutexLock lock(&mutex_);
      if (!TakeWork(&work)) {
        attending_ = false;
        if (closing()) NotifyAll();
        return;
      }
    }
    Do(std::move(work));
  }
  Engine& engine = queue_->engine();
  engine.timer->Arm(engine.MonoNs(), std::make_unique<AttendTimer>(self()));
}

bool QueueConsumer::TakeWork(Work* work) {
  bool any = false;
  if ((stopped() || ended()) && receive_ != nullptr) {
    work->cancel = std::move(receive_);
    receive_ = nullptr;
    any = true;
  }
  for (const Delivery& delivery : TakeUntaken()) work->returned.push_back(delivery.receipt_handle);
  any = any || !work->returned.empty();
  if ((closing() || ended()) && open() > 0) ReleaseOpen();
  if (!deleting_) {
    work->deletes = TakeDeletes(kMaxBatchEntries);
    deleting_ = !work->deletes.empty();
    any = any || deleting_;
  }
  if (!changing_) {
    work->changes = TakeChanges(kMaxBatchEntries, &work->changes_taken);
    changing_ = work->changes_taken > 0;
    any = any || changing_;
  }
  if (std::exchange(beat_due_, false) && beating_ == 0) {
    for (const Delivery& delivery : Open())
      work->beat.push_back(ChangeOf(delivery.receipt_handle, visibility_timeout_));
    beating_ = static_cast<int>((work->beat.size() + kMaxBatchEntries - 1) / kMaxBatchEntries);
    any = any || beating_ > 0;
  }
  if (!receiving_ && ready_bytes() <= kMaxReadyBytes / 2) {
    work->receive = static_cast<int>(std::min<size_t>(Wanted(0), kMaxReceiveMessages));
    work->receive_bytes = kMaxReadyBytes - ready_bytes();
    receiving_ = work->receive > 0;
    any = any || receiving_;
  }
  return any;
}

void QueueConsumer::Do(Work work) {
  if (work.cancel != nullptr) work.cancel->Cancel();
  if (!work.returned.empty()) queue_->ReturnUndelivered(work.returned);
  if (!work.deletes.empty()) SendDeletes(std::move(work.deletes));
  if (work.changes_taken > 0) SendChanges(std::move(work.changes), work.changes_taken);
  if (!work.beat.empty()) SendBeat(work.beat);
  if (work.receive > 0) BeginReceive(work.receive, work.receive_bytes);
}

// ---- Asking ----

void QueueConsumer::SendDeletes(std::vector<Delivery> deletes) {
  std::vector<ReceiptHandle> handles;
  handles.reserve(deletes.size());
  for (const Delivery& delivery : deletes) handles.push_back(delivery.receipt_handle);
  queue_->DeleteBatch(
      handles, QueueState::Wait::kNo,
      [self = self(), deletes = std::move(deletes)](const std::vector<absl::Status>& statuses) {
        {
          MutexLock lock(&self->mutex_);
          for (size_t i = 0; i < deletes.size(); ++i) {
            if (!statuses[i].ok()) self->Failed(deletes[i].message_id, statuses[i]);
          }
          self->deleting_ = false;
          self->SettledDeletes(deletes.size());
        }
        self->Attend();
      });
}

void QueueConsumer::SendChanges(std::vector<Change> changes, uint64_t taken) {
  std::vector<VisibilityChange> asked;
  asked.reserve(changes.size());
  for (const Change& change : changes)
    asked.push_back(ChangeOf(change.delivery.receipt_handle, change.timeout));
  Queue::StatusesCallback done = [self = self(), changes = std::move(changes),
                                  taken](const std::vector<absl::Status>& statuses) {
    {
      MutexLock lock(&self->mutex_);
      for (size_t i = 0; i < changes.size(); ++i) {
        if (!statuses[i].ok() && !changes[i].quiet)
          self->Failed(changes[i].delivery.message_id, statuses[i]);
      }
      self->changing_ = false;
      self->SettledChanges(taken);
    }
    self->Attend();
  };
  if (asked.empty()) return done({});
  queue_->ChangeVisibilityBatch(asked, QueueState::Wait::kNo, std::move(done));
}

void QueueConsumer::SendBeat(absl::Span<const VisibilityChange> beat) {
  for (size_t from = 0; from < beat.size(); from += kMaxBatchEntries) {
    queue_->ChangeVisibilityBatch(
        beat.subspan(from, kMaxBatchEntries), QueueState::Wait::kNo,
        // (A message that is gone or another's by now needs no extension.)
        [self = self()](const std::vector<absl::Status>&) {
          MutexLock lock(&self->mutex_);
          --self->beating_;
        });
  }
}

void QueueConsumer::BeginReceive(int max_messages, int64_t max_bytes) {
  ReceiveOptions options;
  options.max_messages = max_messages;
  options.max_bytes = max_bytes;
  options.wait = kMaxWait;
  options.visibility_timeout = visibility_timeout_;
  std::shared_ptr<PendingReceive> receive = queue_->ReceiveAsync(
      options, [self = self()](auto received) { self->OnReceived(std::move(received)); });
  // (Only this thread begins receives: one that is under way is this one.)
  MutexLock lock(&mutex_);
  if (receiving_) receive_ = std::move(receive);
}

void QueueConsumer::OnReceived(absl::StatusOr<std::vector<ReceivedMessage>> received) {
  bool arm = false;
  {
    MutexLock lock(&mutex_);
    receiving_ = false;
    receive_ = nullptr;
    if (received.ok()) {
      Arrive(*std::move(received));
      arm = heartbeat_ && !beat_armed_ && open() > 0;
      beat_armed_ = beat_armed_ || arm;
    } else if (!absl::IsCancelled(received.status())) {
      EndLocked(received.status());
    }
  }
  if (arm) {
    Engine& engine = queue_->engine();
    engine.timer->Arm(engine.MonoNs() + beat_period_ns_, std::make_unique<HeartbeatTimer>(self()));
  }
  Attend();
}

int64_t QueueConsumer::OnBeat(int64_t now_ns) {
  {
    MutexLock lock(&mutex_);
    beat_armed_ = !ended() && open() > 0;
    if (!beat_armed_) return core::kNever;
    beat_due_ = true;
  }
  Attend();
  return now_ns + beat_period_ns_;
}

// ---- Waiting ----

bool QueueConsumer::WaitForChange(Waiting* waiting, CondVar* changed) {
  Engine& engine = queue_->engine();
  const bool for_ever = waiting->limit == absl::InfiniteDuration();
  if (engine.options.manual) {
    const uint64_t seen = changes_seen();
    mutex_.Unlock();
    const bool any = engine.run_once();
    mutex_.Lock();
    if (any || changes_seen() != seen) return true;
    // Time stands still while we wait: what is not there when all work is done will not come,
    // unless another thread brings it.
    if (for_ever) changed->Wait(&mutex_);
    return for_ever;
  }
  if (for_ever) {
    changed->Wait(&mutex_);
    return true;
  }
  const absl::Duration now = engine.clock->Monotonic();
  if (!waiting->until.has_value()) {
    waiting->until = now + waiting->limit;
    waiting->over = std::make_shared<std::atomic<bool>>(false);
    const int64_t until_ns = absl::ToInt64Nanoseconds(*waiting->until);
    mutex_.Unlock();
    engine.timer->Arm(until_ns, std::make_unique<WaitTimer>(self(), waiting->over));
    mutex_.Lock();
    return true;
  }
  if (now >= *waiting->until) return false;
  changed->Wait(&mutex_);
  return true;
}

// ---- Consumers ----

void Consumers::Add(const std::shared_ptr<QueueConsumer>& consumer) {
  MutexLock lock(&mutex_);
  if (consumers_.size() >= sweep_at_) {
    const auto gone = [](const std::weak_ptr<QueueConsumer>& c) { return c.expired(); };
    consumers_.erase(std::remove_if(consumers_.begin(), consumers_.end(), gone), consumers_.end());
    sweep_at_ = std::max<size_t>(16, 2 * consumers_.size());
  }
  consumers_.push_back(consumer);
}

void Consumers::End(const absl::Status& error) {
  std::vector<std::weak_ptr<QueueConsumer>> consumers;
  {
    MutexLock lock(&mutex_);
    consumers.swap(consumers_);
  }
  for (const std::weak_ptr<QueueConsumer>& weak : consumers) {
    if (const std::shared_ptr<QueueConsumer> consumer = weak.lock()) consumer->End(error);
  }
}

}  // namespace barista::internal
