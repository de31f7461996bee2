// Random batches against a naive model, on every store. A failing run prints its seed;
// BARISTA_TEST_SEED repeats it.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "gtest/gtest.h"
#include "storage/batch_translator.h"
#include "storage/store.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/row_ledger.h"
#include "tests/storage/store_harness.h"

namespace barista::storage {
namespace {

struct ModelMessage {
  std::string record;
  Lease lease;
};
struct ModelQueue {
  std::map<uint64_t, ModelMessage> messages;
  std::map<std::pair<int64_t, uint64_t>, std::string> delayed;
  std::set<std::tuple<uint8_t, int64_t, uint64_t>> expiry;
  QueueCounters counters;  // as they are
  QueueCounters stored;    // as they were written last
  std::string definition;
};

class RandomRun {
 public:
  RandomRun(StoreKind kind, uint64_t seed)
      : random_(seed), harness_(kind), translator_(Options(harness_)) {
    EXPECT_TRUE(harness_.Open().ok());
  }

  void Run(int batches) {
    for (int i = 0; i < batches && !::testing::Test::HasFailure(); ++i) {
      for (uint64_t n = Below(30) + 1; n > 0; --n) AddOperation();
      // The same batch goes to a ledger of rows, which checks how the rows are used. (A memory
      // store has no rows, and other RecordRefs.)
      if (harness_.durable()) {
        EXPECT_TRUE(translator_.Translate(builder_.batch(), ledger_, &ledger_).ok());
      }
      const absl::Status status = builder_.WriteTo(harness_.store());
      ASSERT_TRUE(status.ok()) << status;
      if (Below(harness_.durable() ? 40 : 1000) == 0) Reopen();
      if (Below(10) == 0) Compare();
      if (Below(20) == 0) harness_.store().Reclaim();
    }
    Compare();
    EXPECT_LE(translator_.table().size(), 16u);
  }

 private:
  static constexpr uint32_t kQueues = 3;

  static BatchTranslator::Options Options(const StoreHarness& harness) {
    BatchTranslator::Options options;
    options.max_run_messages = harness.max_record_messages();
    options.max_table_entries = 16;  // so that entries are evicted and read again
    options.max_table_leases = 100;
    return options;
  }

  uint64_t Below(uint64_t limit) {
    return std::uniform_int_distribution<uint64_t>(0, limit - 1)(random_);
  }
  Lease RandomLease() {
    if (Below(5) == 0) return Lease();
    return Lease{static_cast<int64_t>(Below(1000)), static_cast<int64_t>(Below(1000)),
                 static_cast<uint32_t>(Below(5)), 1};
  }
  // A living message near a random place; 0 if there is none.
  uint64_t AnyMessage(const ModelQueue& queue) {
    if (queue.messages.empty()) return 0;
    auto it = queue.messages.lower_bound(Below(queue.counters.next_sequence + 1));
    if (it == queue.messages.end()) it = queue.messages.begin();
    return it->first;
  }

  void AddOperation() {
    uint32_t& id_of_slot = ids_[Below(kQueues)];
    const uint32_t id = id_of_slot;
    ModelQueue& queue = model_[id];
    const uint64_t what = Below(1000);
    if (what < 300) {
      for (uint64_t n = Below(Below(10) == 0 ? 200 : 10) + 1; n > 0; --n) {
        uint64_t& next = queue.counters.next_sequence;
        if (Below(50) == 0) next += Below(100);
        const std::string record(Below(Below(100) == 0 ? 70000 : 50),
                                 static_cast<char>('a' + Below(26)));
        builder_.Append(id, next, record);
        queue.messages[next++] = {record, Lease()};
      }
    } else if (what < 700) {
      uint64_t sequence = AnyMessage(queue);
      for (uint64_t n = Below(20) + 1; n > 0 && sequence != 0; --n) {
        builder_.Ack(id, sequence);
        queue.messages.erase(sequence);
        const auto it = queue.messages.upper_bound(sequence);
        sequence = it == queue.messages.end() ? 0 : it->first;
      }
    } else if (what < 850) {
      const uint64_t sequence = AnyMessage(queue);
      if (sequence == 0) return;
      const Lease lease = RandomLease();
      builder_.SetLease(id, sequence, lease);
      queue.messages[sequence].lease = lease;
    } else if (what < 900) {
      const int64_t due_ms = static_cast<int64_t>(Below(50));
      const uint64_t row = Below(5);
      if (Below(2) == 0) {
        builder_.PutDelayed(id, due_ms, row, "later");
        queue.delayed[{due_ms, row}] = "later";
      } else {
        builder_.DeleteDelayed(id, due_ms, row);
        queue.delayed.erase({due_ms, row});
      }
    } else if (what < 950) {
      const auto kind = static_cast<Batch::ExpiryKind>(Below(2));
      const int64_t at_ms = static_cast<int64_t>(Below(50));
      if (Below(2) == 0) {
        builder_.PutExpiry(id, kind, at_ms, 1);
        queue.expiry.insert({static_cast<uint8_t>(kind), at_ms, 1});
      } else {
        builder_.DeleteExpiry(id, kind, at_ms, 1);
        queue.expiry.erase({static_cast<uint8_t>(kind), at_ms, 1});
      }
    } else if (what < 980) {
      builder_.PutCounters(id, queue.counters).PutDefinition(id, std::to_string(what));
      queue.definition = std::to_string(what);
      queue.stored = queue.counters;
    } else if (what < 997) {
      const uint64_t below =
          Below(3) == 0 ? queue.counters.next_sequence : Below(queue.counters.next_sequence + 1);
      builder_.Purge(id, below);
      queue.messages.erase(queue.messages.begin(), queue.messages.lower_bound(below));
      queue.delayed.clear();
      queue.expiry.clear();
    } else {
      builder_.DropQueue(id);
      model_.erase(id);
      id_of_slot = next_id_++;  // ids are never used again
    }
  }

  void Reopen() {
    const absl::Status status = harness_.Open();
    ASSERT_TRUE(status.ok()) << status;
    builder_.StartFrom(harness_.store().recovery().last_commit);
    Compare();
    for (const auto& [id, queue] : model_) {  // the engine learns its RecordRefs from scans
      absl::StatusOr<Page> page = harness_.store().Scan(QueueId(id), Sequence(0), Everything());
      ASSERT_TRUE(page.ok()) << page.status();
      for (const ScannedMessage& message : page->messages) builder_.SetRef(id, message.ref);
    }
  }

  static ScanLimits Everything() {
    ScanLimits limits;
    limits.max_messages = limits.max_bytes = ~size_t{0};
    return limits;
  }

  void Compare() {
    size_t defined = 0;
    for (const auto& [id, queue] : model_) {
      SCOPED_TRACE("queue " + std::to_string(id));
      CompareMessages(QueueId(id), queue);
      CompareRows(QueueId(id), queue);
      if (!queue.definition.empty()) ++defined;
    }
    absl::StatusOr<std::vector<StoredQueue>> queues = QueuesOf(harness_.store());
    ASSERT_TRUE(queues.ok()) << queues.status();
    ASSERT_EQ(queues->size(), defined);
    for (const StoredQueue& stored : *queues) {
      EXPECT_EQ(stored.definition, model_[stored.queue.value()].definition);
      EXPECT_EQ(stored.counters, model_[stored.queue.value()].stored);
    }
  }

  void CompareMessages(QueueId id, const ModelQueue& queue) {
    const Store& store = harness_.store();
    const uint64_t from = Below(3) == 0 ? Below(queue.counters.next_sequence + 1) : 0;
    ScanLimits limits;
    limits.max_messages = Below(100) + 1;
    auto expected = queue.messages.lower_bound(from);
    Sequence next(from);
    for (bool end = false; !end;) {
      absl::StatusOr<Page> page = store.Scan(id, next, limits);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const ScannedMessage& message : page->messages) {
        ASSERT_NE(expected, queue.messages.end()) << message.ref.sequence.value();
        ASSERT_EQ(message.ref.sequence.value(), expected->first);
        ASSERT_EQ(message.record, expected->second.record);
        ASSERT_EQ(message.lease, expected->second.lease) << expected->first;
        ++expected;
      }
      next = page->next;
      end = page->end;
    }
    ASSERT_EQ(expected, queue.messages.end());

    CompareHidden(id, queue, from);

    const uint64_t probe = Below(queue.counters.next_sequence + 2);
    absl::StatusOr<std::optional<Page>> found = store.Lookup(id, Sequence(probe));
    ASSERT_TRUE(found.ok()) << found.status();
    const auto message = queue.messages.find(probe);
    ASSERT_EQ(found->has_value(), message != queue.messages.end()) << probe;
    if (found->has_value()) {
      EXPECT_EQ((*found)->messages[0].record, message->second.record);
      EXPECT_EQ((*found)->messages[0].lease, message->second.lease);
    }
    absl::StatusOr<std::optional<Sequence>> first = store.FirstLive(id, Sequence(probe));
    ASSERT_TRUE(first.ok()) << first.status();
    const auto live = queue.messages.lower_bound(probe);
    ASSERT_EQ(first->has_value(), live != queue.messages.end()) << probe;
    if (first->has_value()) {
      EXPECT_EQ((*first)->value(), live->first);
    }
  }

  // The same messages, those hidden told apart; and the leases alone.
  void CompareHidden(QueueId id, const ModelQueue& queue, uint64_t from) {
    const Store& store = harness_.store();
    const uint64_t end = from + Below(queue.counters.next_sequence + 2);
    ScanLimits limits;
    limits.max_messages = Below(100) + 1;
    limits.max_hidden = Below(100) + 1;
    limits.hidden_after_ms = static_cast<int64_t>(Below(100));
    limits.end = Sequence(end);
    std::vector<uint64_t> visible;
    std::vector<HiddenMessage> hidden, expected_hidden;
    std::vector<uint64_t> expected_visible;
    for (auto it = queue.messages.lower_bound(from); it != queue.messages.end() && it->first < end;
         ++it) {
      if (it->second.lease.visible_at_ms > limits.hidden_after_ms) {
        expected_hidden.push_back({Sequence(it->first), it->second.lease.visible_at_ms});
      } else {
        expected_visible.push_back(it->first);
      }
    }
    Sequence next(from);
    for (bool at_end = false; !at_end;) {
      absl::StatusOr<Page> page = store.Scan(id, next, limits);
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_TRUE(page->end || page->next > next) << "the page leads nowhere";
      for (const ScannedMessage& message : page->messages) {
        visible.push_back(message.ref.sequence.value());
        ASSERT_LT(message.ref.sequence, page->next);
      }
      for (const HiddenMessage& message : page->hidden) ASSERT_LT(message.sequence, page->next);
      hidden.insert(hidden.end(), page->hidden.begin(), page->hidden.end());
      next = page->next;
      at_end = page->end;
    }
    ASSERT_EQ(visible, expected_visible);
    ASSERT_EQ(hidden, expected_hidden);
    absl::StatusOr<std::vector<HiddenMessage>> leases =
        store.ScanHidden(id, Sequence(from), Sequence(end), limits.hidden_after_ms);
    ASSERT_TRUE(leases.ok()) << leases.status();
    ASSERT_EQ(*leases, expected_hidden);

    const uint64_t probe = Below(queue.counters.next_sequence + 2);
    absl::StatusOr<std::optional<LeasedMessage>> lease = store.FindLease(id, Sequence(probe));
    ASSERT_TRUE(lease.ok()) << lease.status();
    const auto message = queue.messages.find(probe);
    ASSERT_EQ(lease->has_value(),
              message != queue.messages.end() && message->second.lease != Lease())
        << probe;
    if (lease->has_value()) {
      ASSERT_EQ((*lease)->lease, message->second.lease);
      const RecordRef& known = builder_.ref(id.value(), probe);
      ASSERT_EQ((*lease)->ref.sequence, known.sequence);
      ASSERT_EQ((*lease)->ref.index, known.index);
      ASSERT_EQ((*lease)->ref.count, known.count);
    }
  }

  void CompareRows(QueueId id, const ModelQueue& queue) {
    const Store& store = harness_.store();
    absl::StatusOr<std::vector<DelayedRow>> delayed = store.ScanDelayed(id, 1 << 20, 1000, 1 << 20);
    ASSERT_TRUE(delayed.ok()) << delayed.status();
    std::map<std::pair<int64_t, uint64_t>, std::string> delayed_rows;
    for (const DelayedRow& row : *delayed) delayed_rows[{row.due_ms, row.id}] = row.record;
    EXPECT_EQ(delayed_rows, queue.delayed);
    std::set<std::tuple<uint8_t, int64_t, uint64_t>> expiry_rows;
    for (Batch::ExpiryKind kind : {Batch::ExpiryKind::kSent, Batch::ExpiryKind::kDeadline}) {
      absl::StatusOr<std::vector<ExpiryRow>> rows = store.ScanExpiry(id, kind, 1 << 20, 1000);
      ASSERT_TRUE(rows.ok()) << rows.status();
      for (const ExpiryRow& row : *rows) {
        expiry_rows.insert({static_cast<uint8_t>(row.kind), row.at_ms, row.sequence.value()});
      }
    }
    EXPECT_EQ(expiry_rows, queue.expiry);
  }

  std::mt19937_64 random_;
  StoreHarness harness_;
  BatchBuilder builder_;
  std::map<uint32_t, ModelQueue> model_;
  std::array<uint32_t, kQueues> ids_ = {1, 2, 3};
  uint32_t next_id_ = 4;
  BatchTranslator translator_;
  RowLedger ledger_;
};

class StorePropertyTest : public ::testing::TestWithParam<StoreKind> {};

INSTANTIATE_TEST_SUITE_P(Stores, StorePropertyTest,
                         ::testing::Values(StoreKind::kMemory, StoreKind::kRocksDbRuns,
                                           StoreKind::kRocksDbSingles),
                         [](const auto& info) { return Name(info.param); });

TEST_P(StorePropertyTest, BehavesAsTheModel) {
  const char* const given = std::getenv("BARISTA_TEST_SEED");
  const uint64_t first =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  for (uint64_t seed = first; seed < first + 3; ++seed) {
    SCOPED_TRACE("BARISTA_TEST_SEED=" + std::to_string(seed));
    RandomRun(GetParam(), seed).Run(300);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace barista::storage
