#include "broker/core/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace barista::core {
namespace {

constexpr int64_t kMs = 1'000'000;
// What a slot of each level spans, and what all levels do.
constexpr int64_t kSpans[] = {kMs, 256 * kMs, 16'384 * kMs, 1'048'576 * kMs, 67'108'864 * kMs};

class Node : public TimerNode {
 public:
  explicit Node(int64_t deadline_ns, const bool* dead = nullptr)
      : deadline_ns_(deadline_ns), dead_(dead) {}
  // (Returns the deadline, for the tests to read.)
  int64_t Fire(int64_t) override { return deadline_ns_; }
  bool Dead() const override { return dead_ != nullptr && *dead_; }

 private:
  const int64_t deadline_ns_;
  const bool* const dead_;
};

void Add(TimerWheel* wheel, int64_t deadline_ns) {
  wheel->Add(std::make_unique<Node>(deadline_ns), deadline_ns);
}

std::vector<int64_t> Deadlines(TimerList list) {
  std::vector<int64_t> deadlines;
  while (std::unique_ptr<TimerNode> node = list.PopFront()) deadlines.push_back(node->Fire(0));
  return deadlines;
}

// At each border of each level, from just before another border: one step earlier nothing is due.
TEST(TimerWheelTest, BordersAreExact) {
  for (const int64_t start_span : kSpans) {
    for (const int64_t before : {int64_t{1}, kMs, kMs + 1, int64_t{0}}) {
      const int64_t start = 3 * start_span - before;
      for (const int64_t span : kSpans) {
        for (const int64_t windows : {1, 2, 63, 64, 65, 256}) {
          for (const int64_t off : {-kMs, -kMs / 2, int64_t{-1}, int64_t{0}, int64_t{1}, kMs}) {
            const int64_t deadline = (start / span + windows) * span + off;
            if (deadline <= start) continue;
            TimerWheel wheel;
            ASSERT_TRUE(wheel.TakeDue(start).empty());
            Add(&wheel, deadline);
            ASSERT_EQ(wheel.First(), deadline);
            ASSERT_TRUE(wheel.TakeDue(deadline - 1).empty()) << start << " " << deadline;
            ASSERT_EQ(wheel.First(), deadline);
            ASSERT_EQ(Deadlines(wheel.TakeDue(deadline)), std::vector<int64_t>{deadline});
            ASSERT_EQ(wheel.First(), kNever);
          }
        }
      }
    }
  }
}

TEST(TimerWheelTest, OnlyWhatIsDueWithinATickIsTaken) {
  TimerWheel wheel;
  for (int64_t deadline = 1; deadline <= 10; ++deadline) Add(&wheel, 5 * kMs + deadline);
  EXPECT_TRUE(wheel.TakeDue(5 * kMs).empty());
  EXPECT_EQ(Deadlines(wheel.TakeDue(5 * kMs + 4)).size(), 4u);
  EXPECT_EQ(wheel.First(), 5 * kMs + 5);
  EXPECT_EQ(Deadlines(wheel.TakeDue(6 * kMs)).size(), 6u);
}

TEST(TimerWheelTest, PastDeadlinesAreDueAtOnce) {
  TimerWheel wheel;
  EXPECT_TRUE(wheel.TakeDue(kSpans[3]).empty());
  Add(&wheel, kSpans[2]);
  Add(&wheel, -5);
  EXPECT_EQ(wheel.First(), -5);
  // Also if the time has gone back.
  EXPECT_EQ(Deadlines(wheel.TakeDue(0)), std::vector<int64_t>{-5});
  EXPECT_EQ(wheel.First(), kSpans[2]);
  EXPECT_EQ(Deadlines(wheel.TakeDue(kSpans[2])), std::vector<int64_t>{kSpans[2]});
}

TEST(TimerWheelTest, LastMomentsStay) {
  TimerWheel wheel;
  Add(&wheel, kNever);
  Add(&wheel, kNever - 1);
  EXPECT_EQ(wheel.First(), kNever - 1);
  EXPECT_TRUE(wheel.TakeDue(kSpans[4] * 1000).empty());
  EXPECT_EQ(Deadlines(wheel.TakeDue(kNever - 1)), std::vector<int64_t>{kNever - 1});
}

TEST(TimerWheelTest, TicksComeInOrderAndNodesOfOneInTheirs) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  TimerWheel wheel;
  std::vector<int64_t> expected;
  for (int i = 0; i < 20000; ++i) {
    const int64_t deadline = static_cast<int64_t>(random() % (uint64_t{1} << (random() % 52)));
    Add(&wheel, deadline);
    expected.push_back(deadline);
  }
  std::stable_sort(expected.begin(), expected.end(),
                   [](int64_t a, int64_t b) { return a / kMs < b / kMs; });
  EXPECT_EQ(Deadlines(wheel.TakeDue(int64_t{1} << 52)), expected);
}

TEST(TimerWheelTest, DeadNodesAreTakenFromEveryLevel) {
  TimerWheel wheel;
  bool dead = false;
  int64_t deadline = 0;
  for (const int64_t span : kSpans) {
    deadline = 2 * span + 1;
    wheel.Add(std::make_unique<Node>(deadline, &dead), deadline);
    Add(&wheel, deadline + 1);
  }
  EXPECT_TRUE(wheel.TakeDead().empty());
  EXPECT_EQ(wheel.First(), 2 * kMs + 1);
  dead = true;
  EXPECT_EQ(Deadlines(wheel.TakeDead()).size(), std::size(kSpans));
  EXPECT_EQ(wheel.First(), 2 * kMs + 2);
  EXPECT_EQ(Deadlines(wheel.TakeDue(deadline + 1)).size(), std::size(kSpans));
}

}  // namespace
}  // namespace barista::core
