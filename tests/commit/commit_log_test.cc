#include "broker/commit/commit_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "barista/error.h"
#include "broker/base/callback.h"
#include "tests/commit/scripted_store.h"

namespace barista::commit {
namespace {

using testing::ScriptedStore;

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

TEST_F(CommitLogTest, LatencyIsThatOfWriteAndSync) {
  CommitLog log(Options());
  store_.on_write = [&](const storage::Batch&) { clock_.Advance(absl::Milliseconds(3)); };
  store_.on_sync = [&] { clock_.Advance(absl::Milliseconds(20)); };
  TestOp synced(1, Durability::kFsync, nullptr, /*bytes=*/300);
  log.Submit(&synced);
  log.RunOnce();
  TestOp written(2, Durability::kOs, nullptr, /*bytes=*/65);
  log.Submit(&written);
  log.RunOnce();
  BrokerStats stats;
  log.AddTo(&stats);
  EXPECT_EQ(stats.commits, 2u);
  EXPECT_EQ(stats.commit_latency.count(), 2u);
  EXPECT_NEAR(stats.commit_latency.sum, 0.023 + 0.003, 1e-9);
  EXPECT_EQ(stats.sync_latency.count(), 1u);
  EXPECT_NEAR(stats.sync_latency.sum, 0.020, 1e-9);
  EXPECT_EQ(stats.commit_batch_operations.counts.front(), 2u);
  EXPECT_EQ(stats.commit_batch_bytes.sum, 365);
}

TEST_F(CommitLogTest, WhatWasNotWrittenHasNoLatency) {
  CommitLog log(Options());
  store_.fail_write = true;
  TestOp op(1, Durability::kFsync, nullptr);
  log.Submit(&op);
  log.RunOnce();
  BrokerStats stats;
  log.AddTo(&stats);
  EXPECT_TRUE(stats.refusing_writes);
  EXPECT_EQ(stats.commit_latency.count(), 0u);
  EXPECT_EQ(stats.commit_batch_operations.count(), 0u);
}

TEST_F(CommitLogTest, OrderIsThatOfTheSubmissionsAndOsDoesNotWaitForTheSync) {
  CommitLog log(Options());
  TestOp a(1, Durability::kFsync, &log_), b(2, Durability::kOs, &log_),
      c(3, Durability::kFsync, &log_);
  store_.on_write = [&](const storage::Batch&) { log_.push_back("write"); };
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

TEST_F(CommitLogTest, AfterAFailureEvenWhatFindsNothingToDoIsRefused) {
  CommitLog log(Options());
  store_.fail_write = true;
  TestOp first(1, Durability::kFsync, nullptr), retry(2, Durability::kFsync, nullptr);
  TestOp in_memory(3, Durability::kMemory, nullptr);
  retry.empty = in_memory.empty = true;
  log.Submit(&first);
  log.RunOnce();
  store_.fail_write = false;
  log.Submit(&retry);
  log.Submit(&in_memory);
  log.RunOnce();
  EXPECT_TRUE(absl::IsUnavailable(retry.result)) << retry.result;
  EXPECT_TRUE(in_memory.result.ok());
}

TEST_F(CommitLogTest, OsOperationsAreSyncedWithinTheIntervalUnderSteadyLoadToo) {
  CommitLog log(Options());
  std::vector<std::unique_ptr<TestOp>> ops;
  for (int i = 1; i <= 300; ++i) {
    ops.push_back(std::make_unique<TestOp>(i, Durability::kOs, nullptr));
    log.Submit(ops.back().get());
    log.RunOnce();
    clock_.Advance(absl::Milliseconds(1));
  }
  EXPECT_GE(store_.syncs, 2);
  EXPECT_LE(store_.syncs, 4);
}

TEST_F(CommitLogTest, InlineCommitOfAnOsOperationIsSyncedByTheSleepingCommitter) {
  CommitLogOptions options = Options();
  options.threaded = true;
  options.clock = Clock::System();
  options.sync_interval = absl::Milliseconds(10);
  CommitLog log(options);
  std::thread committer([&] { log.RunCommitter(); });
  TestOp op(1, Durability::kOs, nullptr);
  log.SubmitAndWait(&op, &op.done);
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (log.syncs() == 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(log.syncs(), 1u);
  log.Stop();
  committer.join();
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
  op.on_complete = [&] { inside = CheckMayBlock(); };
  log.Submit(&op);
  log.RunOnce();
  EXPECT_EQ(GetErrorInfo(inside).reason, "WouldBlock");
  EXPECT_TRUE(CheckMayBlock().ok());
}

}  // namespace
}  // namespace barista::commit
