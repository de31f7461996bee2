// Cuts the power after every write and every sync of a scripted run (I1).

#include <rocksdb/env.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/restore.h"
#include "storage/rocksdb_store.h"
#include "storage/store.h"
#include "tests/crash/power_cut_fs.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/temp_dir.h"

namespace barista::storage {
namespace {

using Survival = PowerCutFileSystem::Survival;

// {queue, sequence} → {record, receives}
using Content = std::map<std::pair<uint32_t, uint64_t>, std::pair<std::string, uint32_t>>;

constexpr uint32_t kQueues = 2;

RocksDbStoreOptions Options(const std::string& dir, rocksdb::Env* env) {
  RocksDbStoreOptions options;
  options.dir = dir;
  options.env = env;
  options.ballast_bytes = 0;
  options.memory_limit_bytes = 2 << 20;  // small, so that the run flushes
  return options;
}

// A run of commits, and what a store must hold after each.
class ScriptedRun {
 public:
  // A commit is synced when its number is a multiple of `sync_every`; 0: never.
  explicit ScriptedRun(uint64_t sync_every)
      : sync_every_(sync_every),
        fs_(std::make_shared<PowerCutFileSystem>(dir_.path())),
        env_(rocksdb::NewCompositeEnv(fs_)) {
    contents_.emplace_back();
    Open();
    for (uint64_t i = 0; i < 5; ++i) {
      AppendSome(1, 10, 20);
      AppendSome(2, 3, 60000);
      Commit();
      for (uint64_t s = first_[1]; s < first_[1] + 7; ++s) Ack(1, s);
      first_[1] += 7;
      SetLease(1, first_[1]);
      Commit();
      AppendSome(2, 1, 250000);
      SetLease(2, first_[2]);
      Commit();
      if (i == 1) Purge(2);
      Ack(2, first_[2]++);
      Commit();
      if (i == 2) Open();
    }
    Purge(1);
    Commit();
    store_.reset();
  }

  const PowerCutFileSystem& fs() const { return *fs_; }
  const Content& content(uint64_t commit) const { return contents_[commit]; }
  uint64_t commits() const { return contents_.size() - 1; }
  // The newest commit whose Write, or Sync, had returned when there were `events` events.
  uint64_t NewestWritten(size_t events) const { return Newest(written_, events); }
  uint64_t NewestSynced(size_t events) const { return Newest(synced_, events); }

 private:
  static uint64_t Newest(const std::vector<std::pair<size_t, uint64_t>>& acknowledged,
                         size_t events) {
    uint64_t newest = 0;
    for (const auto& [at, commit] : acknowledged) {
      if (at <= events) newest = commit;
    }
    return newest;
  }

  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> opened =
        OpenRocksDbStore(Options(dir_ / "data", env_.get()));
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    ASSERT_EQ(store_->recovery().last_commit, builder_.commit());
    builder_.StartFrom(store_->recovery().last_commit);
  }
  void AppendSome(uint32_t queue, int count, size_t bytes) {
    for (; count > 0; --count) {
      const uint64_t sequence = next_[queue]++;
      const std::string record = absl::StrCat(queue, "/", sequence, std::string(bytes, '.'));
      builder_.Append(queue, sequence, record);
      now_[{queue, sequence}] = {record, 0};
    }
  }
  void Ack(uint32_t queue, uint64_t sequence) {
    builder_.Ack(queue, sequence);
    now_.erase({queue, sequence});
  }
  void SetLease(uint32_t queue, uint64_t sequence) {
    builder_.SetLease(queue, sequence, Lease{1, 1, 7, 1});
    now_[{queue, sequence}].second = 7;
  }
  void Purge(uint32_t queue) {
    builder_.Purge(queue, next_[queue]);
    now_.erase(now_.lower_bound({queue, 0}), now_.lower_bound({queue + 1, 0}));
    first_[queue] = next_[queue];
    AppendSome(queue, 2, 10);
  }
  void Commit() {
    const bool sync = sync_every_ != 0 && (builder_.commit() + 1) % sync_every_ == 0;
    const absl::Status status = sync ? builder_.CommitTo(*store_) : builder_.WriteTo(*store_);
    ASSERT_TRUE(status.ok()) << status;
    contents_.push_back(now_);
    written_.emplace_back(fs_->events(), builder_.commit());
    if (sync) synced_.emplace_back(fs_->events(), builder_.commit());
  }

  const uint64_t sync_every_;
  TempDir dir_;
  std::shared_ptr<PowerCutFileSystem> fs_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<Store> store_;
  BatchBuilder builder_;
  std::map<uint32_t, uint64_t> next_ = {{1, 1}, {2, 1}};
  std::map<uint32_t, uint64_t> first_ = {{1, 1}, {2, 1}};
  Content now_;
  std::vector<Content> contents_;  // by commit
  std::vector<std::pair<size_t, uint64_t>> written_;
  std::vector<std::pair<size_t, uint64_t>> synced_;
};

Content ContentOf(const Store& store) {
  Content content;
  for (uint32_t queue = 1; queue <= kQueues; ++queue) {
    ScanLimits limits;
    limits.max_messages = limits.max_bytes = ~size_t{0};
    absl::StatusOr<Page> page = store.Scan(QueueId(queue), Sequence(0), limits);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) continue;
    for (const ScannedMessage& message : page->messages) {
      content[{queue, message.ref.sequence.value()}] = {std::string(message.record),
                                                        message.lease.receives};
    }
  }
  return content;
}

struct Outcome {
  int cuts = 0;
  int cuts_that_lost_a_written_commit = 0;
  int cuts_with_reported_drops = 0;
};

// Opens what each cut leaves: it must be what the run had at some commit, and not at an earlier one
// than the last that was synced.
Outcome CutEverywhere(const ScriptedRun& run, Survival survival, size_t step) {
  Outcome outcome;
  TempDir target;
  for (size_t cut = 0; cut <= run.fs().events(); cut += step) {
    SCOPED_TRACE(absl::StrCat(
        "cut ", cut, cut == 0 ? "" : absl::StrCat(" after: ", run.fs().Describe(cut - 1))));
    run.fs().Materialize(cut, survival, /*seed=*/cut, target / "disk");
    absl::StatusOr<std::unique_ptr<Store>> opened =
        OpenRocksDbStore(Options(target / "disk/data", nullptr));
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (!opened.ok()) return outcome;
    const Recovery& recovery = (*opened)->recovery();
    EXPECT_EQ(recovery.synced_commits_lost, 0u);
    const uint64_t held = recovery.last_commit - recovery.unsynced_commits_dropped;
    EXPECT_GE(held, run.NewestSynced(cut));
    EXPECT_LE(held, run.commits());
    if (held <= run.commits()) {
      EXPECT_TRUE(ContentOf(**opened) == run.content(held)) << "held commit " << held;
    }
    ++outcome.cuts;
    if (held < run.NewestWritten(cut)) ++outcome.cuts_that_lost_a_written_commit;
    if (recovery.unsynced_commits_dropped > 0) ++outcome.cuts_with_reported_drops;
    if (::testing::Test::HasFailure()) return outcome;
  }
  return outcome;
}

TEST(PowerCutTest, WhatWasSyncedIsThereAfterEveryCut) {
  const ScriptedRun run(/*sync_every=*/1);
  const Outcome outcome = CutEverywhere(run, Survival::kSyncedOnly, 1);
  EXPECT_GT(outcome.cuts, 100);
  EXPECT_EQ(outcome.cuts_with_reported_drops, 0);
}

TEST(PowerCutTest, TornWritesLoseNothingThatWasSynced) {
  const ScriptedRun run(/*sync_every=*/2);
  const Outcome outcome = CutEverywhere(run, Survival::kTorn, 1);
  EXPECT_GT(outcome.cuts_that_lost_a_written_commit, 0);
  EXPECT_GT(outcome.cuts_with_reported_drops, 0);
}

TEST(PowerCutTest, ARunThatNeverSyncsLosesSomething) {
  const ScriptedRun run(/*sync_every=*/0);
  EXPECT_GT(CutEverywhere(run, Survival::kSyncedOnly, 3).cuts_that_lost_a_written_commit, 0);
}

TEST(PowerCutTest, TheDeathOfTheProcessLosesNothingWritten) {
  const ScriptedRun run(/*sync_every=*/0);
  EXPECT_EQ(CutEverywhere(run, Survival::kEverything, 3).cuts_that_lost_a_written_commit, 0);
}

// A backup, or a restored directory, is there whole or not at all; and it is there once the call
// has returned.
TEST(PowerCutTest, BackupsAndRestoredDirectoriesAreThereWholeOrNotAtAll) {
  TempDir dir;
  const auto fs = std::make_shared<PowerCutFileSystem>(dir.path());
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fs);
  Content content;
  size_t begun = 0;
  {
    absl::StatusOr<std::unique_ptr<Store>> store =
        OpenRocksDbStore(Options(dir / "data", env.get()));
    ASSERT_TRUE(store.ok()) << store.status();
    BatchBuilder builder;
    for (uint64_t i = 1; i <= 40;
         ++i) {  // enough for tables and blobs, and a log that is not synced
      builder.Append(1, i, std::string(60'000, 'm'));
      ASSERT_TRUE(builder.WriteTo(**store).ok());
    }
    content = ContentOf(**store);
    begun = fs->events();
    ASSERT_TRUE((*store)->Backup(dir / "backup", {}).ok());
  }
  const size_t backed_up = fs->events();
  ASSERT_TRUE(RestoreBackup(dir / "backup", dir / "restored", {}, env.get()).ok());
  const size_t restored = fs->events();

  const auto expect_content = [&](const std::string& data_dir) {
    absl::StatusOr<std::unique_ptr<Store>> store = OpenRocksDbStore(Options(data_dir, nullptr));
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE(ContentOf(**store) == content);
  };
  TempDir target;
  int half_done = 0;
  for (const Survival survival : {Survival::kSyncedOnly, Survival::kTorn, Survival::kEverything}) {
    const size_t step = survival == Survival::kSyncedOnly ? 1 : 3;
    for (size_t cut = begun; cut <= restored; cut += step) {
      SCOPED_TRACE(absl::StrCat("cut ", cut, " after: ", fs->Describe(cut - 1)));
      fs->Materialize(cut, survival, /*seed=*/cut, target / "disk");
      const auto exists = [&](const char* name) {
        return std::filesystem::exists(target / "disk/" + name);
      };
      half_done += exists("backup.tmp") || exists("restored.tmp");
      EXPECT_TRUE(exists("backup") || cut < backed_up);
      EXPECT_TRUE(exists("restored") || cut < restored);
      if (exists("backup") && (cut <= backed_up || cut % 10 == 0)) {  // it changes no more
        const absl::StatusOr<BackupResult> result =
            RestoreBackup(target / "disk/backup", target / "again", {}, nullptr);
        ASSERT_TRUE(result.ok()) << result.status();
        expect_content(target / "again");
        std::filesystem::remove_all(target / "again");
      }
      if (exists("restored")) expect_content(target / "disk/restored");
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(half_done, 0);
}

}  // namespace
}  // namespace barista::storage
