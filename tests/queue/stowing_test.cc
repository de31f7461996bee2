// Messages in flight that memory has no room for leave it, and nobody notices.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "barista/broker.h"
#include "barista/clock.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

// An eighth of it is for what is in flight: about 80 of the messages below.
constexpr int64_t kMemoryLimit = 64 << 20;
constexpr int64_t kInFlightLimit = kMemoryLimit / 8;
constexpr size_t kBodyBytes = 100'000;
constexpr int kMany = 300;

std::string BodyOf(int number) {
  std::string body = std::to_string(number) + ' ';
  body.resize(kBodyBytes, static_cast<char>('a' + number % 26));
  return body;
}
int NumberOf(const ReceivedMessage& message) {
  return std::atoi(std::string(message.body).c_str());
}

class StowingTest : public ::testing::Test {
 protected:
  StowingTest() { Open(); }

  void Open() {
    broker_.reset();
    BrokerOptions options;
    options.data_dir = dir_.path() + "/data";
    options.memory_limit_bytes = kMemoryLimit;
    options.clock = &clock_;
    options.manual = true;
    auto broker = Broker::Open(options);
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
    auto queue = broker_->CreateQueue("q");
    ASSERT_OK(queue);
    queue_.emplace(*queue);
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
    for (int i = from; i < from + count; ++i) ASSERT_OK(queue().Send({.body = BodyOf(i)}));
  }
  // Everything that can be received, by number.
  std::map<int, ReceivedMessage> ReceiveAll(absl::Duration visibility = absl::Seconds(30)) {
    std::map<int, ReceivedMessage> all;
    for (;;) {
      auto batch = queue().Receive({.max_messages = 10, .visibility_timeout = visibility});
      EXPECT_OK(batch);
      if (!batch.ok() || batch->empty()) return all;
      for (ReceivedMessage& message : *batch) {
        const int number = NumberOf(message);
        EXPECT_EQ(message.body, BodyOf(number));
        EXPECT_TRUE(all.emplace(number, std::move(message)).second) << number << " came twice";
      }
    }
  }
  // Sends and receives `count` messages, and lets them leave memory. What is returned has handles,
  // but no bodies: they would stay in memory.
  std::map<int, ReceivedMessage> Stow(int count, absl::Duration visibility = absl::Seconds(30)) {
    Send(0, count);
    std::map<int, ReceivedMessage> all = ReceiveAll(visibility);
    EXPECT_EQ(all.size(), static_cast<size_t>(count));
    for (auto& [number, message] : all) Forget(&message);
    Advance(absl::Seconds(1));
    EXPECT_LE(broker_->Stats().resident_bytes, kInFlightLimit + 1'000'000);
    return all;
  }
  static void Forget(ReceivedMessage* message) {
    message->body = {};
    message->payload = {};
  }
  void ExpectCounts(int64_t visible, int64_t in_flight) {
    const auto description = queue().Describe();
    ASSERT_OK(description);
    EXPECT_EQ(description->visible, visible);
    EXPECT_EQ(description->in_flight, in_flight);
  }

  TemporaryDirectory dir_;
  ManualClock clock_;
  std::unique_ptr<Broker> broker_;
  std::optional<Queue> queue_;
};

TEST_F(StowingTest, WhatIsReceivedAndNotDeletedLeavesMemoryAndComesBackWhenItsTimeoutEnds) {
  const auto first = Stow(kMany);
  ExpectCounts(0, kMany);
  EXPECT_TRUE(ReceiveAll().empty());
  Advance(absl::Seconds(28));
  EXPECT_TRUE(ReceiveAll().empty()) << "too early";
  Advance(absl::Seconds(1) + absl::Milliseconds(5));
  ExpectCounts(kMany, 0);
  const auto again = ReceiveAll();
  ASSERT_EQ(again.size(), size_t{kMany});
  for (const auto& [number, message] : again) {
    EXPECT_EQ(message.receive_count, 2);
    EXPECT_EQ(message.message_id, first.at(number).message_id);
    EXPECT_EQ(message.sent_at, first.at(number).sent_at);
    EXPECT_EQ(message.first_received_at, first.at(number).first_received_at);
  }
  ExpectCounts(0, kMany);
}

TEST_F(StowingTest, HandlesOfStowedMessagesDelete) {
  const auto all = Stow(kMany);
  std::vector<ReceiptHandle> handles;
  for (const auto& [number, message] : all) {
    if (number % 3 != 0) handles.push_back(message.receipt_handle);
  }
  handles.push_back(handles.front());  // twice in one batch
  for (const absl::Status& status : queue().DeleteBatch(handles)) EXPECT_OK(status);
  EXPECT_OK(queue().Delete(handles.back()));  // and once more
  ExpectCounts(0, kMany / 3);
  Advance(absl::Seconds(31));
  ExpectCounts(kMany / 3, 0);
  const auto left = ReceiveAll();
  EXPECT_EQ(left.size(), size_t{kMany / 3});
  for (const auto& [number, message] : left) EXPECT_EQ(number % 3, 0);
}

TEST_F(StowingTest, HandlesOfEarlierReceivesDeleteAndHideWhatHasComeBack) {
  const auto all = Stow(kMany);
  Advance(absl::Seconds(31));
  EXPECT_OK(queue().Delete(all.at(0).receipt_handle));
  EXPECT_OK(queue().ChangeMessageVisibility(all.at(1).receipt_handle, absl::Seconds(60)));
  // The last ones have not come to memory yet, for there is no room.
  EXPECT_OK(queue().Delete(all.at(kMany - 1).receipt_handle));
  EXPECT_OK(queue().ChangeMessageVisibility(all.at(kMany - 2).receipt_handle, absl::Seconds(60)));
  ExpectCounts(kMany - 4, 2);
  EXPECT_EQ(ReceiveAll(absl::Hours(1)).size(), size_t{kMany - 4});
  Advance(absl::Seconds(61));
  const auto hidden = ReceiveAll();
  EXPECT_EQ(hidden.size(), 2u);
  EXPECT_TRUE(hidden.count(1) == 1 && hidden.count(kMany - 2) == 1);
}

TEST_F(StowingTest, VisibilityOfStowedMessagesChanges) {
  const auto all = Stow(kMany);
  EXPECT_OK(queue().ChangeMessageVisibility(all.at(5).receipt_handle, absl::Seconds(300)));
  EXPECT_OK(queue().ChangeMessageVisibility(all.at(6).receipt_handle, absl::Seconds(5)));
  EXPECT_OK(queue().ChangeMessageVisibility(all.at(7).receipt_handle, absl::ZeroDuration()));
  Settle();
  auto now = ReceiveAll(absl::Hours(1));
  ASSERT_EQ(now.size(), 1u);
  EXPECT_EQ(now.at(7).receive_count, 2);
  Advance(absl::Seconds(6));
  now = ReceiveAll(absl::Hours(1));
  ASSERT_EQ(now.size(), 1u);
  EXPECT_EQ(now.count(6), 1u);
  Advance(absl::Seconds(30));
  EXPECT_EQ(ReceiveAll(absl::Hours(1)).size(), size_t{kMany - 3});
  Advance(absl::Seconds(300));
  now = ReceiveAll(absl::Hours(1));
  ASSERT_EQ(now.size(), 1u);
  EXPECT_EQ(now.count(5), 1u);
}

TEST_F(StowingTest, LeasesHoldAcrossARestartAndNothingIsReadForThem) {
  const auto all = Stow(kMany);
  Send(kMany, 3);
  Open();
  // What is hidden does not come to memory at all.
  const auto fresh = ReceiveAll(absl::Hours(1));
  EXPECT_EQ(fresh.size(), 3u);
  ExpectCounts(0, kMany + 3);
  EXPECT_EQ(broker_->Stats().resident_messages, 3);
  EXPECT_OK(queue().Delete(all.at(0).receipt_handle));
  EXPECT_OK(queue().ChangeMessageVisibility(all.at(1).receipt_handle, absl::Hours(1)));
  EXPECT_OK(queue().ChangeMessageVisibility(all.at(2).receipt_handle, absl::ZeroDuration()));
  Settle();
  const auto released = ReceiveAll(absl::Hours(1));
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released.count(2), 1u);
  Advance(absl::Seconds(31));
  const auto back = ReceiveAll();
  EXPECT_EQ(back.size(), size_t{kMany - 3});
  for (const auto& [number, message] : back) EXPECT_EQ(message.receive_count, 2);
}

TEST_F(StowingTest, PurgeAndDeletionOfTheQueueTakeThemToo) {
  auto all = Stow(kMany);
  ASSERT_OK(queue().Purge());
  ExpectCounts(0, 0);
  EXPECT_OK(queue().Delete(all.at(0).receipt_handle));
  EXPECT_FALSE(queue().ChangeMessageVisibility(all.at(1).receipt_handle, absl::Seconds(1)).ok());
  Advance(absl::Seconds(31));
  EXPECT_TRUE(ReceiveAll().empty());
  all = Stow(kMany);
  ASSERT_OK(broker_->DeleteQueue("q"));
  Advance(absl::Seconds(31));
  queue_.emplace(*broker_->CreateQueue("q"));
  EXPECT_TRUE(ReceiveAll().empty());
  ExpectCounts(0, 0);
}

TEST_F(StowingTest, TheInFlightLimitCountsThem) {
  ASSERT_OK(queue().SetAttributes({.maximum_in_flight = kMany}));
  const auto all = Stow(kMany);
  Send(kMany, 1);
  EXPECT_FALSE(queue().Receive().ok());
  ASSERT_OK(queue().Delete(all.at(0).receipt_handle));
  const auto one = queue().Receive();
  ASSERT_OK(one);
  EXPECT_EQ(one->size(), 1u);
}

TEST_F(StowingTest, ExhaustedOnesMoveToTheDeadLetterQueue) {
  auto dead = broker_->CreateQueue("dead");
  ASSERT_OK(dead);
  ASSERT_OK(queue().SetAttributes(
      {.redrive_policy = RedrivePolicy{.dead_letter_queue = "dead", .max_receive_count = 2}}));
  Stow(kMany);
  Advance(absl::Seconds(31));
  EXPECT_EQ(ReceiveAll().size(), size_t{kMany});
  Advance(absl::Seconds(31));
  EXPECT_TRUE(ReceiveAll().empty());
  EXPECT_EQ(dead->Describe()->visible, kMany);
  ExpectCounts(0, 0);
}

TEST_F(StowingTest, AReceiveThatWasNotDeliveredIsTakenBack) {
  const auto all = Stow(kMany);
  std::vector<ReceiptHandle> handles;
  for (int i = 0; i < 10; ++i) handles.push_back(all.at(i).receipt_handle);
  queue().ReturnUndelivered(handles);
  Settle();
  const auto again = ReceiveAll(absl::Hours(1));
  EXPECT_EQ(again.size(), 10u);
  for (const auto& [number, message] : again) EXPECT_EQ(message.receive_count, 1);
}

TEST_F(StowingTest, ParkedReceivesAreWokenByWhatComesBack) {
  Stow(kMany);
  std::vector<ReceivedMessage> received;
  auto pending = queue().ReceiveAsync({.max_messages = 10, .wait = absl::Seconds(20)},
                                      [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                        ASSERT_OK(batch);
                                        received = *std::move(batch);
                                      });
  Advance(absl::Seconds(10));
  EXPECT_TRUE(received.empty());
  Advance(absl::Seconds(10) - absl::Milliseconds(1));
  EXPECT_TRUE(received.empty());
  Advance(absl::Seconds(20));
  // The poll ended in between; the next one finds what has come back.
  pending = queue().ReceiveAsync({.max_messages = 10, .wait = absl::Seconds(20)},
                                 [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                   ASSERT_OK(batch);
                                   received = *std::move(batch);
                                 });
  Settle();
  EXPECT_FALSE(received.empty());
}

// Random calls against what must hold (I1 to I3): nothing hidden or deleted is received, nothing
// is lost, and each receive counts one.
TEST_F(StowingTest, RandomCalls) {
  uint64_t seed = std::random_device{}();
  if (const char* text = std::getenv("BARISTA_TEST_SEED"); text != nullptr)
    seed = std::strtoull(text, nullptr, 10);
  SCOPED_TRACE("BARISTA_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t n) { return static_cast<int>(random() % n); };
  struct Message {
    absl::Time visible_at;
    int receives = 0;
    bool reopened = false;  // since the last receive
    std::vector<ReceiptHandle> handles;
  };
  std::map<int, Message> alive;
  int sent = 0;
  const auto receive = [&] {
    const absl::Duration visibility = absl::Seconds(1 + below(60));
    auto batch = queue().Receive({.max_messages = 1 + below(20), .visibility_timeout = visibility});
    ASSERT_OK(batch);
    for (const ReceivedMessage& message : *batch) {
      const int number = NumberOf(message);
      ASSERT_EQ(message.body, BodyOf(number));
      ASSERT_EQ(alive.count(number), 1u) << number << " was deleted";
      Message& known = alive[number];
      ASSERT_LE(known.visible_at, clock_.Now()) << number << " is hidden";
      // A receive that ended before its lease was due to be written is not counted across a
      // restart.
      if (known.reopened && message.receive_count < known.receives + 1)
        known.receives = message.receive_count - 1;
      known.reopened = false;
      ASSERT_EQ(message.receive_count, ++known.receives) << number;
      known.visible_at = clock_.Now() + visibility;
      known.handles.push_back(message.receipt_handle);
    }
  };
  const auto any = [&]() -> std::map<int, Message>::iterator {
    if (alive.empty()) return alive.end();
    auto it = alive.lower_bound(below(static_cast<uint64_t>(sent)));
    return it == alive.end() ? alive.begin() : it;
  };
  for (int step = 0; step < 1500; ++step) {
    switch (below(20)) {
      case 0:
      case 1:
      case 2: {
        if (alive.size() > 400) break;
        const int count = 1 + below(30);
        Send(sent, count);
        for (int i = 0; i < count; ++i) alive[sent++].visible_at = clock_.Now();
        break;
      }
      default:
        receive();
        break;
      case 9:
      case 10:
      case 11:
      case 12:
        if (const auto it = any(); it != alive.end() && !it->second.handles.empty()) {
          const auto& handles = it->second.handles;
          ASSERT_OK(queue().Delete(handles[static_cast<size_t>(below(handles.size()))]));
          alive.erase(it);
        }
        break;
      case 13:
      case 14:
        if (const auto it = any(); it != alive.end() && !it->second.handles.empty()) {
          const auto& handles = it->second.handles;
          const absl::Duration timeout = absl::Seconds(below(3) * below(30));
          ASSERT_OK(queue().ChangeMessageVisibility(
              handles[static_cast<size_t>(below(handles.size()))], timeout));
          it->second.visible_at = clock_.Now() + timeout;
          Settle();
        }
        break;
      case 15:
      case 16:
      case 17:
        Advance(absl::Milliseconds(below(10'000)));
        break;
      case 18:
        if (below(20) != 0) break;
        Open();
        for (auto& [number, message] : alive) message.reopened = true;
        break;
      case 19:
        Settle();
        break;
    }
    if (HasFatalFailure()) return;
  }
  Advance(absl::Minutes(2));
  std::set<int> rest;
  for (const auto& [number, message] : ReceiveAll()) rest.insert(number);
  std::set<int> expected;
  for (const auto& [number, message] : alive) expected.insert(number);
  EXPECT_EQ(rest, expected);
  ExpectCounts(0, static_cast<int64_t>(alive.size()));
  EXPECT_LE(broker_->Stats().resident_bytes, kMemoryLimit);
}

// The same with threads: what was deleted never comes again, and everything else does.
TEST(StowingStressTest, ConsumersThatDeleteHideAndForget) {
  constexpr int kMessages = 2000;
  constexpr size_t kBytes = 20'000;
  TemporaryDirectory dir;
  ManualClock clock;
  BrokerOptions options;
  options.data_dir = dir.path() + "/data";
  options.memory_limit_bytes = kMemoryLimit;
  options.clock = &clock;
  auto broker = Broker::Open(options);
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q", {.durability = Durability::kOs});

  // A message's number counts deletions: what a receive returns that began after a message's
  // deletion was answered must not hold it.
  std::atomic<int64_t> moment{1};
  std::vector<std::atomic<int64_t>> deleted_at(kMessages);
  std::atomic<int64_t> deleted{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::vector<std::pair<int, ReceiptHandle>> held;
  const auto remove = [&](int number, const ReceiptHandle& handle) {
    EXPECT_OK(queue.Delete(handle));
    int64_t none = 0;
    if (deleted_at[static_cast<size_t>(number)].compare_exchange_strong(none, moment.fetch_add(1)))
      ++deleted;
  };
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int i = 0; i < kMessages; ++i) {
      std::string body = std::to_string(i) + ' ';
      body.resize(kBytes, 'b');
      ASSERT_OK(queue.Send({.body = body}));
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      clock.Advance(absl::Milliseconds(50));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      while (!stop) {
        const int64_t began = moment.load();
        auto batch =
            queue.Receive({.max_messages = 10,
                           .visibility_timeout = absl::Seconds(static_cast<int>(random() % 20))});
        ASSERT_OK(batch);
        for (const ReceivedMessage& message : *batch) {
          const int number = NumberOf(message);
          const int64_t gone = deleted_at[static_cast<size_t>(number)].load();
          ASSERT_TRUE(gone == 0 || gone >= began) << number << " came back";
          if (random() % 10 < 2) {
            remove(number, message.receipt_handle);
          } else {
            std::lock_guard<std::mutex> lock(mutex);
            held.push_back({number, message.receipt_handle});
          }
        }
        for (int i = 0; i < 3; ++i) {
          std::pair<int, ReceiptHandle> one;
          {
            std::lock_guard<std::mutex> lock(mutex);
            if (held.empty()) break;
            std::swap(held[random() % held.size()], held.back());
            one = held.back();
            if (random() % 2 == 0) held.pop_back();
          }
          if (random() % 3 == 0) {
            remove(one.first, one.second);
          } else {
            // (Whoever deletes it at the same time may win.)
            queue
                .ChangeMessageVisibility(one.second, absl::Seconds(static_cast<int>(random() % 10)))
                .IgnoreError();
          }
        }
        if (deleted > kMessages / 2) stop = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int> expected;
  for (int i = 0; i < kMessages; ++i) {
    if (deleted_at[static_cast<size_t>(i)] == 0) expected.insert(i);
  }
  std::set<int> rest;
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (rest.size() < expected.size() && absl::Now() < give_up) {
    clock.Advance(absl::Seconds(1));
    auto batch = queue.Receive({.max_messages = 100, .visibility_timeout = absl::Hours(12)});
    ASSERT_OK(batch);
    for (const ReceivedMessage& message : *batch)
      EXPECT_TRUE(rest.insert(NumberOf(message)).second) << NumberOf(message) << " came twice";
  }
  EXPECT_EQ(rest, expected);
  EXPECT_EQ(queue.Describe()->in_flight, static_cast<int64_t>(expected.size()));
}

}  // namespace
}  // namespace barista::testing
