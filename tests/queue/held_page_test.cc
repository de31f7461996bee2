// What happens to messages while the pager holds a page with them in its hands: the page has been
// read, and is not yet installed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "broker/broker_impl.h"
#include "storage/rocksdb_store.h"
#include "tests/commit/scripted_store.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Lets a Scan of the broker's pager be held. The store in memory is handed on at a restart; that on
// disk is opened again.
class HeldPages {
 public:
  HeldPages(bool on_disk, bool manual) : on_disk_(on_disk), manual_(manual) {}

  void Open() {
    broker_.reset();
    std::unique_ptr<ScriptedStore> store;
    if (on_disk_) {
      storage::RocksDbStoreOptions options;
      options.dir = directory_.path() + "/data";
      options.ballast_bytes = 0;
      auto opened = storage::OpenRocksDbStore(options);
      ASSERT_OK(opened);
      const uint32_t boot = (*opened)->boot();
      store = std::make_unique<ScriptedStore>(*std::move(opened), boot);
    } else {
      store = std::make_unique<ScriptedStore>(in_memory_, ++boot_);
    }
    store_ = store.get();
    BrokerOptions options;
    options.data_dir = "scripted";
    options.default_durability = Durability::kOs;
    options.free_space_floor_bytes = 0;
    options.manual = manual_;
    options.clock = &clock_;
    auto broker = internal::OpenBroker(options, std::move(store));
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
  }

  Broker& broker() { return *broker_; }
  ManualClock& clock() { return clock_; }
  ScriptedStore& store() { return *store_; }
  // `meanwhile` runs while the next page is held, on the thread that has read it.
  void HoldNextPage(std::function<void()> meanwhile) {
    store_->SetDuringNextScan(std::move(meanwhile));
  }
  // True if a page was to be held and has not been read yet.
  bool HoldNoPage() { return store_->SetDuringNextScan(nullptr); }
  // Lets the broker work; false if it will not do so by itself.
  bool Work() {
    if (!manual_) std::this_thread::yield();
    return broker_->RunOnce() || !manual_;
  }

 private:
  const bool on_disk_;
  const bool manual_;
  TemporaryDirectory directory_;
  ManualClock clock_;
  std::shared_ptr<storage::Store> in_memory_ = storage::NewMemoryStore();
  uint32_t boot_ = 0;
  ScriptedStore* store_ = nullptr;
  std::unique_ptr<Broker> broker_;
};

std::string Name(int number) { return absl::StrCat("m", number); }

void Send(Queue& queue, int first, int count) {
  for (int sent = 0; sent < count; sent += 100) {
    std::vector<std::string> bodies;
    for (int i = sent; i < std::min(count, sent + 100); ++i) bodies.push_back(Name(first + i));
    std::vector<OutgoingMessage> batch;
    for (const std::string& body : bodies) batch.push_back({.body = body});
    for (const auto& result : queue.SendBatch(batch)) ASSERT_OK(result);
  }
}

int64_t Left(Queue& queue) {
  const auto description = queue.Describe();
  EXPECT_OK(description);
  return description->visible + description->in_flight + description->delayed;
}

// Receives and deletes what is visible, until nothing is left or `max_receives` found nothing.
std::multiset<std::string> Drain(Queue& queue, int max_receives = 10) {
  std::multiset<std::string> bodies;
  for (int empty = 0; empty < max_receives && Left(queue) > 0;) {
    const auto got = queue.Receive({.max_messages = 100, .visibility_timeout = absl::Hours(12)});
    EXPECT_OK(got);
    if (!got.ok()) return bodies;
    empty = got->empty() ? empty + 1 : 0;
    for (const ReceivedMessage& m : *got) {
      bodies.insert(std::string(m.body));
      EXPECT_OK(queue.Delete(m.receipt_handle));
    }
  }
  return bodies;
}

struct Kind {
  const char* name;
  bool on_disk;
  bool manual;
};

class HeldPageTest : public ::testing::TestWithParam<Kind> {
 protected:
  // More than a page, and than the two that may be read side by side behind it.
  static constexpr int kMessages = 14'000;

  // A queue of kMessages on disk only, received once in an earlier boot.
  void SetUp() override {
    pages_.Open();
    queue_ = *pages_.broker().CreateQueue("q");
    Send(queue_, 0, kMessages);
    handles_.resize(kMessages);
    // (Those that are visible again come back before the last has been received.)
    for (size_t known = 0; known < handles_.size();) {
      const auto got =
          queue_.Receive({.max_messages = 1000, .visibility_timeout = absl::ZeroDuration()});
      ASSERT_OK(got);
      for (const ReceivedMessage& m : *got) {
        ReceiptHandle& handle =
            handles_[static_cast<size_t>(std::stoi(std::string(m.body.substr(1))))];
        if (handle == ReceiptHandle()) ++known;
        handle = m.receipt_handle;
      }
    }
    Reopen();
  }

  void Reopen() {
    pages_.Open();
    queue_ = *pages_.broker().GetQueue("q");
  }

  ReceiptHandle handle(int number) const { return handles_[static_cast<size_t>(number)]; }

  // Asks for one message, and does `meanwhile` while the page that it needs is held, or the
  // `later`-th after it.
  absl::StatusOr<std::vector<ReceivedMessage>> ReceiveWhile(std::function<void()> meanwhile,
                                                            int later = 0) {
    std::atomic<bool> held{false};
    std::function<void()> hold = [&] {
      meanwhile();
      held = true;
    };
    for (; later > 0; --later) hold = [this, hold] { pages_.HoldNextPage(hold); };
    pages_.HoldNextPage(hold);
    auto got = queue_.Receive({.visibility_timeout = absl::Hours(12)});
    while (!held && pages_.Work()) {
    }
    EXPECT_TRUE(held);
    return got;
  }

  HeldPages pages_{GetParam().on_disk, GetParam().manual};
  Queue queue_;
  std::vector<ReceiptHandle> handles_;
};
// Where turns and sweeps are ours to time; where a pager runs beside the committer.
class HeldPageManualTest : public HeldPageTest {};
class HeldPageThreadsTest : public HeldPageTest {};

constexpr Kind kManual[] = {{"memory_manual", false, true}, {"rocksdb_manual", true, true}};
constexpr Kind kThreads[] = {{"memory_threads", false, false}, {"rocksdb_threads", true, false}};
std::string NameOf(const ::testing::TestParamInfo<Kind>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Manual, HeldPageTest, ::testing::ValuesIn(kManual), NameOf);
INSTANTIATE_TEST_SUITE_P(Threads, HeldPageTest, ::testing::ValuesIn(kThreads), NameOf);
INSTANTIATE_TEST_SUITE_P(Manual, HeldPageManualTest, ::testing::ValuesIn(kManual), NameOf);
INSTANTIATE_TEST_SUITE_P(Threads, HeldPageThreadsTest, ::testing::ValuesIn(kThreads), NameOf);

TEST_P(HeldPageTest, NothingPurgedIsDeliveredAndWhatIsSentAfterItIs) {
  const auto got = ReceiveWhile([&] {
    ASSERT_OK(queue_.Purge());
    EXPECT_EQ(Left(queue_), 0);
    Send(queue_, kMessages, 2);
  });
  ASSERT_OK(got);
  std::multiset<std::string> delivered;
  for (const ReceivedMessage& m : *got) {
    delivered.insert(std::string(m.body));
    ASSERT_OK(queue_.Delete(m.receipt_handle));
  }
  EXPECT_EQ(Left(queue_) + static_cast<int64_t>(delivered.size()), 2);
  delivered.merge(Drain(queue_));
  EXPECT_THAT(delivered, UnorderedElementsAre(Name(kMessages), Name(kMessages + 1)));
  EXPECT_EQ(Left(queue_), 0);
  EXPECT_EQ(pages_.broker().Stats().resident_messages, 0);
}

TEST_P(HeldPageTest, PurgeAtTheSecondPageTakesTheFirstToo) {
  const auto got = ReceiveWhile([&] { ASSERT_OK(queue_.Purge()); }, /*later=*/1);
  ASSERT_OK(got);
  EXPECT_EQ(got->size(), 1u);  // Of the first page, before the purge.
  EXPECT_THAT(*queue_.Receive(), IsEmpty());
  EXPECT_EQ(Left(queue_), 0);
  EXPECT_EQ(pages_.broker().Stats().resident_messages, 0);
}

TEST_P(HeldPageTest, MessagesDeletedByOldHandlesStayDeletedAndTheOthersComeOnce) {
  const std::set<int> deleted = {0, 1, 63, 64, 4095, 4096, 8191, 8192, kMessages - 1};
  const auto got = ReceiveWhile([&] {
    for (int number : deleted) ASSERT_OK(queue_.Delete(handle(number)));
    EXPECT_EQ(Left(queue_), kMessages - static_cast<int>(deleted.size()));
  });
  ASSERT_OK(got);
  ASSERT_EQ(got->size(), 1u);
  std::multiset<std::string> delivered = {std::string(got->front().body)};
  ASSERT_OK(queue_.Delete(got->front().receipt_handle));
  delivered.merge(Drain(queue_));
  std::multiset<std::string> expected;
  for (int i = 0; i < kMessages; ++i) {
    if (deleted.count(i) == 0) expected.insert(Name(i));
  }
  EXPECT_EQ(delivered, expected);
  EXPECT_EQ(Left(queue_), 0);
}

TEST_P(HeldPageTest, QueueCreatedAgainUnderTheNameHoldsNothingOfTheOldOne) {
  Queue again;
  const auto got = ReceiveWhile([&] {
    ASSERT_OK(pages_.broker().DeleteQueue("q"));
    again = *pages_.broker().CreateQueue("q");
    Send(again, kMessages, 2);
  });
  EXPECT_TRUE(FailsWith(got, "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(again.Delete(handle(0)), "ReceiptHandleIsInvalid", "ReceiptHandle"));
  EXPECT_EQ(Left(again), 2);
  EXPECT_THAT(Drain(again), UnorderedElementsAre(Name(kMessages), Name(kMessages + 1)));
  EXPECT_EQ(Left(again), 0);
  EXPECT_EQ(pages_.broker().Stats().resident_messages, 0);
  EXPECT_EQ(pages_.broker().Stats().resident_bytes, 0);
}

TEST_P(HeldPageTest, MessagesHiddenByOldHandlesComeWhenTheirTimeoutEnds) {
  const std::set<int> hidden = {0, 63, 64, 4095, 4096, 8191, 8192, kMessages - 1};
  const auto got = ReceiveWhile([&] {
    for (int number : hidden)
      ASSERT_OK(queue_.ChangeMessageVisibility(handle(number), absl::Hours(1)));
  });
  ASSERT_OK(got);
  ASSERT_EQ(got->size(), 1u);
  std::multiset<std::string> delivered = {std::string(got->front().body)};
  ASSERT_OK(queue_.Delete(got->front().receipt_handle));
  delivered.merge(Drain(queue_));
  std::multiset<std::string> expected, late;
  for (int i = 0; i < kMessages; ++i) (hidden.count(i) == 0 ? expected : late).insert(Name(i));
  EXPECT_EQ(delivered, expected);
  EXPECT_EQ(queue_.Describe()->in_flight, static_cast<int>(hidden.size()));
  EXPECT_EQ(queue_.Describe()->visible, 0);
  pages_.clock().Advance(absl::Hours(1) + absl::Seconds(1));
  // (In threaded mode the timer's thread shows them.)
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (queue_.Describe()->in_flight > 0 && absl::Now() < deadline) pages_.Work();
  EXPECT_EQ(Drain(queue_), late);
  EXPECT_EQ(Left(queue_), 0);
}

TEST_P(HeldPageTest, MessagesShownByOldHandlesComeAtOnce) {
  const std::set<int> shown = {0, 63, 4095, 4096, 8191, 8192, kMessages - 1};
  for (int i = 0; i < kMessages; ++i)
    ASSERT_OK(queue_.ChangeMessageVisibility(handle(i), absl::Hours(12)));
  Reopen();
  const auto got = ReceiveWhile([&] {
    for (int number : shown)
      ASSERT_OK(queue_.ChangeMessageVisibility(handle(number), absl::ZeroDuration()));
  });
  ASSERT_OK(got);
  std::multiset<std::string> delivered;
  for (const ReceivedMessage& m : *got) {
    delivered.insert(std::string(m.body));
    ASSERT_OK(queue_.Delete(m.receipt_handle));
  }
  delivered.merge(Drain(queue_));
  std::multiset<std::string> expected;
  for (int number : shown) expected.insert(Name(number));
  EXPECT_EQ(delivered, expected);
  EXPECT_EQ(queue_.Describe()->in_flight, kMessages - static_cast<int>(shown.size()));
  EXPECT_EQ(queue_.Describe()->visible, 0);
}

// The page is in the intake already, in front of what overtakes it: one turn takes both.
TEST_P(HeldPageManualTest, PageInOneTurnWithWhatOvertakesItIsReadAgain) {
  ASSERT_OK(pages_.broker().CreateQueue("other")->Send({.body = "m"}));
  const std::vector<std::function<void()>> changes = {
      [this] {
        const ReceiptHandle deleted = handle(0);
        queue_.DeleteBatchAsync(absl::MakeConstSpan(&deleted, 1), [](const auto&) {});
      },
      [this] {
        const VisibilityChange hidden{handle(1), absl::Hours(12)};
        queue_.ChangeMessageVisibilityBatchAsync(absl::MakeConstSpan(&hidden, 1),
                                                 [](const auto&) {});
      }};
  for (size_t i = 0; i < changes.size(); ++i) {
    Reopen();
    Queue other = *pages_.broker().GetQueue("other");
    std::string body;
    queue_.ReceiveAsync({.visibility_timeout = absl::ZeroDuration()}, [&](const auto& got) {
      ASSERT_OK(got);
      ASSERT_EQ(got->size(), 1u);
      body = std::string(got->front().body);
    });
    other.ReceiveAsync({}, [](const auto&) {});
    // The first page is that of `queue_`, the second that of `other`.
    pages_.HoldNextPage([&] { pages_.HoldNextPage(changes[i]); });
    while (pages_.broker().RunOnce()) {
    }
    EXPECT_EQ(body, Name(static_cast<int>(i) + 1));
    EXPECT_EQ(Left(queue_), kMessages - 1);
  }
}

// Between the turn's first look at a message on disk and the write of what is to happen to it.
TEST_P(HeldPageThreadsTest, PageReadWhileAMessageIsBeingHiddenDoesNotShowIt) {
  std::atomic<bool> writing{false};
  pages_.store().on_write = [&](const storage::Batch& batch) {
    for (const auto& operation : batch.operations()) {
      if (!std::holds_alternative<storage::Batch::SetLease>(operation)) continue;
      const int before = pages_.store().scans;
      if (writing.exchange(true)) continue;
      const absl::Time deadline = absl::Now() + absl::Seconds(20);
      while (pages_.store().scans == before && absl::Now() < deadline) std::this_thread::yield();
      EXPECT_GT(pages_.store().scans, before);
    }
  };
  std::thread hider([&] { EXPECT_OK(queue_.ChangeMessageVisibility(handle(0), absl::Hours(12))); });
  while (!writing) std::this_thread::yield();
  const auto got = queue_.Receive();
  hider.join();
  ASSERT_OK(got);
  ASSERT_EQ(got->size(), 1u);
  EXPECT_NE(got->front().body, Name(0));
  ASSERT_OK(queue_.Delete(got->front().receipt_handle));
  EXPECT_EQ(Drain(queue_).count(Name(0)), 0u);
  EXPECT_EQ(queue_.Describe()->visible, 0);
  EXPECT_EQ(queue_.Describe()->in_flight, 1);
}

TEST_P(HeldPageManualTest, MessagesThatExpireMeanwhileExpireOnce) {
  const auto got = ReceiveWhile([&] {
    pages_.clock().Advance(absl::Hours(24 * 4));
    for (int i = 0; i < 10; ++i) {
      pages_.clock().Advance(absl::Seconds(60));
      pages_.broker().RunOnce();
    }
  });
  ASSERT_OK(got);
  EXPECT_THAT(*got, IsEmpty());
  EXPECT_EQ(Left(queue_), 0);
  EXPECT_EQ(pages_.broker().Stats().messages_expired, static_cast<uint64_t>(kMessages));
  Send(queue_, kMessages, 1);
  EXPECT_THAT(Drain(queue_), UnorderedElementsAre(Name(kMessages)));
}

TEST_P(HeldPageTest, MessagesSentMeanwhileFollowOnce) {
  constexpr int kMore = 1000;
  std::multiset<std::string> expected, delivered;
  for (int i = 0; i < kMessages; ++i) expected.insert(Name(i));
  std::atomic<int> under_way{0};
  int rounds = 0;
  // At each page and at the last look of the turn that ends the paging: sends that nobody waits
  // for.
  const auto send = [&] {
    std::vector<std::string> bodies;
    for (int i = 0; i < kMore; ++i) bodies.push_back(Name(kMessages + rounds * kMore + i));
    std::vector<OutgoingMessage> batch;
    for (const std::string& body : bodies) batch.push_back({.body = body});
    expected.insert(bodies.begin(), bodies.end());
    ++rounds;
    queue_.SendBatchAsync(batch, [&](std::vector<absl::StatusOr<SendResult>> results) {
      for (const auto& result : results) EXPECT_OK(result);
      --under_way;
    });
  };
  // (The last look is for what was sent during the first two.)
  while (Left(queue_) > 0 || (under_way > 0 && !pages_.HoldNoPage()) || Left(queue_) > 0) {
    if (under_way == 0 && rounds < 4) {  // (In this order: nobody counts on then.)
      ++under_way;
      pages_.HoldNextPage(send);
    }
    const auto got = queue_.Receive({.max_messages = 300});
    ASSERT_OK(got);
    for (const ReceivedMessage& m : *got) {
      delivered.insert(std::string(m.body));
      ASSERT_OK(queue_.Delete(m.receipt_handle));
    }
  }
  EXPECT_GT(rounds, 0);
  EXPECT_EQ(delivered, expected);
}

// Anything may happen at any page. A model says what is stored, and until when it is hidden.
class HeldPageRandomTest : public ::testing::TestWithParam<std::tuple<bool, uint32_t>> {
 protected:
  struct Message {
    absl::Time hidden_until = absl::InfinitePast();
    ReceiptHandle handle;  // of the last receive, in whatever boot
  };

  void SetUp() override {
    pages_.Open();
    queue_ = *pages_.broker().CreateQueue("q");
  }

  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  absl::Time now() { return pages_.clock().Now(); }

  // Some message of the model that has a handle; null if there is none.
  std::pair<const std::string, Message>* AnyReceived() {
    if (stored_.empty()) return nullptr;
    auto it = stored_.begin();
    std::advance(it, Below(static_cast<int>(std::min<size_t>(stored_.size(), 3000))));
    for (; it != stored_.end(); ++it) {
      if (!(it->second.handle == ReceiptHandle())) return &*it;
    }
    return nullptr;
  }

  void SendSome() {
    const int count = 1 + Below(Below(4) == 0 ? 3000 : 50);
    Send(queue_, sent_, count);
    for (int i = 0; i < count; ++i) stored_[Name(sent_++)] = Message();
  }

  // (What is received while a page is held is in the model before the next step.)
  void ReceiveSome() {
    const absl::Duration visibility = Below(2) == 0 ? absl::ZeroDuration() : absl::Minutes(5);
    auto ended = std::make_shared<bool>(false);
    auto received = std::make_shared<std::vector<std::string>>();
    queue_.ReceiveAsync({.max_messages = 1 + Below(200), .visibility_timeout = visibility},
                        [=, this](absl::StatusOr<std::vector<ReceivedMessage>> got) {
                          *ended = true;
                          if (!got.ok()) {
                            EXPECT_EQ(GetErrorInfo(got.status()).reason, "QueueDoesNotExist");
                            return;
                          }
                          for (const ReceivedMessage& m : *got) {
                            const auto found = stored_.find(std::string(m.body));
                            ASSERT_NE(found, stored_.end()) << m.body << " was deleted or purged";
                            ASSERT_LE(found->second.hidden_until, now()) << m.body << " is hidden";
                            found->second = {now() + visibility, m.receipt_handle};
                            received->push_back(found->first);
                          }
                        });
    while (!*ended && pages_.broker().RunOnce()) {
    }
    for (const std::string& body : *received) {
      const auto found = stored_.find(body);
      if (found == stored_.end() || Below(3) != 0) continue;
      ASSERT_OK(queue_.Delete(found->second.handle));
      stored_.erase(found);
    }
  }

  void Step() {
    switch (Below(16)) {
      case 0:
      case 1:
      case 2:
        return SendSome();
      case 3:
      case 4:
      case 5:
        return ReceiveSome();
      case 6:
      case 7:
      case 8:
      case 9: {
        for (int i = 1 + Below(20); i > 0; --i) {
          auto* const message = AnyReceived();
          if (message == nullptr) return;
          ASSERT_OK(queue_.Delete(message->second.handle));
          stored_.erase(message->first);
        }
        return;
      }
      case 10:
      case 11:
      case 12:
      case 13: {
        for (int i = 1 + Below(20); i > 0; --i) {
          auto* const message = AnyReceived();
          if (message == nullptr) return;
          const absl::Duration timeout = Below(2) == 0 ? absl::ZeroDuration() : absl::Minutes(7);
          ASSERT_OK(queue_.ChangeMessageVisibility(message->second.handle, timeout));
          message->second.hidden_until = now() + timeout;
        }
        return;
      }
      case 14: {
        if (Below(3) != 0) return;
        ASSERT_OK(queue_.Purge());
        stored_.clear();
        return;
      }
      case 15: {
        if (Below(3) != 0) return;
        ASSERT_OK(pages_.broker().DeleteQueue("q"));
        queue_ = *pages_.broker().CreateQueue("q");
        stored_.clear();
        return;
      }
    }
  }

  HeldPages pages_{std::get<0>(GetParam()), /*manual=*/true};
  std::mt19937 random_{std::get<1>(GetParam())};
  Queue queue_;
  int sent_ = 0;
  std::map<std::string, Message> stored_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, HeldPageRandomTest,
                         ::testing::Combine(::testing::Bool(), ::testing::Range(1u, 13u)),
                         [](const auto& info) {
                           return absl::StrCat(std::get<0>(info.param) ? "rocksdb" : "memory",
                                               "_seed_", std::get<1>(info.param));
                         });

TEST_P(HeldPageRandomTest, NothingIsLostAndNothingComesTwice) {
  SCOPED_TRACE(absl::StrCat("seed ", std::get<1>(GetParam())));
  for (int round = 0; round < 150 && !HasFatalFailure(); ++round) {
    if (Below(10) == 0) {
      pages_.Open();
      queue_ = *pages_.broker().GetQueue("q");
    }
    if (Below(2) == 0) {
      pages_.HoldNextPage([&] {
        for (int steps = 1 + Below(3); steps > 0 && !HasFatalFailure(); --steps) Step();
      });
    }
    Step();
    pages_.HoldNoPage();
    pages_.clock().Advance(absl::Seconds(Below(120)));
    pages_.broker().RunOnce();
    if (HasFatalFailure()) return;
    ASSERT_EQ(Left(queue_), static_cast<int64_t>(stored_.size())) << "round " << round;
  }
  pages_.clock().Advance(absl::Hours(1));
  pages_.broker().RunOnce();
  std::multiset<std::string> expected;
  for (const auto& [body, message] : stored_) expected.insert(body);
  EXPECT_EQ(Drain(queue_), expected);
  EXPECT_EQ(Left(queue_), 0);
  EXPECT_EQ(pages_.broker().Stats().resident_messages, 0);
}

}  // namespace
}  // namespace barista::testing
