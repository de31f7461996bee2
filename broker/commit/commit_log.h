#ifndef BARISTA_BROKER_COMMIT_COMMIT_LOG_H_
#define BARISTA_BROKER_COMMIT_COMMIT_LOG_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "barista/clock.h"
#include "barista/stats.h"
#include "broker/base/mutex.h"
#include "broker/commit/operation.h"
#include "broker/core/intake.h"
#include "broker/metrics/histogram.h"
#include "storage/store.h"

namespace barista::commit {

struct CommitLogOptions {
  storage::Store* store = nullptr;  // not owned
  const Clock* clock = nullptr;     // not owned
  bool inline_commit = true;
  bool threaded = true;  // false: nobody calls RunCommitter, blocking calls run every turn
  absl::Duration sync_interval = absl::Milliseconds(100);
  int64_t intake_limit_bytes = int64_t{64} << 20;
  int64_t free_space_floor_bytes = 0;
  uint64_t last_commit = 0;  // number of the newest commit in the store
};

// Turns operations into durable batches in one order.
//
// Callers push operations to one intake. Whoever holds the turn (the committer thread, or a
// blocking caller that found it free) takes all that has gathered up to kMaxBatchBytes or
// kMaxBatchOperations, lets each prepare itself into one batch, writes it, publishes the `os`
// operations, syncs if any is `fsync`, publishes those, releases the turn and completes the
// callers. So the slower the disk, the larger the batch.
//
// Thread-safe. Order: operations are prepared in the order of their Submit calls; operations of
// equal durability are published in that order too.
class CommitLog {
 public:
  static constexpr size_t kMaxBatchBytes = 4 << 20;
  static constexpr size_t kMaxBatchOperations = 8192;
  // How long a lazy operation may wait.
  static constexpr absl::Duration kLazyInterval = absl::Milliseconds(200);

  explicit CommitLog(const CommitLogOptions& options);

  // Hands `operation` over; it stays alive until its Complete. Never blocks, never refuses.
  void Submit(Operation* operation);
  // The same for what may wait up to kLazyInterval to share a batch with others.
  void SubmitLazy(Operation* operation);
  // Submits, and runs turns on this thread while it can (inline_commit); `done` must be notified by
  // operation's Complete. Returns after that.
  void SubmitAndWait(Operation* operation, Notification* done);

  // Room for a send of `bytes` in the intake; given back when `operation` completes.
  // kResourceExhausted/StorageFull below the free-space floor; kResourceExhausted/IntakeFull if
  // there is no room and `wait` is false. Deletes, leases and moves do not ask. An operation larger
  // than the whole limit passes alone.
  absl::Status Reserve(Operation* operation, bool wait);

  // The committer thread's body: turns until Stop.
  void RunCommitter();
  // Runs what is due (turns, lazy operations, the sync of `os` operations); true if there was
  // anything. Manual mode.
  bool RunOnce();
  // The next time RunOnce has something to do without a new operation, monotonic ns; core::kNever
  // if none.
  int64_t NextDeadline() const;
  // The committer looks at the clock again.
  void Wake();
  // RunCommitter returns after everything submitted is complete.
  void Stop();
  // Commits and completes everything submitted, lazy operations too, and syncs. After Stop, or in
  // manual mode.
  absl::Status Flush();
  // Lets go of the store: whatever is submitted from now on completes with
  // kFailedPrecondition/BrokerClosed, on the thread that submits it.
  void Detach();

  uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  uint64_t operations() const { return operations_.load(std::memory_order_relaxed); }
  uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }
  // The parts of `stats` that are the commit log's.
  void AddTo(BrokerStats* stats) const;
  bool refusing_writes() const { return refusing_writes_.load(std::memory_order_relaxed); }
  bool refusing_sends() const { return refusing_sends_.load(std::memory_order_relaxed); }

 private:
  struct Completion {
    Operation* operation;
    absl::Status status;
  };

  int64_t MonoNs() const { return absl::ToInt64Nanoseconds(clock_->Monotonic()); }
  bool HasWork() const;
  // One turn; false if there was nothing to do. Moves the operations to `done`.
  bool RunTurn(std::vector<Completion>* done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  // The bytes of what it took.
  size_t TakeOperations(std::vector<Operation*>* taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void DrainIntakes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  absl::Status SyncStore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  // From now on nothing that changes the store is accepted (I10).
  void Latch(const absl::Status& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void CheckFreeSpace(int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void CompleteAll(std::vector<Completion>* done);
  void ReleaseReservation(Operation* operation);

  storage::Store* store_ ABSL_GUARDED_BY(turn_mutex_);
  const Clock* const clock_;
  const bool inline_commit_;
  const bool threaded_;
  const int64_t sync_interval_ns_;
  const int64_t intake_limit_bytes_;
  const int64_t free_space_floor_bytes_;

  core::Intake<Operation> intake_;
  core::Intake<Operation> lazy_intake_;
  // Monotonic ns when the first lazy operation must be taken; kNever if there is none. Written by
  // the first SubmitLazy after a drain and by the drain.
  std::atomic<int64_t> lazy_due_ns_;
  // Monotonic ns when written but unsynced `os` operations must be synced; kNever if there are
  // none. Written in the turn.
  std::atomic<int64_t> sync_due_ns_;
  // Operations drained from the intake that the next turns will take.
  std::atomic<bool> backlog_{false};

  // Whoever holds it is the committer.
  Mutex turn_mutex_;
  std::deque<Operation*> pending_ ABSL_GUARDED_BY(turn_mutex_);
  Turn turn_ ABSL_GUARDED_BY(turn_mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(turn_mutex_);  // the first failed write or sync
  uint64_t commit_number_ ABSL_GUARDED_BY(turn_mutex_);
  uint64_t last_synced_commit_ ABSL_GUARDED_BY(turn_mutex_);
  int64_t next_space_check_ns_ ABSL_GUARDED_BY(turn_mutex_) = 0;
  bool ballast_released_ ABSL_GUARDED_BY(turn_mutex_) = false;

  Mutex wake_mutex_;
  CondVar wake_cv_;
  bool woken_ ABSL_GUARDED_BY(wake_mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(wake_mutex_) = false;
  // Set by the committer before it looks at the intake a last time and sleeps; read by submitters
  // after they pushed (both seq_cst: see Intake).
  std::atomic<bool> sleeping_{false};
  // Set by Detach, read by submitters after they pushed (both seq_cst): nobody else would take what
  // they pushed.
  std::atomic<bool> detached_{false};

  Mutex reserve_mutex_;
  CondVar reserve_cv_;
  // Changed by Reserve and ReleaseReservation with seq_cst, so that a sender that registered as
  // waiting under the mutex and looked again cannot be missed.
  std::atomic<int64_t> reserved_bytes_{0};
  std::atomic<int64_t> waiting_senders_hint_{0};

  // Written in the turn, once per batch or sync; read by AddTo.
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> operations_{0};
  std::atomic<uint64_t> syncs_{0};
  metrics::Histogram<1000, 25> commit_ns_;  // 1 us to 17 s
  metrics::Histogram<1000, 25> sync_ns_;
  metrics::Histogram<1, 14> batch_operations_;  // to kMaxBatchOperations
  metrics::Histogram<64, 17> batch_bytes_;      // to kMaxBatchBytes
  std::atomic<bool> refusing_writes_{false};
  std::atomic<bool> refusing_sends_{false};
};

}  // namespace barista::commit

#endif  // BARISTA_BROKER_COMMIT_COMMIT_LOG_H_
