#include "broker/core/timer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "broker/base/mutex.h"

namespace barista::core {
namespace {

class RecordingNode : public TimerNode {
 public:
  RecordingNode(int id, std::vector<std::pair<int, int64_t>>* fired, bool* dead = nullptr,
                int64_t again_ns = kNever)
      : id_(id), fired_(fired), dead_(dead), again_ns_(again_ns) {}
  int64_t Fire(int64_t now_ns) override {
    fired_->push_back({id_, now_ns});
    return std::exchange(again_ns_, kNever);
  }
  bool Dead() const override { return dead_ != nullptr && *dead_; }

 private:
  const int id_;
  std::vector<std::pair<int, int64_t>>* const fired_;
  bool* const dead_;
  int64_t again_ns_;
};

TEST(TimerTest, FiresAtTheDeadlineAndNotBefore) {
  Timer timer(nullptr);
  std::vector<std::pair<int, int64_t>> fired;
  timer.Arm(100, std::make_unique<RecordingNode>(1, &fired));
  EXPECT_EQ(timer.NextDeadline(), 100);
  EXPECT_FALSE(timer.RunDue(99));
  EXPECT_TRUE(fired.empty());
  EXPECT_TRUE(timer.RunDue(100));
  EXPECT_EQ(fired.size(), 1u);
  EXPECT_EQ(timer.NextDeadline(), kNever);
}

TEST(TimerTest, NodeThatAsksForAnotherTimeIsFiredAgain) {
  Timer timer(nullptr);
  std::vector<std::pair<int, int64_t>> fired;
  timer.Arm(100, std::make_unique<RecordingNode>(1, &fired, nullptr, 250));
  timer.RunDue(100);
  EXPECT_EQ(timer.NextDeadline(), 250);
  timer.RunDue(249);
  EXPECT_EQ(fired.size(), 1u);
  timer.RunDue(250);
  EXPECT_EQ(fired.size(), 2u);
}

TEST(TimerTest, TellsWhenANodeBecomesTheFirst) {
  int earlier = 0;
  Timer timer([&] { ++earlier; });
  std::vector<std::pair<int, int64_t>> fired;
  timer.Arm(100, std::make_unique<RecordingNode>(1, &fired));
  EXPECT_EQ(earlier, 1);
  timer.Arm(200, std::make_unique<RecordingNode>(2, &fired));
  EXPECT_EQ(earlier, 1);
  timer.Arm(50, std::make_unique<RecordingNode>(3, &fired));
  EXPECT_EQ(earlier, 2);
}

TEST(TimerTest, DeadNodesAreThrownOutWhenThereAreMany) {
  Timer timer(nullptr);
  std::vector<std::pair<int, int64_t>> fired;
  bool dead = false;
  for (int i = 0; i < 100000; ++i) {
    timer.Arm(1'000'000, std::make_unique<RecordingNode>(i, &fired, &dead));
    if (i == 50000) dead = true;
    if (i % 1000 == 0) timer.RunDue(0);
  }
  timer.RunDue(0);
  EXPECT_LT(timer.size(), 5000u);
}

TEST(TimerTest, OwnerThatIsAwakeIsNotTold) {
  int earlier = 0;
  Timer timer([&] { ++earlier; });
  std::vector<std::pair<int, int64_t>> fired;
  timer.RunDue(0);
  timer.Arm(100, std::make_unique<RecordingNode>(1, &fired));
  EXPECT_EQ(earlier, 0);
  EXPECT_EQ(timer.NextDeadline(), 100);
  timer.Arm(100, std::make_unique<RecordingNode>(2, &fired));
  EXPECT_EQ(earlier, 0);
  timer.Arm(99, std::make_unique<RecordingNode>(3, &fired));
  EXPECT_EQ(earlier, 1);
}

TEST(TimerTest, SleepingOwnerIsWokenToSweep) {
  int earlier = 0;
  Timer timer([&] { ++earlier; });
  std::vector<std::pair<int, int64_t>> fired;
  bool dead = true;
  timer.RunDue(0);
  timer.Arm(100, std::make_unique<RecordingNode>(0, &fired));
  timer.NextDeadline();
  for (int i = 1; i < 4095; ++i) {
    timer.Arm(1'000'000, std::make_unique<RecordingNode>(i, &fired, &dead));
  }
  EXPECT_EQ(earlier, 0);
  timer.Arm(1'000'000, std::make_unique<RecordingNode>(4095, &fired, &dead));
  EXPECT_EQ(earlier, 1);
  timer.Arm(1'000'000, std::make_unique<RecordingNode>(4096, &fired, &dead));
  EXPECT_EQ(earlier, 1) << "told already";
  timer.RunDue(0);
  EXPECT_EQ(timer.size(), 1u);
  EXPECT_TRUE(fired.empty());
}

// What came during a sweep says nothing about how many live.
TEST(TimerTest, DeadNodesArmedDuringASweepAreSweptByTheNext) {
  Timer timer(nullptr);
  std::vector<std::pair<int, int64_t>> fired;
  bool dead = true;
  class Armer : public TimerNode {
   public:
    explicit Armer(std::function<void()> arm) : arm_(std::move(arm)) {}
    int64_t Fire(int64_t) override {
      arm_();
      return kNever;
    }
    bool Dead() const override { return false; }

   private:
    const std::function<void()> arm_;
  };
  const auto arm_dead = [&] {
    for (int i = 0; i < 50000; ++i) {
      timer.Arm(1'000'000, std::make_unique<RecordingNode>(i, &fired, &dead));
    }
  };
  timer.Arm(100, std::make_unique<Armer>(arm_dead));
  arm_dead();
  EXPECT_TRUE(timer.RunDue(100));
  EXPECT_EQ(timer.size(), 50000u);
  timer.RunDue(100);
  EXPECT_EQ(timer.size(), 0u);
}

TEST(TimerTest, ThreadsThatArmFasterThanTheOwnerSweepsAreHeldBack) {
  Mutex mutex;
  CondVar cv;
  bool woken = false;
  bool stop = false;
  Timer timer([&] {
    MutexLock lock(&mutex);
    woken = true;
    cv.NotifyOne();
  });
  // Destroying one takes longer than arming one.
  class Slow : public TimerNode {
   public:
    ~Slow() override {
      const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(2);
      while (std::chrono::steady_clock::now() < end) {
      }
    }
    int64_t Fire(int64_t) override { return kNever; }
    bool Dead() const override { return true; }
  };
  std::thread owner([&] {
    for (;;) {
      timer.RunDue(0);
      timer.NextDeadline();
      MutexLock lock(&mutex);
      if (stop) return;
      if (!woken) cv.Wait(&mutex);
      woken = false;
    }
  });
  std::vector<size_t> most(2, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < most.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50'000; ++i) {
        timer.Arm(1'000'000, std::make_unique<Slow>());
        most[t] = std::max(most[t], timer.size());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  {
    MutexLock lock(&mutex);
    stop = true;
    cv.NotifyOne();
  }
  owner.join();
  EXPECT_LT(std::max(most[0], most[1]), 30'000u);
}

TEST(TimerTest, NodesThatOutliveTheTimerAreDestroyedWithIt) {
  const auto alive = std::make_shared<int>();
  class Holder : public TimerNode {
   public:
    explicit Holder(std::shared_ptr<int> held) : held_(std::move(held)) {}
    int64_t Fire(int64_t now_ns) override { return now_ns + 1; }
    bool Dead() const override { return false; }

   private:
    const std::shared_ptr<int> held_;
  };
  {
    Timer timer(nullptr);
    timer.Arm(1, std::make_unique<Holder>(alive));
    timer.RunDue(1);
    timer.Arm(1, std::make_unique<Holder>(alive));
    EXPECT_EQ(alive.use_count(), 3);
  }
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(TimerTest, NodeMayArmAndRunTheTimerThatFiresIt) {
  Timer timer(nullptr);
  std::vector<std::pair<int, int64_t>> fired;
  class Nested : public TimerNode {
   public:
    Nested(Timer* timer, std::vector<std::pair<int, int64_t>>* fired)
        : timer_(timer), fired_(fired) {}
    int64_t Fire(int64_t now_ns) override {
      timer_->Arm(now_ns - 1, std::make_unique<RecordingNode>(1, fired_));
      EXPECT_EQ(timer_->NextDeadline(), now_ns - 1);
      EXPECT_TRUE(timer_->RunDue(now_ns));
      return kNever;
    }
    bool Dead() const override { return false; }

   private:
    Timer* const timer_;
    std::vector<std::pair<int, int64_t>>* const fired_;
  };
  timer.Arm(10, std::make_unique<Nested>(&timer, &fired));
  EXPECT_TRUE(timer.RunDue(10));
  EXPECT_EQ(fired.size(), 1u);
  EXPECT_EQ(timer.size(), 0u);
}

// Random arms and advances against a multimap; the seed is printed.
class AgainstAMultimap {
 public:
  explicit AgainstAMultimap(uint64_t seed) : random_(seed) {}

  void Run() {
    for (int step = 0; step < 3000 && !::testing::Test::HasFailure(); ++step) {
      switch (random_() % 8) {
        case 0:
          // Many at once, most of them dead soon: sweeps.
          if (random_() % 16 == 0) {
            for (int i = 0; i < 5000; ++i) Arm();
            for (const auto& [id, node] : nodes_) node->dead |= random_() % 4 != 0;
          }
          break;
        case 1:
          if (!nodes_.empty()) nodes_.begin()->second->dead = true;
          break;
        case 2:
        case 3:
          Advance();
          break;
        default:
          Arm();
      }
      EXPECT_EQ(timer_.NextDeadline(), First()) << "step " << step;
      EXPECT_EQ(timer_.size(), nodes_.size());
    }
    // Everything is fired in the end.
    again_ = false;
    now_ns_ = kNever - 1;
    timer_.RunDue(now_ns_);
    EXPECT_TRUE(nodes_.empty());
  }

 private:
  struct Node : TimerNode {
    Node(AgainstAMultimap* model, int id, int64_t deadline_ns)
        : model(model), id(id), place(model->by_deadline_.emplace(deadline_ns, id)) {
      model->nodes_[id] = this;
    }
    ~Node() override {
      EXPECT_TRUE(fired || dead) << "a living node is thrown out";
      model->by_deadline_.erase(place);
      model->nodes_.erase(id);
    }
    int64_t Fire(int64_t now_ns) override {
      EXPECT_EQ(now_ns, model->now_ns_);
      EXPECT_LE(place->first, now_ns) << "fired too early";
      EXPECT_FALSE(fired) << "fired twice";
      if (!model->again_ || model->random_() % 4 != 0) {
        fired = true;
        return kNever;
      }
      const int64_t next_ns = model->AnyDeadline();
      model->by_deadline_.erase(place);
      place = model->by_deadline_.emplace(std::max(next_ns, now_ns + 1), id);
      return next_ns;
    }
    bool Dead() const override { return dead; }

    AgainstAMultimap* const model;
    const int id;
    std::multimap<int64_t, int>::iterator place;
    bool dead = false;
    bool fired = false;
  };

  static constexpr int64_t kMs = 1'000'000;

  int64_t UpTo(int max_bits) {
    return static_cast<int64_t>(random_() % (uint64_t{1} << (random_() % max_bits)));
  }
  // A border of some level, or just before or behind it.
  int64_t NearABorder() {
    constexpr int64_t kSpans[] = {kMs, 256 * kMs, 16'384 * kMs, 1'048'576 * kMs, 67'108'864 * kMs};
    const int64_t span = kSpans[random_() % std::size(kSpans)];
    const int64_t border = (now_ns_ / span + static_cast<int64_t>(random_() % 66)) * span;
    constexpr int64_t kOff[] = {-kMs, -1, 0, 0, 0, 1, kMs - 1};
    return border + kOff[random_() % std::size(kOff)];
  }
  int64_t AnyDeadline() {
    switch (random_() % 8) {
      case 0:
        return now_ns_ - UpTo(50);
      case 1:
      case 2:
      case 3:
        return NearABorder();
      case 4:
        return now_ns_;
      default:
        return now_ns_ + UpTo(55);  // to a year ahead
    }
  }

  void Arm() {
    const int64_t deadline_ns = AnyDeadline();
    timer_.Arm(deadline_ns, std::make_unique<Node>(this, next_id_++, deadline_ns));
  }

  void Advance() {
    const int64_t before_ns = now_ns_;
    switch (random_() % 8) {
      case 0:
        ++now_ns_;
        break;
      case 1:
        if (First() != kNever) now_ns_ = First();
        break;
      case 2:
        if (First() != kNever) now_ns_ = First() - 1;
        break;
      case 3:
        now_ns_ = NearABorder();
        break;
      default:
        now_ns_ += UpTo(49);  // to days ahead
    }
    now_ns_ = std::max(now_ns_, before_ns);
    const bool due = First() <= now_ns_;
    const bool any = timer_.RunDue(now_ns_);
    // (What was due may have been dead, and swept.)
    EXPECT_TRUE(due || !any);
    EXPECT_GT(First(), now_ns_) << "forgotten";
  }

  int64_t First() const { return by_deadline_.empty() ? kNever : by_deadline_.begin()->first; }

  std::mt19937_64 random_;
  std::multimap<int64_t, int> by_deadline_;
  std::map<int, Node*> nodes_;
  int next_id_ = 0;
  int64_t now_ns_ = 0;
  bool again_ = true;
  Timer timer_{nullptr};
};

TEST(TimerTest, AgreesWithAMultimap) {
  for (int round = 0; round < 20 && !HasFailure(); ++round) {
    const uint64_t seed = std::random_device()();
    SCOPED_TRACE("seed " + std::to_string(seed));
    AgainstAMultimap(seed).Run();
  }
}

// The owner's loop with real time and real sleep, against threads that arm and wait for what they
// armed: a lost wake-up would be an endless wait.
TEST(TimerTest, SleepingOwnerMissesNothing) {
  using SteadyClock = std::chrono::steady_clock;
  const auto now_ns = [] { return SteadyClock::now().time_since_epoch().count(); };
  Mutex mutex;
  CondVar cv;
  bool woken = false;
  bool stop = false;
  Timer timer([&] {
    MutexLock lock(&mutex);
    woken = true;
    cv.NotifyOne();
  });
  std::thread owner([&] {
    for (;;) {
      timer.RunDue(now_ns());
      const int64_t next_ns = timer.NextDeadline();
      MutexLock lock(&mutex);
      if (stop) return;
      if (!woken) {
        if (next_ns == kNever) {
          cv.Wait(&mutex);
        } else {
          cv.WaitFor(&mutex, absl::Nanoseconds(std::max<int64_t>(next_ns - now_ns(), 0)));
        }
      }
      woken = false;
    }
  });
  class Flag : public TimerNode {
   public:
    Flag(int64_t deadline_ns, std::atomic<int>* fired) : deadline_ns_(deadline_ns), fired_(fired) {}
    int64_t Fire(int64_t now_ns) override {
      EXPECT_GE(now_ns, deadline_ns_);
      fired_->fetch_add(1);
      return kNever;
    }
    bool Dead() const override { return false; }

   private:
    const int64_t deadline_ns_;
    std::atomic<int>* const fired_;
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int round = 0; round < 300; ++round) {
        std::atomic<int> fired{0};
        for (int i = 0; i < 3; ++i) {
          const int64_t at = now_ns() + static_cast<int64_t>(random() % 400'000);
          timer.Arm(at, std::make_unique<Flag>(at, &fired));
        }
        while (fired.load() < 3) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  {
    MutexLock lock(&mutex);
    stop = true;
    cv.NotifyOne();
  }
  owner.join();
  EXPECT_EQ(timer.size(), 0u);
}

}  // namespace
}  // namespace barista::core
