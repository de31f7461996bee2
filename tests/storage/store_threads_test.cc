// One committer writes, another thread syncs, others read: what the contract of Store allows at the
// same time.

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/store.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/store_harness.h"

namespace barista::storage {
namespace {

class StoreThreadsTest : public ::testing::TestWithParam<StoreKind> {};

INSTANTIATE_TEST_SUITE_P(Stores, StoreThreadsTest,
                         ::testing::Values(StoreKind::kMemory, StoreKind::kRocksDbRuns),
                         [](const auto& info) { return Name(info.param); });

TEST_P(StoreThreadsTest, ReadersSeeEachBatchWhole) {
  StoreHarness harness(GetParam());
  ASSERT_TRUE(harness.Open().ok());
  Store& store = harness.store();
  constexpr uint32_t kQueue = 1;
  constexpr uint64_t kBatches = 400;
  constexpr uint64_t kPerBatch = 10;
  std::atomic<bool> done{false};

  // Batch n appends messages of n and acknowledges all of n - 1: every moment shows the messages of
  // one batch.
  std::thread committer([&] {
    BatchBuilder builder;
    for (uint64_t n = 0; n < kBatches; ++n) {
      for (uint64_t i = 0; i < kPerBatch; ++i)
        builder.Append(kQueue, n * kPerBatch + i + 1, absl::StrCat("batch ", n));
      for (uint64_t i = 0; n > 0 && i < kPerBatch; ++i)
        builder.Ack(kQueue, (n - 1) * kPerBatch + i + 1);
      if (n == kBatches / 2) builder.Purge(kQueue + 1, 1);
      ASSERT_TRUE(builder.WriteTo(store).ok());
    }
    done = true;
  });
  std::thread syncer([&] {
    while (!done) ASSERT_TRUE(store.Sync().ok());
  });
  std::thread scanner([&] {
    while (!done) {
      absl::StatusOr<Page> page = store.Scan(QueueId(kQueue), Sequence(0), {});
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_TRUE(page->messages.empty() || page->messages.size() == kPerBatch)
          << page->messages.size();
      for (const ScannedMessage& message : page->messages)
        ASSERT_EQ(message.record, page->messages[0].record);
      store.Reclaim();
      store.Stats();
    }
  });
  std::thread prober([&] {
    while (!done) {
      absl::StatusOr<std::optional<Sequence>> first = store.FirstLive(QueueId(kQueue), Sequence(0));
      ASSERT_TRUE(first.ok()) << first.status();
      if (first->has_value()) {
        ASSERT_EQ((*first)->value() % kPerBatch, 1u);
      }
      ASSERT_TRUE(store.Lookup(QueueId(kQueue), Sequence(kPerBatch)).ok());
    }
  });
  for (std::thread* thread : {&committer, &syncer, &scanner, &prober}) thread->join();
  EXPECT_EQ(store.Scan(QueueId(kQueue), Sequence(0), {}).value().messages.size(), kPerBatch);
}

}  // namespace
}  // namespace barista::storage
