// Stowed messages come back, whatever goes on beside them, and hold nothing up.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "barista/error.h"
#include "broker/broker_impl.h"
#include "storage/rocksdb_store.h"
#include "tests/commit/scripted_store.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

// Counts looks at leases; may find a segment of them damaged, or a message missing.
class WatchedStore : public ScriptedStore {
 public:
  using ScriptedStore::ScriptedStore;

  absl::StatusOr<std::vector<storage::HiddenMessage>> ScanHidden(QueueId q, Sequence from,
                                                                 Sequence end,
                                                                 int64_t after) const override {
    ++looks;
    if (static_cast<int64_t>(from.value() >> 10 & 0xff) == damaged_segment)
      return absl::DataLossError("planted");
    return ScriptedStore::ScanHidden(q, from, end, after);
  }
  absl::StatusOr<storage::Page> Scan(QueueId q, Sequence from,
                                     const storage::ScanLimits& limits) const override {
    absl::StatusOr<storage::Page> page = ScriptedStore::Scan(q, from, limits);
    if (!page.ok()) return page;
    auto& messages = page->messages;
    messages.erase(std::remove_if(messages.begin(), messages.end(),
                                  [&](const storage::ScannedMessage& message) {
                                    return static_cast<int64_t>(message.ref.sequence.value() &
                                                                1023) == missing;
                                  }),
                   messages.end());
    return page;
  }

  mutable std::atomic<int> looks{0};
  std::atomic<int64_t> damaged_segment{-1};
  std::atomic<int64_t> missing{-1};  // place in its segment
};

class StowingLivenessTest : public ::testing::Test {
 protected:
  // Room for about 80 messages of 100 kB in flight.
  void Open(bool manual, size_t body_bytes) {
    body_bytes_ = body_bytes;
    storage::RocksDbStoreOptions store_options;
    store_options.dir = dir_.path() + "/data";
    store_options.ballast_bytes = 0;
    store_options.memory_limit_bytes = 64 << 20;
    auto opened = storage::OpenRocksDbStore(store_options);
    ASSERT_OK(opened);
    const uint32_t boot = (*opened)->boot();
    auto store = std::make_unique<WatchedStore>(*std::move(opened), boot);
    store_ = store.get();
    BrokerOptions options;
    options.data_dir = "watched";
    options.default_durability = Durability::kOs;
    options.manual = manual;
    options.memory_limit_bytes = 64 << 20;
    options.clock = &clock_;
    auto broker = internal::OpenBroker(options, std::move(store));
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
    queue_.emplace(*broker_->CreateQueue("q"));
  }
  Queue& queue() { return *queue_; }
  void Settle() {
    while (broker_->RunOnce()) {
    }
  }
  void Advance(absl::Duration step) {
    clock_.Advance(step);
    Settle();
  }
  void Send(int from, int count) {
    for (int i = from; i < from + count; ++i) {
      std::string body = std::to_string(i) + ' ';
      body.resize(body_bytes_, 'x');
      ASSERT_OK(queue().Send({.body = body}));
    }
  }
  // What can be received, at most `max`: the newest handle of each.
  std::map<int, ReceiptHandle> ReceiveAll(absl::Duration visibility, size_t max = 1'000'000) {
    std::map<int, ReceiptHandle> all;
    while (all.size() < max) {
      auto batch = queue().Receive({.max_messages = 10, .visibility_timeout = visibility});
      if (!batch.ok() || batch->empty()) break;
      for (const ReceivedMessage& message : *batch)
        all[std::atoi(std::string(message.body).c_str())] = message.receipt_handle;
    }
    return all;
  }
  // Sends and receives messages, and lets them leave memory.
  std::map<int, ReceiptHandle> Stow(int count, absl::Duration visibility) {
    Send(0, count);
    std::map<int, ReceiptHandle> held = ReceiveAll(visibility);
    EXPECT_EQ(held.size(), static_cast<size_t>(count));
    Advance(absl::Seconds(1));
    EXPECT_LT(broker_->Stats().resident_messages, count / 2);
    return held;
  }

  TemporaryDirectory dir_;
  ManualClock clock_;
  WatchedStore* store_ = nullptr;
  std::unique_ptr<Broker> broker_;
  std::optional<Queue> queue_;
  size_t body_bytes_ = 0;
};

TEST_F(StowingLivenessTest, DeletesOfStowedMessagesDoNotVoidThePageThatIsOnItsWay) {
  Open(/*manual=*/true, 100'000);
  const auto held = Stow(300, absl::Hours(1));
  Send(300, 400);  // More than the window takes.
  // Each page meets the delete of a message that was stowed long ago.
  int deletes = 0;
  std::function<void()> meanwhile = [&] {
    store_->SetDuringNextScan(meanwhile);
    const ReceiptHandle handle = held.at(deletes++);
    queue().DeleteBatchAsync(absl::MakeConstSpan(&handle, 1), [](const auto&) {});
  };
  store_->SetDuringNextScan(meanwhile);
  const int before = store_->scans;
  EXPECT_EQ(ReceiveAll(absl::Hours(1)).size(), 400u);
  EXPECT_GT(deletes, 0);
  EXPECT_LE(store_->scans - before, 40) << "a page has ten messages";
}

TEST_F(StowingLivenessTest, HeartbeatsOfSomeDoNotKeepAnotherOfTheirSegmentHidden) {
  Open(/*manual=*/true, 100'000);
  const auto held = Stow(300, absl::Hours(1));
  ASSERT_OK(queue().ChangeMessageVisibility(held.at(170), absl::Seconds(1)));
  // A heartbeat in each turn in which a look at the leases could be settled.
  for (int i = 0; i < 30; ++i) {
    const VisibilityChange beat{held.at(150 + i % 10), absl::Hours(1)};
    queue().ChangeMessageVisibilityBatchAsync(absl::MakeConstSpan(&beat, 1), [](const auto&) {});
    clock_.Advance(absl::Milliseconds(50));
    broker_->RunOnce();
  }
  const auto back = ReceiveAll(absl::Hours(1));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back.count(170), 1u);
}

TEST_F(StowingLivenessTest, OneTimerIsArmedForAllLeases) {
  Open(/*manual=*/true, 100'000);
  auto held = Stow(300, absl::Hours(12));
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(queue().ChangeMessageVisibility(held.at(i), absl::Milliseconds(5)));
    Advance(absl::Milliseconds(10));
    EXPECT_EQ(ReceiveAll(absl::Hours(12)).size(), 1u);
  }
  const int before = store_->looks;
  Advance(absl::Hours(12));
  EXPECT_LE(store_->looks - before, 20);
  EXPECT_EQ(ReceiveAll(absl::Hours(12)).size(), 300u);
}

TEST_F(StowingLivenessTest, ADeadlineThatCameBackIsNotTakenForTheLeaseInTheStore) {
  Open(/*manual=*/true, 100'000);
  Send(0, 1);
  const auto one = ReceiveAll(absl::Seconds(30));
  Advance(absl::Milliseconds(300));  // Its lease is written: until 30 s.
  ASSERT_OK(queue().ChangeMessageVisibility(one.at(0), absl::Seconds(5)));
  Advance(absl::Milliseconds(300));  // Written, too.
  ASSERT_OK(
      queue().ChangeMessageVisibility(one.at(0), absl::Seconds(30) - absl::Milliseconds(600)));
  // Others need the memory before that is written.
  Send(1, 200);
  ReceiveAll(absl::Seconds(8));
  Settle();
  Advance(absl::Milliseconds(8500));
  EXPECT_EQ(ReceiveAll(absl::Hours(1)).count(0), 0u) << "hidden until 30 s";
  Advance(absl::Seconds(30));
  EXPECT_EQ(ReceiveAll(absl::Hours(1)).count(0), 1u);
}

TEST_F(StowingLivenessTest, AMessageThatIsNotWhereItsLeaseIsIsReportedAndHoldsNothingUp) {
  Open(/*manual=*/true, 100'000);
  Stow(300, absl::Seconds(3));
  store_->missing = 150;
  Advance(absl::Seconds(3));
  // Receives hear of it; the others come.
  absl::Status heard;
  size_t received = 0;
  for (int i = 0; i < 300 && (heard.ok() || received < 299); ++i) {
    bool answered = false;
    auto pending = queue().ReceiveAsync({.max_messages = 10, .visibility_timeout = absl::Hours(1)},
                                        [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                          answered = true;
                                          heard.Update(batch.status());
                                          if (batch.ok()) received += batch->size();
                                        });
    Settle();
    ASSERT_TRUE(answered);
  }
  EXPECT_EQ(received, 299u);
  EXPECT_EQ(GetErrorInfo(heard).reason, "DataCorrupt") << heard;
}

TEST_F(StowingLivenessTest, ADamagedRowOfLeasesHoldsUpItsSegmentOnly) {
  Open(/*manual=*/true, 20'000);
  Stow(3000, absl::Seconds(10));
  store_->damaged_segment = 2;
  for (int i = 0; i < 20; ++i) Advance(absl::Seconds(2));
  EXPECT_GE(ReceiveAll(absl::Hours(1)).size(), 2048u);
  store_->damaged_segment = -1;
  Advance(absl::Minutes(1));
  EXPECT_FALSE(ReceiveAll(absl::Hours(1)).empty());
}

TEST_F(StowingLivenessTest, WhatHasComeBackExpiresWithoutAReceive) {
  Open(/*manual=*/true, 100'000);
  ASSERT_OK(queue().SetAttributes({.retention = absl::Seconds(60)}));
  Stow(600, absl::Seconds(30));
  for (int i = 0; i < 5; ++i) Advance(absl::Minutes(1));
  const auto description = queue().Describe();
  ASSERT_OK(description);
  EXPECT_EQ(description->visible, 0);
  EXPECT_EQ(description->in_flight, 0);
}

}  // namespace
}  // namespace barista::testing
