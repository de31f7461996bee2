// What every Store does, whatever is behind it.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/store.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/store_harness.h"

namespace barista::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint32_t kQueue = 7;

class StoreTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  StoreTest() : harness_(GetParam()) {}
  void SetUp() override { ASSERT_TRUE(harness_.Open().ok()); }

  Store& store() { return harness_.store(); }
  void Write() {
    const absl::Status status = builder_.WriteTo(store());
    ASSERT_TRUE(status.ok()) << status;
  }
  // A memory store keeps nothing beyond its life; the others are opened again.
  void Reopen() {
    const absl::Status status = harness_.Open();
    ASSERT_TRUE(status.ok()) << status;
    builder_.StartFrom(store().recovery().last_commit);
  }
  void AppendRange(uint32_t queue, uint64_t first, uint64_t last) {
    for (uint64_t s = first; s <= last; ++s) builder_.Append(queue, s, absl::StrCat("m", s));
  }

  std::vector<std::string> Records(uint32_t queue, uint64_t from = 0,
                                   const ScanLimits& limits = {}) {
    absl::StatusOr<Page> page = store().Scan(QueueId(queue), Sequence(from), limits);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> records;
    if (page.ok()) {
      for (const ScannedMessage& message : page->messages) records.emplace_back(message.record);
    }
    return records;
  }
  std::vector<uint64_t> Sequences(uint32_t queue, uint64_t from = 0,
                                  const ScanLimits& limits = {}) {
    absl::StatusOr<Page> page = store().Scan(QueueId(queue), Sequence(from), limits);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<uint64_t> sequences;
    if (page.ok()) {
      for (const ScannedMessage& message : page->messages)
        sequences.push_back(message.ref.sequence.value());
    }
    return sequences;
  }
  std::optional<ScannedMessage> Find(uint32_t queue, uint64_t sequence) {
    absl::StatusOr<std::optional<Page>> page = store().Lookup(QueueId(queue), Sequence(sequence));
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok() || !page->has_value()) return std::nullopt;
    EXPECT_EQ((*page)->messages.size(), 1u);
    ScannedMessage message = (*page)->messages[0];
    found_record_ = std::string(message.record);
    message.record = found_record_;
    return message;
  }
  std::optional<uint64_t> FirstLive(uint32_t queue, uint64_t from) {
    absl::StatusOr<std::optional<Sequence>> first =
        store().FirstLive(QueueId(queue), Sequence(from));
    EXPECT_TRUE(first.ok()) << first.status();
    if (!first.ok() || !first->has_value()) return std::nullopt;
    return (*first)->value();
  }

  StoreHarness harness_;
  BatchBuilder builder_;
  std::string found_record_;
};

INSTANTIATE_TEST_SUITE_P(Stores, StoreTest,
                         ::testing::Values(StoreKind::kMemory, StoreKind::kRocksDbRuns,
                                           StoreKind::kRocksDbSingles),
                         [](const auto& info) { return Name(info.param); });

TEST_P(StoreTest, NewStoreIsEmpty) {
  EXPECT_THAT(Records(kQueue), IsEmpty());
  EXPECT_EQ(FirstLive(kQueue, 0), std::nullopt);
  EXPECT_EQ(store().FirstDelayed(QueueId(kQueue)).value(), std::nullopt);
  EXPECT_THAT(QueuesOf(store()).value(), IsEmpty());
  EXPECT_EQ(store().boot(), 1u);
  EXPECT_EQ(store().secret().size(), 16u);
  EXPECT_EQ(store().recovery().last_commit, 0u);
}

TEST_P(StoreTest, AppendedMessagesAreScannedInOrder) {
  AppendRange(kQueue, 1, 3);
  Write();
  AppendRange(kQueue, 4, 5);
  builder_.Append(kQueue + 1, 1, "other");
  Write();
  Reopen();
  EXPECT_THAT(Records(kQueue), ElementsAre("m1", "m2", "m3", "m4", "m5"));
  EXPECT_THAT(Records(kQueue + 1), ElementsAre("other"));
  EXPECT_THAT(Records(kQueue + 2), IsEmpty());
}

TEST_P(StoreTest, WriteFillsTheRecordRefs) {
  AppendRange(kQueue, 1, 3);
  Write();
  const int run = harness_.durable() ? std::min(3, harness_.max_record_messages()) : 1;
  for (uint64_t s = 1; s <= 3; ++s) {
    const RecordRef& ref = builder_.ref(kQueue, s);
    EXPECT_EQ(ref.sequence, Sequence(s));
    EXPECT_EQ(ref.count, run);
    EXPECT_EQ(ref.index, run == 3 ? s - 1 : 0);
    EXPECT_FALSE(ref.has_state);
    const auto found = Find(kQueue, s);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->ref.index, ref.index);
    EXPECT_EQ(found->ref.count, ref.count);
  }
}

TEST_P(StoreTest, AppendsOfOneQueueMergeAcrossOtherOperations) {
  builder_.Append(kQueue, 1, "a")
      .PutCounters(kQueue, {})
      .Append(kQueue + 1, 9, "x")
      .Append(kQueue, 2, "b");
  Write();
  EXPECT_THAT(Records(kQueue), ElementsAre("a", "b"));
  EXPECT_THAT(Records(kQueue + 1), ElementsAre("x"));
  if (harness_.durable() && harness_.max_record_messages() > 1) {
    EXPECT_EQ(builder_.ref(kQueue, 1).count, 2);
    EXPECT_EQ(builder_.ref(kQueue, 2).index, 1);
  }
}

TEST_P(StoreTest, SequencesMayHaveGaps) {
  builder_.Append(kQueue, 5, "five").Append(kQueue, 9, "nine").Append(kQueue, 10, "ten");
  Write();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(5, 9, 10));
  EXPECT_THAT(Sequences(kQueue, 6), ElementsAre(9, 10));
  EXPECT_EQ(Find(kQueue, 7), std::nullopt);
  EXPECT_EQ(FirstLive(kQueue, 6), 9u);
  EXPECT_EQ(FirstLive(kQueue, 11), std::nullopt);
}

TEST_P(StoreTest, ScanStartsAnywhereInARun) {
  AppendRange(kQueue, 1, 200);
  Write();
  for (uint64_t from : {0, 1, 2, 63, 64, 65, 128, 129, 199, 200}) {
    const std::vector<uint64_t> sequences = Sequences(kQueue, from);
    ASSERT_EQ(sequences.size(), 200 - std::max<uint64_t>(from, 1) + 1) << from;
    EXPECT_EQ(sequences.front(), std::max<uint64_t>(from, 1));
    EXPECT_EQ(sequences.back(), 200u);
  }
  EXPECT_THAT(Sequences(kQueue, 201), IsEmpty());
}

TEST_P(StoreTest, PagesCoverEverythingOnce) {
  AppendRange(kQueue, 1, 150);
  Write();
  for (size_t page_size : {1, 7, 64, 149, 150, 151}) {
    ScanLimits limits;
    limits.max_messages = page_size;
    uint64_t expected = 1;
    Sequence next(0);
    for (bool end = false; !end;) {
      absl::StatusOr<Page> page = store().Scan(QueueId(kQueue), next, limits);
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_LE(page->messages.size(), page_size);
      for (const ScannedMessage& message : page->messages)
        EXPECT_EQ(message.ref.sequence.value(), expected++);
      next = page->next;
      end = page->end;
      EXPECT_EQ(end, expected == 151);
    }
    EXPECT_EQ(expected, 151u);
  }
}

TEST_P(StoreTest, PageStopsAfterTheMessageThatReachesMaxBytes) {
  for (uint64_t s = 1; s <= 5; ++s) builder_.Append(kQueue, s, std::string(100, 'x'));
  Write();
  ScanLimits limits;
  limits.max_bytes = 200;
  EXPECT_THAT(Sequences(kQueue, 0, limits), ElementsAre(1, 2));
  limits.max_bytes = 201;
  EXPECT_THAT(Sequences(kQueue, 0, limits), ElementsAre(1, 2, 3));
  limits.max_bytes = 1;
  EXPECT_THAT(Sequences(kQueue, 0, limits), ElementsAre(1));
}

TEST_P(StoreTest, ScanEndIsExclusive) {
  AppendRange(kQueue, 1, 10);
  Write();
  ScanLimits limits;
  limits.end = Sequence(4);
  EXPECT_THAT(Sequences(kQueue, 2, limits), ElementsAre(2, 3));
  limits.end = Sequence(1);
  EXPECT_THAT(Sequences(kQueue, 0, limits), IsEmpty());
}

TEST_P(StoreTest, AckedMessagesAreGone) {
  AppendRange(kQueue, 1, 5);
  Write();
  builder_.Ack(kQueue, 2).Ack(kQueue, 4);
  Write();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(1, 3, 5));
  EXPECT_EQ(Find(kQueue, 2), std::nullopt);
  EXPECT_TRUE(Find(kQueue, 3).has_value());
  EXPECT_EQ(FirstLive(kQueue, 2), 3u);
  Reopen();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(1, 3, 5));
  builder_.Ack(kQueue, 1).Ack(kQueue, 3);
  Write();
  builder_.Ack(kQueue, 5);
  Write();
  EXPECT_THAT(Sequences(kQueue), IsEmpty());
  EXPECT_EQ(FirstLive(kQueue, 0), std::nullopt);
  Reopen();
  EXPECT_THAT(Sequences(kQueue), IsEmpty());
}

TEST_P(StoreTest, AckInTheBatchOfTheAppend) {
  AppendRange(kQueue, 1, 3);
  builder_.Ack(kQueue, 2);
  builder_.Append(kQueue + 1, 1, "short-lived").Ack(kQueue + 1, 1);
  Write();
  Reopen();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(1, 3));
  EXPECT_THAT(Sequences(kQueue + 1), IsEmpty());
}

TEST_P(StoreTest, LeasesComeBackWithTheirMessages) {
  AppendRange(kQueue, 1, 4);
  Write();
  const Lease first{1000, 900, 1, 1};
  const Lease second{5000, 900, 2, 1};
  builder_.SetLease(kQueue, 2, first).SetLease(kQueue, 4, first);
  Write();
  EXPECT_TRUE(builder_.ref(kQueue, 2).has_state);
  builder_.SetLease(kQueue, 4, second);
  Write();
  Reopen();
  EXPECT_EQ(Find(kQueue, 1)->lease, Lease());
  EXPECT_EQ(Find(kQueue, 2)->lease, first);
  EXPECT_EQ(Find(kQueue, 4)->lease, second);
  EXPECT_TRUE(Find(kQueue, 4)->ref.has_state);
  absl::StatusOr<Page> page = store().Scan(QueueId(kQueue), Sequence(0), {});
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->messages[1].lease, first);
  EXPECT_EQ(page->messages[2].lease, Lease());
  EXPECT_EQ(page->messages[3].lease, second);

  builder_.SetRef(kQueue, page->messages[1].ref);
  builder_.Ack(kQueue, 2);
  Write();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(1, 3, 4));
  EXPECT_EQ(Find(kQueue, 4)->lease, second);
}

TEST_P(StoreTest, LeaseAndAckInOneBatch) {
  AppendRange(kQueue, 1, 2);
  builder_.SetLease(kQueue, 1, Lease{10, 5, 1, 1});
  Write();
  EXPECT_EQ(Find(kQueue, 1)->lease.receives, 1u);
  builder_.SetLease(kQueue, 2, Lease{10, 5, 1, 1}).Ack(kQueue, 2).Ack(kQueue, 1);
  Write();
  Reopen();
  EXPECT_THAT(Sequences(kQueue), IsEmpty());
}

TEST_P(StoreTest, DelayedRowsComeInOrderOfTheirTime) {
  builder_.PutDelayed(kQueue, 300, 1, "c")
      .PutDelayed(kQueue, 100, 2, "a")
      .PutDelayed(kQueue, 100, 3, "b");
  builder_.PutDelayed(kQueue + 1, 50, 1, "other");
  Write();
  Reopen();
  EXPECT_EQ(store().FirstDelayed(QueueId(kQueue)).value(), 100);
  auto due = [&](int64_t until_ms, size_t max_rows, size_t max_bytes) {
    std::vector<std::string> records;
    const auto rows = store().ScanDelayed(QueueId(kQueue), until_ms, max_rows, max_bytes);
    for (const DelayedRow& row : rows.value()) {
      records.push_back(row.record);
    }
    return records;
  };
  EXPECT_THAT(due(99, 10, 1000), IsEmpty());
  EXPECT_THAT(due(100, 10, 1000), ElementsAre("a", "b"));
  EXPECT_THAT(due(std::numeric_limits<int64_t>::max(), 10, 1000), ElementsAre("a", "b", "c"));
  EXPECT_THAT(due(300, 1, 1000), ElementsAre("a"));
  EXPECT_THAT(due(300, 10, 1), ElementsAre("a"));
  builder_.DeleteDelayed(kQueue, 100, 2).DeleteDelayed(kQueue, 100, 3);
  Write();
  EXPECT_EQ(store().FirstDelayed(QueueId(kQueue)).value(), 300);
}

TEST_P(StoreTest, ExpiryRowsAreScannedByKindAndTime) {
  using Kind = Batch::ExpiryKind;
  builder_.PutExpiry(kQueue, Kind::kSent, 200, 1).PutExpiry(kQueue, Kind::kSent, 100, 2);
  builder_.PutExpiry(kQueue, Kind::kDeadline, 50, 3).PutExpiry(kQueue, Kind::kSent, 300, 4);
  Write();
  builder_.DeleteExpiry(kQueue, Kind::kSent, 300, 4);
  Write();
  Reopen();
  auto sequences = [&](Kind kind, int64_t until_ms, size_t max_rows) {
    std::vector<uint64_t> result;
    const auto rows = store().ScanExpiry(QueueId(kQueue), kind, until_ms, max_rows);
    for (const ExpiryRow& row : rows.value()) {
      EXPECT_EQ(row.kind, kind);
      result.push_back(row.sequence.value());
    }
    return result;
  };
  EXPECT_THAT(sequences(Kind::kSent, 1000, 10), ElementsAre(2, 1));
  EXPECT_THAT(sequences(Kind::kSent, 100, 10), ElementsAre(2));
  EXPECT_THAT(sequences(Kind::kSent, 1000, 1), ElementsAre(2));
  EXPECT_THAT(sequences(Kind::kDeadline, 1000, 10), ElementsAre(3));
  EXPECT_THAT(sequences(Kind::kDeadline, 49, 10), IsEmpty());
}

TEST_P(StoreTest, QueuesAreLoadedWithDefinitionAndCounters) {
  const QueueCounters counters{10, 4, 3, 9, 5, 2};
  builder_.PutDefinition(2, "two")
      .PutDefinition(1, std::string("o\0ne", 4))
      .PutCounters(2, counters);
  builder_.PutDefinition(3, "three").PutCounters(3, counters);
  Write();
  builder_.DropQueue(3).PutDefinition(2, "two, changed");
  Write();
  Reopen();
  absl::StatusOr<std::vector<StoredQueue>> queues = QueuesOf(store());
  ASSERT_TRUE(queues.ok()) << queues.status();
  ASSERT_EQ(queues->size(), 2u);
  EXPECT_EQ((*queues)[0].queue, QueueId(1));
  EXPECT_EQ((*queues)[0].definition, std::string("o\0ne", 4));
  EXPECT_EQ((*queues)[0].counters, QueueCounters());
  EXPECT_EQ((*queues)[1].queue, QueueId(2));
  EXPECT_EQ((*queues)[1].definition, "two, changed");
  EXPECT_EQ((*queues)[1].counters, counters);
}

TEST_P(StoreTest, PurgeRemovesWhatIsBelow) {
  AppendRange(kQueue, 1, 100);
  AppendRange(kQueue + 1, 1, 3);
  builder_.PutDelayed(kQueue, 5, 1, "late").PutExpiry(kQueue, Batch::ExpiryKind::kSent, 5, 1);
  Write();
  builder_.SetLease(kQueue, 40, Lease{10, 5, 1, 1}).SetLease(kQueue, 60, Lease{20, 5, 1, 1});
  Write();
  builder_.Purge(kQueue, 50);  // in the middle of a run
  Write();
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_EQ(Sequences(kQueue).size(), 51u);
    EXPECT_EQ(FirstLive(kQueue, 0), 50u);
    EXPECT_EQ(Find(kQueue, 49), std::nullopt);
    EXPECT_EQ(Find(kQueue, 60)->lease.visible_at_ms, 20);
    EXPECT_EQ(store().FirstDelayed(QueueId(kQueue)).value(), std::nullopt);
    EXPECT_THAT(store().ScanExpiry(QueueId(kQueue), Batch::ExpiryKind::kSent, 100, 10).value(),
                IsEmpty());
    EXPECT_THAT(Sequences(kQueue + 1), ElementsAre(1, 2, 3));
    Reopen();
  }
  builder_.Purge(kQueue, 101);
  AppendRange(kQueue, 101, 102);
  Write();
  store().Reclaim();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(101, 102));
  Reopen();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(101, 102));
}

TEST_P(StoreTest, PurgeMeetsTheOperationsOfItsBatchInOrder) {
  AppendRange(kQueue, 1, 4);
  Write();
  builder_.Ack(kQueue, 1).SetLease(kQueue, 2, Lease{10, 5, 1, 1});
  AppendRange(kQueue, 5, 8);
  builder_.PutDelayed(kQueue, 5, 1, "before");
  builder_.Purge(kQueue, 7);
  AppendRange(kQueue, 9, 10);
  builder_.PutDelayed(kQueue, 6, 2, "after").Ack(kQueue, 8);
  Write();
  Reopen();
  EXPECT_THAT(Sequences(kQueue), ElementsAre(7, 9, 10));
  EXPECT_EQ(store().FirstDelayed(QueueId(kQueue)).value(), 6);
}

TEST_P(StoreTest, DropQueueRemovesEverythingOfIt) {
  AppendRange(kQueue, 1, 10);
  AppendRange(kQueue + 1, 1, 2);
  builder_.PutDefinition(kQueue, "q").PutCounters(kQueue, {}).PutDelayed(kQueue, 5, 1, "late");
  builder_.PutExpiry(kQueue, Batch::ExpiryKind::kSent, 5, 1);
  Write();
  builder_.Ack(kQueue, 3).SetLease(kQueue, 4, Lease{10, 5, 1, 1});
  AppendRange(kQueue, 11, 12);
  builder_.DropQueue(kQueue);
  Write();
  store().Reclaim();
  Reopen();
  EXPECT_THAT(Sequences(kQueue), IsEmpty());
  EXPECT_THAT(Sequences(kQueue + 1), ElementsAre(1, 2));
  EXPECT_THAT(QueuesOf(store()).value(), IsEmpty());
  EXPECT_EQ(store().FirstDelayed(QueueId(kQueue)).value(), std::nullopt);
}

TEST_P(StoreTest, TheHighestQueueIdIsAQueueAsOthers) {
  constexpr uint32_t kLast = std::numeric_limits<uint32_t>::max();
  builder_.Append(kLast, 1, "a").Append(kLast - 1, 1, "b");
  Write();
  EXPECT_THAT(Records(kLast), ElementsAre("a"));
  builder_.DropQueue(kLast);
  Write();
  EXPECT_THAT(Records(kLast), IsEmpty());
  EXPECT_THAT(Records(kLast - 1), ElementsAre("b"));
}

TEST_P(StoreTest, LargeAndTinyRecordsShareABatch) {
  std::vector<std::string> records;
  for (size_t size : {size_t{1}, size_t{70000}, size_t{0}, size_t{1} << 20, size_t{3}}) {
    records.emplace_back(size, static_cast<char>('a' + size % 26));
  }
  for (size_t i = 0; i < records.size(); ++i) builder_.Append(kQueue, i + 1, records[i]);
  Write();
  Reopen();
  EXPECT_EQ(Records(kQueue), records);
}

TEST_P(StoreTest, PageOutlivesLaterWrites) {
  AppendRange(kQueue, 1, 3);
  Write();
  absl::StatusOr<Page> page = store().Scan(QueueId(kQueue), Sequence(0), {});
  ASSERT_TRUE(page.ok());
  const Page moved = *std::move(page);
  builder_.Purge(kQueue, 4);
  Write();
  ASSERT_EQ(moved.messages.size(), 3u);
  EXPECT_EQ(moved.messages[2].record, "m3");
}

TEST_P(StoreTest, BootsAreCountedAndTheSecretStays) {
  if (!harness_.durable()) return;  // its life is one boot
  const std::string secret = store().secret();
  builder_.PutDefinition(1, "q");
  Write();
  Reopen();
  EXPECT_EQ(store().boot(), 2u);
  EXPECT_EQ(store().secret(), secret);
  EXPECT_EQ(store().recovery().last_commit, 1u);
  EXPECT_EQ(store().recovery().unsynced_commits_dropped, 0u);
  EXPECT_EQ(store().recovery().synced_commits_lost, 0u);
  Reopen();
  EXPECT_EQ(store().boot(), 3u);
  EXPECT_EQ(store().recovery().last_commit, 1u);
}

}  // namespace
}  // namespace barista::storage
