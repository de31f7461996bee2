#include "broker/core/waiters.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace barista::core {
namespace {

constexpr uint32_t kTimedOut = 1;
constexpr uint32_t kCancelled = 2;

class WaitersTest : public ::testing::Test {
 protected:
  using Numbers = Waiters<std::shared_ptr<int>>;

  WaiterId Park(int number, Waits waits = Waits::kInTurn) {
    const WaiterId id = waiters_.Begin();
    EXPECT_TRUE(waiters_.Park(id, std::make_shared<int>(number), waits));
    return id;
  }
  // 0: nobody.
  static int Number(const std::shared_ptr<int>& waiter) { return waiter == nullptr ? 0 : *waiter; }
  int Wake() { return Number(waiters_.Wake()); }

  Lane::Pool segments_;
  const std::shared_ptr<Numbers::Pool> pool_ = std::make_shared<Numbers::Pool>();
  Numbers waiters_{pool_, &segments_};
};

TEST_F(WaitersTest, WhoParkedFirstIsWokenFirst) {
  EXPECT_FALSE(waiters_.Any());
  for (int n = 1; n <= 1000; ++n) Park(n);
  EXPECT_TRUE(waiters_.Any());
  for (int n = 1; n <= 1000; ++n) ASSERT_EQ(Wake(), n);
  EXPECT_EQ(Wake(), 0);
  EXPECT_FALSE(waiters_.Any());
}

TEST_F(WaitersTest, WhoWasWokenAndParksAgainComesBeforeTheOthers) {
  const WaiterId first = Park(1);
  Park(2);
  for (int round = 0; round < 3; ++round) {
    std::shared_ptr<int> woken = waiters_.Wake();
    ASSERT_EQ(Number(woken), 1);
    ASSERT_TRUE(waiters_.Park(first, std::move(woken), Waits::kInTurn));
  }
  EXPECT_EQ(Wake(), 1);
  EXPECT_EQ(Wake(), 2);
}

TEST_F(WaitersTest, ThoseWhoWaitTogetherAreWokenAlone) {
  Park(1, Waits::kTogether);
  Park(2);
  Park(3, Waits::kTogether);
  EXPECT_EQ(Number(waiters_.WakeTogether()), 1);
  EXPECT_EQ(Number(waiters_.WakeTogether()), 3);
  EXPECT_EQ(waiters_.WakeTogether(), nullptr);
  EXPECT_EQ(Wake(), 2);
}

TEST_F(WaitersTest, ThoseWhoWaitTogetherAreWokenInTurnAfterTheOthers) {
  Park(1, Waits::kTogether);
  Park(2);
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Wake(), 1);
}

TEST_F(WaitersTest, RequestToAParkedWaiterWinsIt) {
  const WaiterId first = Park(1);
  Park(2);
  EXPECT_EQ(Number(waiters_.Request(first, kTimedOut)), 1);
  EXPECT_FALSE(waiters_.Gone(first));
  EXPECT_EQ(waiters_.Request(first, kCancelled), nullptr);  // It is RUNNING now.
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Wake(), 0);
  EXPECT_EQ(waiters_.Finish(first), kTimedOut | kCancelled);
  EXPECT_TRUE(waiters_.Gone(first));
}

TEST_F(WaitersTest, RequestToARunningWaiterIsRemembered) {
  const WaiterId id = waiters_.Begin();
  EXPECT_EQ(waiters_.Request(id, kCancelled), nullptr);
  EXPECT_FALSE(waiters_.Park(id, std::make_shared<int>(1), Waits::kInTurn));
  EXPECT_EQ(Wake(), 0);
  EXPECT_EQ(waiters_.Finish(id), kCancelled);
}

TEST_F(WaitersTest, RequestToAFinishedWaiterLeavesTheNextOneAlone) {
  const WaiterId first = waiters_.Begin();
  EXPECT_EQ(waiters_.Finish(first), 0u);
  const WaiterId second = Park(2);
  ASSERT_EQ(second.slot(), first.slot());
  EXPECT_EQ(waiters_.Request(first, kCancelled), nullptr);
  EXPECT_TRUE(waiters_.Gone(first));
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(waiters_.Finish(second), 0u);
}

TEST_F(WaitersTest, ParkedReferenceIsHeldUntilTheWaiterIsWon) {
  const WaiterId id = waiters_.Begin();
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> observed = owned;
  ASSERT_TRUE(waiters_.Park(id, std::move(owned), Waits::kInTurn));
  EXPECT_FALSE(observed.expired());
  waiters_.Request(id, kCancelled);
  EXPECT_TRUE(observed.expired());
  // And one that may not park is not held at all.
  owned = std::make_shared<int>(1);
  const std::weak_ptr<int> refused = owned;
  EXPECT_FALSE(waiters_.Park(id, std::move(owned), Waits::kInTurn));
  EXPECT_TRUE(owned == nullptr || owned.use_count() == 1);
  owned.reset();
  EXPECT_TRUE(refused.expired());
}

TEST_F(WaitersTest, RequestIsHarmlessWhenTheSegmentsAreGone) {
  auto segments = std::make_unique<Lane::Pool>();
  Numbers waiters(pool_, segments.get());
  const WaiterId id = waiters.Begin();
  ASSERT_TRUE(waiters.Park(id, std::make_shared<int>(1), Waits::kInTurn));
  ASSERT_NE(waiters.Wake(), nullptr);
  waiters.Finish(id);
  segments.reset();
  EXPECT_EQ(waiters.Request(id, kCancelled), nullptr);
  EXPECT_TRUE(waiters.Gone(id));
}

// 1,000 consumers that poll for ever, and nothing is ever sent.
TEST_F(WaitersTest, WaitersThatAreGivenUpLeaveNothingBehind) {
  constexpr size_t kWaiters = 1000;
  std::vector<WaiterId> ids;
  for (size_t i = 0; i < kWaiters; ++i) ids.push_back(Park(1));
  for (int round = 0; round < 200; ++round) {
    for (WaiterId& id : ids) {
      ASSERT_NE(waiters_.Request(id, kTimedOut), nullptr);
      waiters_.Finish(id);
      id = Park(1);
    }
  }
  EXPECT_LE(segments_.size(), 256u);  // one arena
  EXPECT_LE(pool_->size(), 4096u);
  for (size_t i = 0; i < kWaiters; ++i) ASSERT_EQ(Wake(), 1);
  EXPECT_EQ(Wake(), 0);
}

TEST_F(WaitersTest, ListThatWasTrimmedOwnsNoSegment) {
  std::vector<std::unique_ptr<Numbers>> lists;
  for (int i = 0; i < 1000; ++i) {
    Numbers& list = *lists.emplace_back(std::make_unique<Numbers>(pool_, &segments_));
    for (const Waits waits : {Waits::kInTurn, Waits::kTogether}) {
      const WaiterId id = list.Begin();
      ASSERT_TRUE(list.Park(id, std::make_shared<int>(1), waits));
      ASSERT_NE(list.Request(id, kTimedOut), nullptr);
      list.Finish(id);
    }
    list.Trim();
  }
  EXPECT_LE(segments_.size(), 256u);  // one arena
}

TEST_F(WaitersTest, TrimKeepsTheWaitersAndTheirOrder) {
  std::vector<WaiterId> ids;
  for (int n = 1; n <= 300; ++n) ids.push_back(Park(n));
  for (size_t i = 0; i < ids.size(); i += 2) {
    ASSERT_NE(waiters_.Request(ids[i], kTimedOut), nullptr);
  }
  waiters_.Trim();
  for (int n = 2; n <= 300; n += 2) ASSERT_EQ(Wake(), n);
  EXPECT_EQ(Wake(), 0);
}

// ---- With threads: what a queue does with its receives, and a ledger of it ----

class Polls {
 public:
  struct Call {
    WaiterId id;
    std::atomic<int> ended{0};
    std::atomic<bool> owned{true};  // by one at a time
  };

  // Begins a call that waits for a message, as one of those that the meddlers see.
  void Poll(size_t place) {
    auto call = std::make_shared<Call>();
    call->id = waiters_.Begin();
    ++begun_;
    shown_[place].store(call->id.bits, std::memory_order_release);
    if (Attempt(call)) Look();
  }
  void Send() {
    messages_.fetch_add(1, std::memory_order_relaxed);
    ++sent_;
    Wake();
  }
  // Somebody who does not wait takes it.
  void Steal() {
    if (TakeMessage()) ++stolen_;
  }
  void GiveUp(size_t place, uint32_t request) {
    const WaiterId id{shown_[place].load(std::memory_order_acquire)};
    if (id.bits == 0) return;
    const std::shared_ptr<Call> call = waiters_.Request(id, request);
    if (call == nullptr) return;
    Own(*call);
    ++given_up_;
    Finish(*call);
  }
  void Trim() {
    waiters_.Trim();
    Look();
  }
  void Close() {
    closed_.store(true, std::memory_order_relaxed);
    waiters_.Any();
    EndAll();
  }

  // When all is quiet.
  void CheckNobodyOverlooked() {
    EXPECT_TRUE(messages_ == 0 || !waiters_.Any())
        << messages_ << " messages lie there, and waiters beside them";
  }
  void CheckBooks() {
    EXPECT_FALSE(waiters_.Any());
    EXPECT_EQ(wrong_, 0);
    EXPECT_EQ(begun_, served_ + given_up_ + closed_calls_);
    EXPECT_EQ(sent_, served_ + stolen_ + messages_);
  }
  int64_t served() const { return served_; }
  int64_t given_up() const { return given_up_; }

  static constexpr size_t kPlaces = 64;

 private:
  void Own(Call& call) {
    if (call.owned.exchange(true, std::memory_order_relaxed)) ++wrong_;
  }
  void Finish(Call& call) {
    if (call.ended.fetch_add(1) != 0) ++wrong_;
    waiters_.Finish(call.id);
  }
  bool TakeMessage() {
    int64_t left = messages_.load(std::memory_order_relaxed);
    while (left > 0) {
      if (messages_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  // True if it parked.
  bool Attempt(const std::shared_ptr<Call>& call) {
    if (TakeMessage()) {
      ++served_;
      Finish(*call);
      return false;
    }
    call->owned.store(false, std::memory_order_relaxed);
    if (waiters_.Park(call->id, call, Waits::kInTurn)) return true;
    Own(*call);
    ++given_up_;
    Finish(*call);
    return false;
  }
  void Wake() {
    while (waiters_.Any() && messages_.load(std::memory_order_relaxed) > 0) {
      const std::shared_ptr<Call> call = waiters_.Wake();
      if (call == nullptr) return;
      Own(*call);
      Attempt(call);
    }
  }
  void Look() {
    if (closed_.load(std::memory_order_relaxed)) EndAll();
    Wake();
  }
  void EndAll() {
    while (const std::shared_ptr<Call> call = waiters_.Wake()) {
      Own(*call);
      ++closed_calls_;
      Finish(*call);
    }
  }

  Lane::Pool segments_;
  Waiters<std::shared_ptr<Call>> waiters_{std::make_shared<Waiters<std::shared_ptr<Call>>::Pool>(),
                                          &segments_};
  std::array<std::atomic<uint64_t>, kPlaces> shown_{};
  std::atomic<int64_t> messages_{0};
  std::atomic<bool> closed_{false};
  std::atomic<int64_t> begun_{0}, served_{0}, given_up_{0}, closed_calls_{0}, sent_{0}, stolen_{0},
      wrong_{0};
};

TEST(WaitersStressTest, EveryWaiterEndsOnceAndNoMessageLiesBesideOne) {
  constexpr uint32_t kThreads = 4;
  for (uint32_t round = 0; round < 5; ++round) {
    Polls polls;
    std::atomic<uint32_t> started{0};
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, seed = 1 + round * kThreads + t] {
        std::minstd_rand random(seed);
        ++started;
        while (started < kThreads) std::this_thread::yield();
        for (int i = 0; i < 20'000; ++i) {
          const size_t place = random() % Polls::kPlaces;
          switch (random() % 8) {
            case 0:
            case 1:
            case 2:
              polls.Poll(place);
              break;
            case 3:
            case 4:
              polls.Send();
              break;
            case 5:
            case 6:
              polls.GiveUp(place, random() % 2 == 0 ? kTimedOut : kCancelled);
              break;
            default:
              i % 8 == 0 ? polls.Trim() : polls.Steal();
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    polls.CheckNobodyOverlooked();
    polls.Close();
    polls.CheckBooks();
    EXPECT_GT(polls.served(), 0) << "round " << round;
    EXPECT_GT(polls.given_up(), 0) << "round " << round;
  }
}

TEST(WaitersStressTest, CloseAgainstWaitersThatParkLeavesNobodyBehind) {
  for (int round = 0; round < 200; ++round) {
    Polls polls;
    std::atomic<bool> started{false};
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < 50; ++i) {
          polls.Poll((i * 2 + t) % Polls::kPlaces);
          started = true;
          if (i % 8 == 0) polls.Trim();
        }
      });
    }
    while (!started) std::this_thread::yield();
    polls.Close();
    for (std::thread& thread : threads) thread.join();
    polls.CheckBooks();
  }
}

}  // namespace
}  // namespace barista::core
