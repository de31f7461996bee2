#ifndef BARISTA_BROKER_QUEUE_QUEUE_CONSUMER_H_
#define BARISTA_BROKER_QUEUE_QUEUE_CONSUMER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "barista/queue.h"
#include "broker/base/mutex.h"
#include "broker/consumer/consumer_state.h"
#include "broker/core/timer_node.h"

namespace barista::internal {

class StandardQueue;

// A consumer of a queue of this broker: one receive at a time that is parked without a thread, and
// of deletes and changes of visibility one batch each, so that what is asked meanwhile goes
// together. The heartbeat is a node of the engine's timer. Thread-safe.
//
// Whoever changes something attends to it: one thread at a time looks, under the lock, at what
// there is to ask, and asks it without the lock. So changes of visibility reach the queue in the
// order in which they were decided: a heartbeat hides nothing that has been released. A thread that
// has turned for long leaves the rest to the timer, because it may be a sender's or the
// committer's.
class QueueConsumer final : public ConsumerState {
 public:
  // Messages that are fetched ahead have so many bytes together, but there is at least one.
  static constexpr int64_t kMaxReadyBytes = 4 << 20;
  static constexpr int kMaxTurns = 64;
  // Beats in a visibility timeout: one may be late.
  static constexpr int kBeats = 3;

  // `options` are valid, and the visibility timeout is given.
  QueueConsumer(std::shared_ptr<StandardQueue> queue, const ConsumeOptions& options);

  // Once, when everything is ready for messages.
  void Begin() { Attend(); }

 private:
  // Something to ask the queue.
  struct Work {
    std::shared_ptr<PendingReceive> cancel;
    std::vector<ReceiptHandle> returned;
    std::vector<Delivery> deletes;
    std::vector<Change> changes;
    uint64_t changes_taken = 0;  // those that are left out among them
    std::vector<VisibilityChange> beat;
    int receive = 0;  // so many messages
    int64_t receive_bytes = 0;
  };
  class HeartbeatTimer;
  class AttendTimer;
  class WaitTimer;

  void Attend() override;
  bool WaitForChange(Waiting* waiting, CondVar* changed) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsClosed() const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !attending_ && !receiving_ && open() == 0;
  }

  std::shared_ptr<QueueConsumer> self() {
    return std::static_pointer_cast<QueueConsumer>(shared_from_this());
  }
  // Turns until nothing is left to ask, or for long enough.
  void Turn();
  // False: there is nothing to ask now.
  bool TakeWork(Work* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Work work);
  void SendDeletes(std::vector<Delivery> deletes);
  void SendChanges(std::vector<Change> changes, uint64_t taken);
  void SendBeat(absl::Span<const VisibilityChange> beat);
  void BeginReceive(int max_messages, int64_t max_bytes);
  void OnReceived(absl::StatusOr<std::vector<ReceivedMessage>> received);
  // The heartbeat's timer fires: when it fires again.
  int64_t OnBeat(int64_t now_ns);

  const std::shared_ptr<StandardQueue> queue_;
  const absl::Duration visibility_timeout_;
  const bool heartbeat_;
  const int64_t beat_period_ns_;

  bool attending_ ABSL_GUARDED_BY(mutex_) = false;  // a thread turns, or is to
  bool receiving_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<PendingReceive> receive_ ABSL_GUARDED_BY(mutex_);  // null: or on its way here
  bool deleting_ ABSL_GUARDED_BY(mutex_) = false;
  bool changing_ ABSL_GUARDED_BY(mutex_) = false;
  int beating_ ABSL_GUARDED_BY(mutex_) = 0;  // batches
  bool beat_due_ ABSL_GUARDED_BY(mutex_) = false;
  bool beat_armed_ ABSL_GUARDED_BY(mutex_) = false;
};

// The consumers of a queue that are to be told of its end. Thread-safe.
class Consumers {
 public:
  void Add(const std::shared_ptr<QueueConsumer>& consumer);
  void End(const absl::Status& error);

 private:
  Mutex mutex_;
  // Those that are gone are swept out when as many again have come.
  std::vector<std::weak_ptr<QueueConsumer>> consumers_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 16;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_QUEUE_CONSUMER_H_
