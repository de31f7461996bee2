#include "broker/commit/commit_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "barista/error.h"
#include "storage/memory_store.h"

namespace barista::commit {
namespace {

// A store that counts, and fails or holds when it is told to.
class ScriptedStore : public storage::Store {
 public:
  absl::Status Write(const storage::Batch& batch) override {
    if (on_write) on_write();
    if (fail_write) return absl::UnavailableError("write failed");
    ++writes;
    operations += batch.operations().size();
    commit_numbers.push_back(batch.commit_number);
    last_synced.push_back(batch.last_synced_commit);
    return inner_->Write(batch);
  }
  absl::Status Sync() override {
    if (on_sync) on_sync();
    if (fail_sync) return absl::UnavailableError("sync failed");
    ++syncs;
    return absl::OkStatus();
  }
  absl::StatusOr<storage::Page> Scan(QueueId q, Sequence from,
                                     const storage::ScanLimits& limits) const override {
    return inner_->Scan(q, from, limits);
  }
  absl::StatusOr<std::optional<storage::Page>> Lookup(QueueId q, Sequence s) const override {
    return inner_->Lookup(q, s);
  }
  absl::StatusOr<std::optional<Sequence>> FirstLive(QueueId q, Sequence from) const override {
    return inner_->FirstLive(q, from);
  }
  absl::StatusOr<std::vector<storage::DelayedRow>> ScanDelayed(QueueId q, int64_t until, size_t n,
                                                               size_t bytes) const override {
    return inner_->ScanDelayed(q, until, n, bytes);
  }
  absl::StatusOr<std::optional<int64_t>> FirstDelayed(QueueId q) const override {
    return inner_->FirstDelayed(q);
  }
  absl::StatusOr<std::vector<storage::ExpiryRow>> ScanExpiry(QueueId q,
                                                             storage::Batch::ExpiryKind kind,
                                                             int64_t until,
                                                             size_t n) const override {
    return inner_->ScanExpiry(q, kind, until, n);
  }
  absl::StatusOr<std::vector<storage::StoredQueue>> LoadQueues() const override {
    return inner_->LoadQueues();
  }
  uint32_t boot() const override { return inner_->boot(); }
  const std::string& secret() const override { return inner_->secret(); }
  const storage::Recovery& recovery() const override { return inner_->recovery(); }
  int64_t FreeSpace() const override { return free_space; }
  void ReleaseBallast() override { ++ballast_released; }
  void RestoreBallast() override { ++ballast_restored; }
  void Reclaim() override {}
  storage::StoreStats Stats() const override { return {}; }

  std::function<void()> on_write, on_sync;
  bool fail_write = false;
  bool fail_sync = false;
  int64_t free_space = std::numeric_limits<int64_t>::max();
  int writes = 0;
  int syncs = 0;
  size_t operations = 0;
  int ballast_released = 0;
  int ballast_restored = 0;
  std::vector<uint64_t> commit_numbers;
  std::vector<uint64_t> last_synced;

 private:
  std::unique_ptr<storage::Store> inner_ = storage::NewMemoryStore();
};

// Writes a definition row, and tells its stages to a log.
class TestOp : public Operation {
 public:
  TestOp(int id, Durability durability, std::vector<std::string>* log, size_t bytes = 100)
      : Operation(durability, bytes), id_(id), log_(log) {}

  absl::Status Prepare(Turn& turn) override {
    if (refuse) return absl::InvalidArgumentError("refused");
    if (empty) return absl::OkStatus();
    turn.batch().Add(storage::Batch::PutDefinition{QueueId(static_cast<uint32_t>(id_)), "x"});
    return absl::OkStatus();
  }
  void Publish() override {
    if (log_ != nullptr) log_->push_back("publish " + std::to_string(id_));
  }
  void Complete(const absl::Status& status) override {
    if (log_ != nullptr)
      log_->push_back((status.ok() ? "complete " : "fail ") + std::to_string(id_));
    result = status;
    if (on_complete) on_complete();
    done.Notify();
  }

  bool refuse = false;
  bool empty = false;
  std::function<void()> on_complete;
  absl::Status result;
  Notification done;

 private:
  const int id_;
  std::vector<std::string>* const log_;
};

class CommitLogTest : public ::testing::Test {
 protected:
  CommitLogOptions Options() {
    CommitLogOptions options;
    options.store = &store_;
    options.clock = &clock_;
    options.threaded = false;
    return options;
  }
  ScriptedStore store_;
  ManualClock clock_;
  std::vector<std::string> log_;
};

TEST_F(CommitLogTest, WhatHasGatheredBecomesOneBatchAndOneSync) {
  CommitLog log(Options());
  std::vector<std::unique_ptr<TestOp>> ops;
  for (int i = 1; i <= 100; ++i) {
    ops.push_back(std::make_unique<TestOp>(i, Durability::kFsync, nullptr));
    log.Submit(ops.back().get());
  }
  log.RunOnce();
  EXPECT_EQ(store_.writes, 1);
  EXPECT_EQ(store_.syncs, 1);
  EXPECT_EQ(store_.operations, 100u);
  EXPECT_EQ(log.commits(), 1u);
  EXPECT_EQ(log.operations(), 100u);
}

TEST_F(CommitLogTest, OrderIsThatOfTheSubmissionsAndOsDoesNotWaitForTheSync) {
  CommitLog log(Options());
  TestOp a(1, Durability::kFsync, &log_), b(2, Durability::kOs, &log_),
      c(3, Durability::kFsync, &log_);
  store_.on_write = [&] { log_.push_back("write"); };
  store_.on_sync = [&] { log_.push_back("sync"); };
  for (TestOp* op : {&a, &b, &c}) log.Submit(op);
  log.RunOnce();
  EXPECT_EQ(log_, (std::vector<std::string>{"write", "publish 2", "complete 2", "sync", "publish 1",
                                            "publish 3", "complete 1", "complete 3"}));
}

// An operation that deletes itself when it completes, as those of the queues do.
class FleetingOp : public TestOp {
 public:
  using TestOp::TestOp;
  void Complete(const absl::Status& status) override {
    TestOp::Complete(status);
    delete this;
  }
};

TEST_F(CommitLogTest, CompletedOperationIsNotTouchedAgain) {
  CommitLog log(Options());
  for (int i = 1; i <= 30; ++i) {
    log.Submit(new FleetingOp(i, i % 3 == 0 ? Durability::kFsync : Durability::kOs, &log_));
  }
  log.RunOnce();
  std::map<std::string, int> stages;
  for (const std::string& stage : log_) ++stages[stage];
  EXPECT_EQ(stages.size(), 60u) << "each operation is published once and completed once";
  for (const auto& [stage, times] : stages) EXPECT_EQ(times, 1) << stage;
}

TEST_F(CommitLogTest, BatchesCarryTheirNumberAndTheNewestSyncedOne) {
  CommitLogOptions options = Options();
  options.last_commit = 41;
  CommitLog log(options);
  TestOp a(1, Durability::kOs, nullptr), b(2, Durability::kFsync, nullptr),
      c(3, Durability::kOs, nullptr);
  for (TestOp* op : {&a, &b, &c}) {
    log.Submit(op);
    log.RunOnce();
  }
  EXPECT_EQ(store_.commit_numbers, (std::vector<uint64_t>{42, 43, 44}));
  EXPECT_EQ(store_.last_synced, (std::vector<uint64_t>{41, 41, 43}));
}

TEST_F(CommitLogTest, OsOperationsAreSyncedWithinTheInterval) {
  CommitLog log(Options());
  TestOp a(1, Durability::kOs, nullptr);
  log.Submit(&a);
  log.RunOnce();
  EXPECT_EQ(store_.syncs, 0);
  clock_.Advance(absl::Milliseconds(99));
  EXPECT_FALSE(log.RunOnce());
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(log.RunOnce());
  EXPECT_EQ(store_.syncs, 1);
  clock_.Advance(absl::Seconds(10));
  EXPECT_FALSE(log.RunOnce()) << "nothing to sync";
}

TEST_F(CommitLogTest, OperationThatAddsNothingCostsNoWriteAndNoSync) {
  CommitLog log(Options());
  TestOp a(1, Durability::kFsync, &log_);
  a.empty = true;
  log.Submit(&a);
  log.RunOnce();
  EXPECT_EQ(store_.writes, 0);
  EXPECT_EQ(store_.syncs, 0);
  EXPECT_EQ(log_, (std::vector<std::string>{"publish 1", "complete 1"}));
}

TEST_F(CommitLogTest, RefusedOperationLeavesNoTraceAndTheOthersGoOn) {
  CommitLog log(Options());
  TestOp a(1, Durability::kFsync, &log_), b(2, Durability::kFsync, &log_);
  a.refuse = true;
  log.Submit(&a);
  log.Submit(&b);
  log.RunOnce();
  EXPECT_EQ(log_, (std::vector<std::string>{"fail 1", "publish 2", "complete 2"}));
  EXPECT_EQ(store_.operations, 1u);
}

TEST_F(CommitLogTest, FailedWriteOrSyncPublishesNothing) {
  for (bool write : {true, false}) {
    CommitLog log(Options());
    log_.clear();
    store_.fail_write = write;
    store_.fail_sync = !write;
    TestOp a(1, Durability::kFsync, &log_);
    log.Submit(&a);
    log.RunOnce();
    EXPECT_EQ(log_, (std::vector<std::string>{"fail 1"}));
    EXPECT_TRUE(absl::IsUnavailable(a.result));
    EXPECT_TRUE(log.refusing_writes());
  }
}

TEST_F(CommitLogTest, BatchesAreCappedButAnOperationIsNeverSplit) {
  CommitLog log(Options());
  std::vector<std::unique_ptr<TestOp>> ops;
  for (size_t bytes : {CommitLog::kMaxBatchBytes / 2, CommitLog::kMaxBatchBytes / 2, size_t{1},
                       CommitLog::kMaxBatchBytes * 2, size_t{1}}) {
    ops.push_back(std::make_unique<TestOp>(static_cast<int>(ops.size()) + 1, Durability::kFsync,
                                           nullptr, bytes));
    log.Submit(ops.back().get());
  }
  log.RunOnce();
  EXPECT_EQ(store_.writes, 4) << "two halves; the small one; the large one alone; the last";
  ops.clear();
  store_.writes = 0;
  for (size_t i = 0; i <= CommitLog::kMaxBatchOperations; ++i) {
    ops.push_back(std::make_unique<TestOp>(static_cast<int>(i) + 1, Durability::kOs, nullptr, 1));
    log.Submit(ops.back().get());
  }
  log.RunOnce();
  EXPECT_EQ(store_.writes, 2);
}

TEST_F(CommitLogTest, LazyOperationWaitsForCompanyButNotLongerThanItsInterval) {
  CommitLog log(Options());
  TestOp a(1, Durability::kOs, &log_), b(2, Durability::kOs, &log_);
  log.SubmitLazy(&a);
  EXPECT_FALSE(log.RunOnce());
  clock_.Advance(CommitLog::kLazyInterval / 2);
  log.SubmitLazy(&b);
  EXPECT_FALSE(log.RunOnce());
  clock_.Advance(CommitLog::kLazyInterval / 2);
  EXPECT_TRUE(log.RunOnce());
  EXPECT_EQ(log_, (std::vector<std::string>{"publish 1", "publish 2", "complete 1", "complete 2"}));
}

TEST_F(CommitLogTest, FullIntakeRefusesSendsWhoDoNotWaitAndTakesThemAgainAfterACommit) {
  CommitLogOptions options = Options();
  options.intake_limit_bytes = 1000;
  CommitLog log(options);
  TestOp a(1, Durability::kOs, nullptr, 600), b(2, Durability::kOs, nullptr, 400),
      c(3, Durability::kOs, nullptr, 1);
  TestOp huge(4, Durability::kOs, nullptr, 5000);
  ASSERT_TRUE(log.Reserve(&a, false).ok());
  ASSERT_TRUE(log.Reserve(&b, false).ok());
  const absl::Status full = log.Reserve(&c, false);
  EXPECT_EQ(GetErrorInfo(full).reason, "IntakeFull");
  EXPECT_EQ(GetErrorInfo(full).limit, "1000");
  log.Submit(&a);
  log.Submit(&b);
  log.RunOnce();
  ASSERT_TRUE(log.Reserve(&huge, false).ok()) << "alone, any size passes";
  EXPECT_FALSE(log.Reserve(&c, false).ok());
  log.Submit(&huge);
  log.RunOnce();
  ASSERT_TRUE(log.Reserve(&c, false).ok());
  log.Submit(&c);
  log.RunOnce();
}

TEST_F(CommitLogTest, WaitingSenderGoesOnWhenThereIsRoom) {
  CommitLogOptions options = Options();
  options.intake_limit_bytes = 1000;
  options.threaded = true;
  CommitLog log(options);
  TestOp a(1, Durability::kOs, nullptr, 1000), b(2, Durability::kOs, nullptr, 1000);
  ASSERT_TRUE(log.Reserve(&a, true).ok());
  std::thread sender([&] {
    ASSERT_TRUE(log.Reserve(&b, true).ok());
    log.SubmitAndWait(&b, &b.done);
  });
  log.SubmitAndWait(&a, &a.done);
  sender.join();
  EXPECT_TRUE(b.result.ok());
}

TEST_F(CommitLogTest, BelowTheFloorSendsAreRefusedDeletesGoOnAndTheBallastIsGivenUp) {
  CommitLogOptions options = Options();
  options.free_space_floor_bytes = 1000;
  CommitLog log(options);
  const auto commit = [&](int id) {
    TestOp op(id, Durability::kOs, nullptr);
    log.Submit(&op);
    clock_.Advance(absl::Seconds(1));
    log.RunOnce();
    return op.result;
  };
  store_.free_space = 1000;
  EXPECT_TRUE(commit(1).ok());
  TestOp send(9, Durability::kOs, nullptr);
  EXPECT_TRUE(log.Reserve(&send, false).ok());
  log.Submit(&send);
  log.RunOnce();
  store_.free_space = 999;
  EXPECT_TRUE(commit(2).ok());
  TestOp refused(10, Durability::kOs, nullptr);
  EXPECT_EQ(GetErrorInfo(log.Reserve(&refused, true)).reason, "StorageFull");
  EXPECT_TRUE(log.refusing_sends());
  EXPECT_EQ(store_.ballast_released, 0);
  store_.free_space = 499;
  EXPECT_TRUE(commit(3).ok()) << "a delete";
  EXPECT_EQ(store_.ballast_released, 1);
  // The next send after a while notices that there is room again, without any commit.
  store_.free_space = 2001;
  clock_.Advance(absl::Seconds(1));
  TestOp again(11, Durability::kOs, nullptr);
  EXPECT_TRUE(log.Reserve(&again, false).ok());
  EXPECT_EQ(store_.ballast_restored, 1);
  EXPECT_FALSE(log.refusing_sends());
  log.Submit(&again);
  log.RunOnce();
}

TEST_F(CommitLogTest, BlockingCallsShareBatchesUnderLoad) {
  CommitLogOptions options = Options();
  options.threaded = true;
  options.clock = Clock::System();
  CommitLog log(options);
  std::thread committer([&] { log.RunCommitter(); });
  std::atomic<int> completed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        TestOp op(t * 1000 + i + 1, Durability::kFsync, nullptr);
        log.SubmitAndWait(&op, &op.done);
        EXPECT_TRUE(op.result.ok());
        completed.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  log.Stop();
  committer.join();
  EXPECT_EQ(completed.load(), 8 * 500);
  EXPECT_EQ(log.operations(), 8u * 500);
}

TEST_F(CommitLogTest, AfterDetachEverythingIsRefusedAsClosed) {
  CommitLog log(Options());
  EXPECT_TRUE(log.Flush().ok());
  log.Detach();
  TestOp now(1, Durability::kFsync, nullptr), lazy(2, Durability::kOs, nullptr),
      blocking(3, Durability::kFsync, nullptr);
  log.Submit(&now);
  EXPECT_EQ(GetErrorInfo(now.result).reason, "BrokerClosed");
  log.SubmitLazy(&lazy);
  EXPECT_EQ(GetErrorInfo(lazy.result).reason, "BrokerClosed");
  log.SubmitAndWait(&blocking, &blocking.done);
  EXPECT_EQ(GetErrorInfo(blocking.result).reason, "BrokerClosed");
}

TEST_F(CommitLogTest, CallbackMayNotBlock) {
  CommitLog log(Options());
  TestOp op(1, Durability::kOs, nullptr);
  absl::Status inside;
  op.on_complete = [&] { inside = CommitLog::CheckMayBlock(); };
  log.Submit(&op);
  log.RunOnce();
  EXPECT_EQ(GetErrorInfo(inside).reason, "WouldBlock");
  EXPECT_TRUE(CommitLog::CheckMayBlock().ok());
}

}  // namespace
}  // namespace barista::commit
