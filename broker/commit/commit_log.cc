#include "broker/commit/commit_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/base/callback.h"
#include "broker/core/timer.h"

namespace barista::commit {
namespace {

using core::kNever;

// How often the free space is looked at while there are commits.
constexpr int64_t kSpaceCheckIntervalNs = 500'000'000;

}  // namespace

CommitLog::CommitLog(const CommitLogOptions& options)
    : store_(options.store),
      clock_(options.clock),
      inline_commit_(options.inline_commit || !options.threaded),
      threaded_(options.threaded),
      sync_interval_ns_(absl::ToInt64Nanoseconds(options.sync_interval)),
      intake_limit_bytes_(options.intake_limit_bytes),
      free_space_floor_bytes_(options.free_space_floor_bytes),
      lazy_due_ns_(kNever),
      sync_due_ns_(kNever),
      commit_number_(options.last_commit),
      // What the store recovered may have been unsynced before; opening it has rewritten and synced
      // it.
      last_synced_commit_(options.last_commit) {}

absl::Status CommitLog::Reserve(Operation* operation, bool wait) {
  // While sends are refused there may be no commits that would notice freed space.
  // (A callback may run inside the turn, whose mutex its thread then has already.)
  if (refusing_sends() && !InCallback() && turn_mutex_.TryLock()) {
    if (store_ != nullptr) CheckFreeSpace(MonoNs());
    turn_mutex_.Unlock();
  }
  if (refusing_sends()) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     absl::StrCat("the disk has less than ", free_space_floor_bytes_,
                                  " bytes free; free some space or let consumers drain the queues"),
                     {.reason = "StorageFull",
                      .field = "free_space_floor",
                      .limit = absl::StrCat(free_space_floor_bytes_)});
  }
  const int64_t bytes = static_cast<int64_t>(operation->bytes());
  // The first in passes whatever its size, so that a large batch is not refused for ever.
  const auto try_reserve = [&] {
    int64_t before = reserved_bytes_.load();
    while (before == 0 || before + bytes <= intake_limit_bytes_) {
      if (reserved_bytes_.compare_exchange_weak(before, before + bytes)) return true;
    }
    return false;
  };
  bool reserved = try_reserve();
  if (!reserved && wait && threaded_) {
    MutexLock lock(&reserve_mutex_);
    waiting_senders_hint_.fetch_add(1);
    while (!(reserved = try_reserve())) reserve_cv_.Wait(&reserve_mutex_);
    waiting_senders_hint_.fetch_sub(1);
  }
  if (reserved) {
    operation->reserved_bytes_ = static_cast<size_t>(bytes);
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("requests of ", reserved_bytes_.load(), " bytes wait to be committed; limit ",
                   intake_limit_bytes_, "; retry after some have completed"),
      {.reason = "IntakeFull",
       .field = "intake_limit_bytes",
       .limit = absl::StrCat(intake_limit_bytes_)});
}

void CommitLog::ReleaseReservation(Operation* operation) {
  if (operation->reserved_bytes_ == 0) return;
  reserved_bytes_.fetch_sub(static_cast<int64_t>(operation->reserved_bytes_));
  operation->reserved_bytes_ = 0;
  if (waiting_senders_hint_.load() > 0) {
    MutexLock lock(&reserve_mutex_);
    reserve_cv_.NotifyAll();
  }
}

void CommitLog::Submit(Operation* operation) {
  intake_.Push(operation);
  if (sleeping_.load(std::memory_order_seq_cst)) Wake();
  if (detached_.load(std::memory_order_seq_cst)) RunOnce();
}

void CommitLog::SubmitLazy(Operation* operation) {
  lazy_intake_.Push(operation);
  int64_t none = kNever;
  if (lazy_due_ns_.compare_exchange_strong(none,
                                           MonoNs() + absl::ToInt64Nanoseconds(kLazyInterval)) &&
      sleeping_.load(std::memory_order_seq_cst)) {
    Wake();
  }
  if (detached_.load(std::memory_order_seq_cst)) {
    lazy_due_ns_.store(0);
    RunOnce();
  }
}

void CommitLog::SubmitAndWait(Operation* operation, Notification* done) {
  if (!inline_commit_) {
    Submit(operation);
    done->Wait();
    return;
  }
  intake_.Push(operation);
  std::vector<Completion> completions;
  while (!done->HasBeenNotified() && turn_mutex_.TryLock()) {
    const bool worked = RunTurn(&completions);
    turn_mutex_.Unlock();
    CompleteAll(&completions);
    if (!worked) break;  // Another thread has taken the operation and will complete it.
  }
  // What was pushed while this thread held the turn is the committer's.
  if (threaded_ && HasWork()) Wake();
  done->Wait();
}

bool CommitLog::HasWork() const {
  return backlog_.load(std::memory_order_seq_cst) || !intake_.empty();
}

void CommitLog::DrainIntakes() {
  for (Operation* operation = intake_.Drain(); operation != nullptr;
       operation = operation->next_in_intake) {
    pending_.push_back(operation);
  }
  if (lazy_due_ns_.load() <= turn_.mono_ns_) {
    // First the due time, then the list: a push after the drain sets a due time of its own.
    lazy_due_ns_.store(kNever);
    for (Operation* operation = lazy_intake_.Drain(); operation != nullptr;
         operation = operation->next_in_intake) {
      pending_.push_back(operation);
    }
  }
}

size_t CommitLog::TakeOperations(std::vector<Operation*>* taken) {
  size_t bytes = 0;
  while (!pending_.empty() && taken->size() < kMaxBatchOperations) {
    Operation* operation = pending_.front();
    if (!taken->empty() && bytes + operation->bytes() > kMaxBatchBytes) break;
    bytes += operation->bytes();
    taken->push_back(operation);
    pending_.pop_front();
  }
  backlog_.store(!pending_.empty(), std::memory_order_seq_cst);
  return bytes;
}

absl::Status CommitLog::SyncStore() {
  const uint64_t upto = commit_number_;
  const int64_t begin_ns = MonoNs();
  absl::Status status = store_->Sync();
  if (status.ok()) {
    sync_ns_.Record(MonoNs() - begin_ns);
    last_synced_commit_ = upto;
    sync_due_ns_.store(kNever);
    syncs_.fetch_add(1, std::memory_order_relaxed);
  } else {
    Latch(status);
  }
  return status;
}

void CommitLog::Latch(const absl::Status& failure) {
  if (failure_.ok()) failure_ = failure;
  refusing_writes_.store(true);
  sync_due_ns_.store(kNever);
}

bool CommitLog::RunTurn(std::vector<Completion>* done) {
  turn_.mono_ns_ = MonoNs();
  turn_.wall_ms_ = absl::ToUnixMillis(clock_->Now());
  DrainIntakes();
  std::vector<Operation*> taken;
  const size_t taken_bytes = TakeOperations(&taken);
  if (store_ == nullptr) {
    for (Operation* operation : taken) {
      done->push_back({operation, MakeError(absl::StatusCode::kFailedPrecondition,
                                            "the broker is closed", {.reason = "BrokerClosed"})});
    }
    return !taken.empty();
  }
  if (taken.empty()) {
    if (sync_due_ns_.load() > turn_.mono_ns_) return false;
    SyncStore().IgnoreError();  // The failure is the store's state: every later write reports it.
    return true;
  }
  CheckFreeSpace(turn_.mono_ns_);

  storage::Batch& batch = turn_.batch_;
  batch.Clear();
  // By what they wait for, each in commit order. An operation may be gone once it is completed.
  std::vector<Operation*> written_ops;
  std::vector<Operation*> synced_ops;
  for (Operation* operation : taken) {
    // I10, also for an operation that would find nothing left to do: what it found done may be what
    // the failed write was to do.
    absl::Status status =
        !failure_.ok() && operation->changes_store() ? failure_ : operation->Prepare(turn_);
    if (!status.ok()) {
      done->push_back({operation, std::move(status)});
    } else if (operation->durability() == Durability::kFsync) {
      synced_ops.push_back(operation);
    } else {
      written_ops.push_back(operation);
    }
  }
  for (Participant* participant : turn_.touched_) {
    participant->AddTo(batch);
    participant->touched_ = false;
  }
  turn_.touched_.clear();

  absl::Status status;
  const bool wrote = !batch.empty();
  if (wrote) {
    batch.commit_number = commit_number_ + 1;
    batch.last_synced_commit = last_synced_commit_;
    status = store_->Write(batch);
    if (status.ok()) {
      ++commit_number_;
      commits_.fetch_add(1, std::memory_order_relaxed);
      batch_operations_.Record(static_cast<int64_t>(written_ops.size() + synced_ops.size()));
      batch_bytes_.Record(static_cast<int64_t>(taken_bytes));
    } else {
      Latch(status);
    }
    batch.Clear();
  }
  operations_.fetch_add(written_ops.size() + synced_ops.size(), std::memory_order_relaxed);

  const auto finish = [&](const std::vector<Operation*>& operations) {
    for (Operation* operation : operations) {
      if (status.ok()) operation->Publish();
      done->push_back({operation, status});
    }
  };
  finish(written_ops);
  if (!synced_ops.empty()) {
    if (wrote && status.ok()) {
      // `os` callers, and the refused, need not wait for the sync of others.
      CompleteAll(done);
      status = SyncStore();
    }
    finish(synced_ops);
  } else if (wrote && status.ok() && sync_due_ns_.load() == kNever) {
    sync_due_ns_.store(turn_.mono_ns_ + sync_interval_ns_);
    // The committer sleeps until something is due: now something is.
    if (sleeping_.load(std::memory_order_seq_cst)) Wake();
  } else if (sync_due_ns_.load() <= turn_.mono_ns_) {
    SyncStore().IgnoreError();  // `os` under steady load.
  }
  if (wrote && status.ok()) commit_ns_.Record(MonoNs() - turn_.mono_ns_);
  return true;
}

void CommitLog::AddTo(BrokerStats* stats) const {
  constexpr double kNsPerSecond = 1e9;
  stats->commits = commits();
  stats->commit_operations = operations();
  stats->syncs = syncs();
  stats->refusing_writes = refusing_writes();
  stats->refusing_sends = refusing_sends();
  stats->commit_latency = commit_ns_.Stats(kNsPerSecond);
  stats->sync_latency = sync_ns_.Stats(kNsPerSecond);
  stats->commit_batch_operations = batch_operations_.Stats(1);
  stats->commit_batch_bytes = batch_bytes_.Stats(1);
}

void CommitLog::CompleteAll(std::vector<Completion>* done) {
  // Taken aside: a callback may end up here again.
  std::vector<Completion> completions = std::move(*done);
  done->clear();
  for (Completion& completion : completions) {
    ReleaseReservation(completion.operation);
    RunCallback([&] { completion.operation->Complete(completion.status); });
  }
}

void CommitLog::CheckFreeSpace(int64_t now_ns) {
  if (free_space_floor_bytes_ <= 0 || now_ns < next_space_check_ns_) return;
  next_space_check_ns_ = now_ns + kSpaceCheckIntervalNs;
  const int64_t free = store_->FreeSpace();
  refusing_sends_.store(free < free_space_floor_bytes_);
  if (!ballast_released_ && free < free_space_floor_bytes_ / 2) {
    store_->ReleaseBallast();
    ballast_released_ = true;
  } else if (ballast_released_ && free > free_space_floor_bytes_ * 2) {
    store_->RestoreBallast();
    ballast_released_ = false;
  }
}

void CommitLog::Wake() {
  MutexLock lock(&wake_mutex_);
  woken_ = true;
  wake_cv_.NotifyOne();
}

int64_t CommitLog::NextDeadline() const {
  return std::min(lazy_due_ns_.load(), sync_due_ns_.load());
}

bool CommitLog::RunOnce() {
  bool any = false;
  std::vector<Completion> done;
  for (;;) {
    if (!HasWork() && NextDeadline() > MonoNs()) return any;
    turn_mutex_.Lock();
    const bool worked = RunTurn(&done);
    turn_mutex_.Unlock();
    CompleteAll(&done);
    if (!worked) return any;
    any = true;
  }
}

void CommitLog::RunCommitter() {
  for (;;) {
    RunOnce();
    sleeping_.store(true, std::memory_order_seq_cst);
    if (!HasWork()) {
      MutexLock lock(&wake_mutex_);
      if (stopping_) break;
      if (!woken_) {
        const int64_t deadline = NextDeadline();
        if (deadline == kNever) {
          wake_cv_.Wait(&wake_mutex_);
        } else {
          wake_cv_.WaitFor(&wake_mutex_,
                           absl::Nanoseconds(std::max<int64_t>(deadline - MonoNs(), 0)));
        }
      }
      woken_ = false;
    }
    sleeping_.store(false, std::memory_order_seq_cst);
  }
  sleeping_.store(false, std::memory_order_seq_cst);
}

void CommitLog::Stop() {
  MutexLock lock(&wake_mutex_);
  stopping_ = true;
  wake_cv_.NotifyAll();
}

absl::Status CommitLog::Flush() {
  if (lazy_due_ns_.load() != kNever) lazy_due_ns_.store(0);
  RunOnce();
  turn_mutex_.Lock();
  absl::Status status = refusing_writes() ? absl::OkStatus() : SyncStore();
  turn_mutex_.Unlock();
  return status;
}

void CommitLog::Detach() {
  turn_mutex_.Lock();
  store_ = nullptr;
  sync_due_ns_.store(kNever);
  turn_mutex_.Unlock();
  detached_.store(true, std::memory_order_seq_cst);
  if (lazy_due_ns_.load() != kNever) lazy_due_ns_.store(0);
  RunOnce();
}

}  // namespace barista::commit
