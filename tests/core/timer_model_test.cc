// No wake-up is lost between those who arm a timer and its owner who goes to sleep: every schedule
// of small cases, and with each memory order weakened that the two rely on.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "broker/core/timer_intake.h"
#include "tests/model/weakenings.h"

namespace barista::core {
namespace {

using model::Case;
using model::Check;
using model::NamedCase;

struct Node {
  model::Plain<int64_t> deadline_ns;
  Node* next_in_intake = nullptr;
};

constexpr int64_t kEver = std::numeric_limits<int64_t>::max();

// The owner's loop as in Timer and its user, over a wheel that knows only its first deadline.
struct Fixture {
  static constexpr size_t kNodes = 3;

  void Arm(size_t number, int64_t deadline_ns) {
    nodes[number].deadline_ns.Set(deadline_ns);
    if (!intake.Push(&nodes[number], deadline_ns)) return;
    model::MutexLock lock(&mutex);
    woken = true;
    ++wakes;
  }

  void Take(Node* node) {
    for (; node != nullptr; node = node->next_in_intake) {
      first_ns = std::min(first_ns, node->deadline_ns.Get());
      ++taken;
    }
  }

  // RunDue at a time when nothing is due, NextDeadline, and a look at whether it was woken; until
  // it sleeps.
  void RunOwner() {
    for (;;) {
      intake.Awake();
      Take(intake.Drain());
      if (rearms && taken > 0 && !std::exchange(rearmed, true)) Arm(2, 40);
      Take(intake.Sleep(first_ns));
      model::MutexLock lock(&mutex);
      if (!woken) return;
      woken = false;
    }
  }

  // After all threads. Wakes that came after the owner fell asleep let it run again, here.
  void CheckKnown(size_t armed, int64_t earliest_ns) {
    Check(woken || first_ns <= earliest_ns, "asleep past a deadline, and nobody wakes it");
    RunOwner();
    Check(first_ns <= earliest_ns, "woken, and the node is not there");
    Check(taken + Rest() == armed, "a node is lost");
  }

  // What the owner need not know of yet.
  size_t Rest() {
    size_t rest = 0;
    for (Node* node = intake.Drain(); node != nullptr; node = node->next_in_intake) ++rest;
    return rest;
  }

  BasicTimerIntake<Node, model::ModelAtomics> intake;
  std::array<Node, kNodes> nodes;
  model::Mutex mutex;
  bool woken = false;  // under mutex
  int wakes = 0;       // under mutex
  // The owner's.
  int64_t first_ns = kEver;
  size_t taken = 0;
  bool rearms = false;  // the first node that it takes fires and arms another, when it is awake
  bool rearmed = false;
};

// An owner that sleeps until `until_ns`.
std::shared_ptr<Fixture> Asleep(int64_t until_ns) {
  auto f = std::make_shared<Fixture>();
  f->first_ns = until_ns;
  f->RunOwner();
  return f;
}

const std::vector<NamedCase>& Cases() {
  static const auto* const cases = new std::vector<NamedCase>{
      {"the owner goes to sleep while one arms",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         c.Thread([=] { f->RunOwner(); });
         c.Thread([=] { f->Arm(0, 50); });
         c.Finally([=] { f->CheckKnown(1, 50); });
       }},
      {"the owner's time is over, and it goes to sleep again while one arms",
       [](Case& c) {
         auto f = Asleep(10);
         f->first_ns = 100;
         c.Thread([=] { f->RunOwner(); });
         c.Thread([=] { f->Arm(0, 50); });
         c.Finally([=] { f->CheckKnown(1, 50); });
       }},
      {"one arms twice, the second the earlier",
       [](Case& c) {
         auto f = Asleep(100);
         c.Thread([=] { f->RunOwner(); });
         c.Thread([=] {
           f->Arm(0, 60);
           f->Arm(1, 50);
         });
         c.Finally([=] { f->CheckKnown(2, 50); });
       }},
      {"two arm, and only one may have to wake",
       [](Case& c) {
         auto f = Asleep(100);
         c.Thread([=] { f->RunOwner(); });
         c.Thread([=] { f->Arm(0, 60); });
         c.Thread([=] { f->Arm(1, 50); });
         c.Finally([=] { f->CheckKnown(2, 50); });
       }},
      {"two arm against a sleeper: it is woken, at most once for each",
       [](Case& c) {
         auto f = Asleep(100);
         c.Thread([=] { f->Arm(0, 60); });
         c.Thread([=] { f->Arm(1, 50); });
         c.Finally([=] {
           Check(f->wakes == 1 || f->wakes == 2, "woken too often, or not at all");
           f->CheckKnown(2, 50);
         });
       }},
      {"what the sleeper need not know of does not wake it",
       [](Case& c) {
         auto f = Asleep(100);
         c.Thread([=] { f->Arm(0, 100); });
         c.Thread([=] { f->Arm(1, 150); });
         c.Finally([=] {
           Check(f->wakes == 0, "woken for nothing");
           f->CheckKnown(2, 100);
         });
       }},
      {"one arms, the owner fires it and it arms again, another arms",
       [](Case& c) {
         auto f = Asleep(100);
         f->rearms = true;
         c.Thread([=] { f->RunOwner(); });
         c.Thread([=] { f->Arm(0, 60); });
         c.Thread([=] { f->Arm(1, 50); });
         c.Finally([=] {
           f->rearms = false;
           f->CheckKnown(f->rearmed ? 3 : 2, f->rearmed ? 40 : 50);
         });
       }},
      {"two arm, one of them twice, while the owner goes to sleep",
       [](Case& c) {
         auto f = Asleep(100);
         c.Thread([=] { f->RunOwner(); });
         c.Thread([=] {
           f->Arm(0, 60);
           f->Arm(1, 50);
         });
         c.Thread([=] { f->Arm(2, 55); });
         c.Finally([=] { f->CheckKnown(3, 50); });
       },
       model::kWhole},
      {"three arm against a sleeper",
       [](Case& c) {
         auto f = Asleep(100);
         c.Thread([=] { f->Arm(0, 60); });
         c.Thread([=] { f->Arm(1, 50); });
         c.Thread([=] { f->Arm(2, 55); });
         c.Finally([=] {
           Check(f->wakes >= 1 && f->wakes <= 3, "woken too often, or not at all");
           f->CheckKnown(3, 50);
         });
       }},
  };
  return *cases;
}

TEST(TimerModelTest, EveryScheduleWakesTheOwner) { model::ExpectAllHold(Cases()); }

TEST(TimerModelTest, EveryMemoryOrderIsNeeded) {
  // (Those of the timer's intake itself are all relaxed.)
  model::ExpectEachOrderNeeded(Cases(), "timer_intake.h:");
}

// What they rely on instead: the drain of the intake below, in both directions.
TEST(TimerModelTest, DrainIsWhatKeepsTheWakeUps) {
  int orders = 0;
  const NamedCase& shortest = Cases().front();
  const auto sites = model::Explore({}, shortest.set_up).sites;
  for (const model::Weakening& weakening : model::Weakenings(sites)) {
    if (std::strcmp(weakening.site.operation, "exchange") != 0) continue;
    ++orders;
    model::Options options;
    options.weakening = &weakening;
    EXPECT_FALSE(model::Explore(options, shortest.set_up).failure.empty())
        << weakening.site.ToString() << " -> " << model::OrderName(weakening.to);
  }
  // Drain's and Sleep's are one exchange in one place: acquire, and release.
  EXPECT_EQ(orders, 2);
}

}  // namespace
}  // namespace barista::core
