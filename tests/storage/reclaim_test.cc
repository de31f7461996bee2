// Space comes back to the file system when messages go, in whatever order they go.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "absl/time/clock.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/store_harness.h"

namespace barista::storage {
namespace {

constexpr uint32_t kQueue = 1;
constexpr uint64_t kMessages = 20'000;
constexpr size_t kBytes = 8192;  // 160 MB in all: more than the memtables hold
constexpr uint64_t kBatch = 500;

class ReclaimTest : public testing::Test {
 protected:
  ReclaimTest() {
    EXPECT_TRUE(harness_.Open().ok());
    for (uint64_t sequence = 1; sequence <= kMessages; ++sequence) {
      builder_.Append(kQueue, sequence, std::string(kBytes, 'm'));
      if (sequence % kBatch == 0) Write();
    }
  }

  void Write() { ASSERT_TRUE(builder_.CommitTo(store()).ok()); }
  Store& store() { return harness_.store(); }
  // Files that nothing needs any more are deleted in the background.
  bool ShrinksTo(uint64_t bytes) {
    for (int i = 0; i < 3000 && DiskBytes() > bytes; ++i) absl::SleepFor(absl::Milliseconds(10));
    return DiskBytes() <= bytes;
  }
  uint64_t DiskBytes() { return store().Stats().disk_bytes; }

  // Removes what stays(sequence) does not keep.
  template <typename F>
  void RemoveUnless(F stays) {
    for (uint64_t sequence = 1; sequence <= kMessages; ++sequence) {
      if (!stays(sequence)) builder_.Ack(kQueue, sequence);
      if (sequence % kBatch == 0) Write();
    }
  }
  uint64_t Living() {
    uint64_t living = 0;
    Sequence from(0);
    for (bool end = false; !end;) {
      const absl::StatusOr<Page> page = store().Scan(QueueId(kQueue), from, {});
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      living += page->messages.size();
      from = page->next;
      end = page->end;
    }
    return living;
  }

  StoreHarness harness_{StoreKind::kRocksDbRuns};
  BatchBuilder builder_;
};

TEST_F(ReclaimTest, ADrainedBacklog) {
  const uint64_t full = DiskBytes();
  EXPECT_GE(full, kMessages * kBytes);
  RemoveUnless([](uint64_t) { return false; });
  store().Reclaim();
  EXPECT_TRUE(ShrinksTo(full / 4));
  EXPECT_EQ(Living(), 0u);
}

// Each file of bodies has messages that stay: they are copied together.
TEST_F(ReclaimTest, ABacklogOfWhichAFewMessagesStay) {
  const uint64_t full = DiskBytes();
  const auto stays = [](uint64_t sequence) { return sequence % 1000 == 0; };
  RemoveUnless(stays);
  store().Reclaim();
  EXPECT_TRUE(ShrinksTo(full / 4));
  EXPECT_EQ(Living(), kMessages / 1000);
  ASSERT_TRUE(harness_.Open().ok());
  EXPECT_EQ(Living(), kMessages / 1000);
}

// The first housekeeping of a boot finds what an earlier one left.
TEST_F(ReclaimTest, WhatAnEarlierBootRemoved) {
  const uint64_t full = DiskBytes();
  RemoveUnless([](uint64_t sequence) { return sequence % 1000 == 0; });
  ASSERT_TRUE(harness_.Open().ok());
  store().Reclaim();
  EXPECT_TRUE(ShrinksTo(full / 4));
  EXPECT_EQ(Living(), kMessages / 1000);
}

// Nothing is copied for the little that it would give.
TEST_F(ReclaimTest, ABacklogOfWhichMostStays) {
  RemoveUnless([](uint64_t sequence) { return sequence % 10 != 0; });
  const uint64_t before = DiskBytes();
  store().Reclaim();
  EXPECT_GE(DiskBytes(), before * 9 / 10);
  EXPECT_EQ(Living(), kMessages - kMessages / 10);
}

TEST_F(ReclaimTest, NothingAfterStop) {
  RemoveUnless([](uint64_t) { return false; });
  const uint64_t before = DiskBytes();
  store().StopReclaim();
  store().Reclaim();
  EXPECT_GE(DiskBytes(), before / 2);
}

}  // namespace
}  // namespace barista::storage
