#include "broker/core/timer.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

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

// Random arms and advances against a multimap; the seed is printed.
TEST(TimerTest, AgreesWithAMultimap) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Timer timer(nullptr);
  std::multimap<int64_t, int> model;
  std::vector<std::pair<int, int64_t>> fired;
  std::map<int, int64_t> deadline;
  int64_t now = 0;
  for (int step = 0; step < 20000; ++step) {
    if (random() % 3 != 0) {
      // Deadlines from now to hours ahead, many equal.
      const int64_t at = now + static_cast<int64_t>(random() % (uint64_t{1} << (random() % 40)));
      timer.Arm(at, std::make_unique<RecordingNode>(step, &fired));
      model.emplace(at, step);
      deadline[step] = at;
    } else {
      now += static_cast<int64_t>(random() % (uint64_t{1} << (random() % 36)));
      timer.RunDue(now);
      size_t due = 0;
      while (!model.empty() && model.begin()->first <= now) {
        model.erase(model.begin());
        ++due;
      }
      ASSERT_EQ(fired.size(), due) << "step " << step;
      for (const auto& [id, at] : fired) ASSERT_LE(deadline[id], at);
      fired.clear();
    }
    ASSERT_EQ(timer.NextDeadline(), model.empty() ? kNever : model.begin()->first);
  }
}

}  // namespace
}  // namespace barista::core
