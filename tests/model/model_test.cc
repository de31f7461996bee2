// The checker finds what it should, and allows what the memory model allows.

#include "tests/model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace barista::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Pair = std::pair<int, int>;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcqRel = std::memory_order_acq_rel;
constexpr auto kSeqCst = std::memory_order_seq_cst;

// Each thread writes one variable and reads the other: what they read.
std::set<Pair> StoreBuffering(std::memory_order store, std::memory_order load) {
  std::set<Pair> results;
  const Outcome outcome = Explore({}, [&](Case& c) {
    struct State {
      Atomic<int> x, y;
      int a = 0, b = 0;
    };
    auto s = std::make_shared<State>();
    c.Thread([=] {
      s->x.store(1, store);
      s->a = s->y.load(load);
    });
    c.Thread([=] {
      s->y.store(1, store);
      s->b = s->x.load(load);
    });
    c.Finally([s, &results] { results.insert({s->a, s->b}); });
  });
  EXPECT_TRUE(outcome.ok()) << outcome.failure;
  return results;
}

TEST(ModelTest, StoreBufferingIsForbiddenBySeqCstOnly) {
  EXPECT_THAT(StoreBuffering(kSeqCst, kSeqCst),
              UnorderedElementsAre(Pair(0, 1), Pair(1, 0), Pair(1, 1)));
  EXPECT_THAT(StoreBuffering(kRelease, kAcquire),
              UnorderedElementsAre(Pair(0, 0), Pair(0, 1), Pair(1, 0), Pair(1, 1)));
  EXPECT_THAT(StoreBuffering(kRelease, kSeqCst),
              UnorderedElementsAre(Pair(0, 0), Pair(0, 1), Pair(1, 0), Pair(1, 1)));
}

Outcome MessagePassing(std::memory_order store, std::memory_order load,
                       bool through_exchange = false) {
  return Explore({}, [=](Case& c) {
    struct State {
      Plain<int> data;
      Atomic<int> flag;
    };
    auto s = std::make_shared<State>();
    c.Thread([=] {
      s->data.Set(42);
      s->flag.store(1, store);
    });
    if (through_exchange) {
      c.Thread([=] { s->flag.fetch_add(1, kRelaxed); });
    }
    c.Thread([=] {
      const int wanted = through_exchange ? 2 : 1;
      if (s->flag.load(load) == wanted) Check(s->data.Get() == 42, "the flag came before the data");
    });
  });
}

TEST(ModelTest, MessagePassingNeedsReleaseAndAcquire) {
  EXPECT_TRUE(MessagePassing(kRelease, kAcquire).ok());
  EXPECT_THAT(MessagePassing(kRelaxed, kAcquire).failure, HasSubstr("data race"));
  EXPECT_THAT(MessagePassing(kRelease, kRelaxed).failure, HasSubstr("data race"));
}

TEST(ModelTest, RelaxedReadModifyWriteContinuesAReleaseSequence) {
  EXPECT_TRUE(MessagePassing(kRelease, kAcquire, /*through_exchange=*/true).ok());
  EXPECT_THAT(MessagePassing(kRelaxed, kAcquire, /*through_exchange=*/true).failure,
              HasSubstr("data race"));
}

TEST(ModelTest, PlainWriteBehindAReleaseIsNotOrderedByIt) {
  const Outcome outcome = Explore({}, [](Case& c) {
    struct State {
      Plain<int> data;
      Atomic<int> flag;
    };
    auto s = std::make_shared<State>();
    c.Thread([=] {
      s->flag.store(1, kRelease);
      s->data.Set(42);
    });
    c.Thread([=] {
      if (s->flag.load(kAcquire) == 1) s->data.Get();
    });
  });
  EXPECT_THAT(outcome.failure, HasSubstr("data race"));
}

TEST(ModelTest, LoadsOfOneLocationNeverGoBack) {
  std::set<Pair> results;
  const Outcome outcome = Explore({}, [&](Case& c) {
    struct State {
      Atomic<int> x;
      int a = 0, b = 0;
    };
    auto s = std::make_shared<State>();
    c.Thread([=] { s->x.store(1, kRelaxed); });
    c.Thread([=] {
      s->a = s->x.load(kRelaxed);
      s->b = s->x.load(kRelaxed);
    });
    c.Finally([s, &results] { results.insert({s->a, s->b}); });
  });
  EXPECT_TRUE(outcome.ok());
  EXPECT_THAT(results, UnorderedElementsAre(Pair(0, 0), Pair(0, 1), Pair(1, 1)));
}

// Two readers may see two independent writes in different orders, unless all is seq_cst.
TEST(ModelTest, IndependentReadsOfIndependentWrites) {
  for (const bool strong : {false, true}) {
    bool disagree = false;
    const Outcome outcome = Explore({}, [&](Case& c) {
      struct State {
        Atomic<int> x, y;
        int a = 0, b = 0, d = 0, e = 0;
      };
      const auto load = strong ? kSeqCst : kAcquire;
      const auto store = strong ? kSeqCst : kRelease;
      auto s = std::make_shared<State>();
      c.Thread([=] {
        s->x.store(1, store);
        s->a = s->y.load(load);
      });
      c.Thread([=] { s->y.store(1, store); });
      c.Thread([=] {
        s->d = s->y.load(load);
        s->e = s->x.load(load);
      });
      c.Finally([s, &disagree] { disagree |= s->a == 0 && s->d == 1 && s->e == 0; });
    });
    EXPECT_TRUE(outcome.ok());
    EXPECT_EQ(disagree, !strong);
  }
}

// Two locations, each written by both threads: both may end with the value written first.
TEST(ModelTest, StoresMayComeBehindThoseMadeLater) {
  for (const bool strong : {false, true}) {
    bool both_first = false;
    const Outcome outcome = Explore({}, [&](Case& c) {
      struct State {
        Atomic<int> x, y;
      };
      auto s = std::make_shared<State>();
      const auto order = strong ? kSeqCst : kRelease;
      c.Thread([=] {
        s->x.store(1, order);
        s->y.store(2, order);
      });
      c.Thread([=] {
        s->y.store(1, order);
        s->x.store(2, order);
      });
      c.Finally(
          [s, &both_first] { both_first |= s->x.load(kRelaxed) == 1 && s->y.load(kRelaxed) == 1; });
    });
    EXPECT_TRUE(outcome.ok()) << outcome.failure;
    EXPECT_EQ(both_first, !strong);
  }
}

TEST(ModelTest, ReadModifyWritesNeverMissEachOther) {
  const Outcome outcome = Explore({}, [](Case& c) {
    auto x = std::make_shared<Atomic<int>>(0);
    for (int t = 0; t < 3; ++t) {
      c.Thread([=] {
        int old = x->load(kRelaxed);
        while (!x->compare_exchange_weak(old, old + 1, kRelaxed, kRelaxed)) {
        }
      });
    }
    c.Finally([=] { Check(x->load(kRelaxed) == 3, "an increment is lost"); });
  });
  EXPECT_TRUE(outcome.ok()) << outcome.failure;
  EXPECT_GT(outcome.executions, 6);
}

TEST(ModelTest, StepsThatDoNotTouchEachOtherAreOrderedOnce) {
  const Outcome outcome = Explore({}, [](Case& c) {
    auto x = std::make_shared<std::array<Atomic<int>, 3>>();
    for (size_t t = 0; t < 3; ++t) {
      c.Thread([=] {
        for (int i = 0; i < 5; ++i) (*x)[t].store(i, kRelease);
      });
    }
  });
  EXPECT_TRUE(outcome.ok());
  // Not the 756,756 orders of 3 times 5 steps.
  EXPECT_LT(outcome.executions, 200);
}

TEST(ModelTest, WaitingForAnotherThreadEnds) {
  const Outcome outcome = Explore({}, [](Case& c) {
    struct State {
      Plain<int> data;
      Atomic<int> flag;
    };
    auto s = std::make_shared<State>();
    c.Thread([=] {
      while (s->flag.load(kAcquire) == 0) ModelAtomics::Pause(0);
      Check(s->data.Get() == 7, "the flag came before the data");
    });
    c.Thread([=] {
      s->data.Set(7);
      s->flag.store(1, kRelease);
    });
  });
  EXPECT_TRUE(outcome.ok()) << outcome.failure;
}

TEST(ModelTest, WaitingForWhatNobodyDoesIsReported) {
  const Outcome outcome = Explore({}, [](Case& c) {
    auto flag = std::make_shared<Atomic<int>>(0);
    c.Thread([=] {
      while (flag->load(kAcquire) == 0) ModelAtomics::Pause(0);
    });
    c.Thread([=] {});
  });
  EXPECT_THAT(outcome.failure, HasSubstr("waits for what nobody will do"));
}

TEST(ModelTest, EndlessLoopIsReported) {
  const Outcome outcome = Explore({.max_steps = 100}, [](Case& c) {
    auto x = std::make_shared<Atomic<int>>(0);
    c.Thread([=] {
      while (x->load(kAcquire) == 0) {
      }
    });
  });
  EXPECT_THAT(outcome.failure, HasSubstr("does not end"));
}

TEST(ModelTest, FailureTellsHowItCame) {
  const Outcome outcome = MessagePassing(kRelaxed, kAcquire);
  EXPECT_THAT(outcome.failure, HasSubstr("thread 1: stores 0x1 at #0  [model_test.cc:"));
  EXPECT_THAT(outcome.failure, HasSubstr("thread 2: reads 0x1 at #0  [model_test.cc:"));
}

TEST(ModelTest, WeakeningsAreThoseOfTheSitesThatRan) {
  const Outcome outcome = MessagePassing(kRelease, kAcquire);
  ASSERT_EQ(outcome.sites.size(), 2u);
  const std::vector<Weakening> weakenings = Weakenings(outcome.sites);
  ASSERT_EQ(weakenings.size(), 2u);
  for (const Weakening& weakening : weakenings) {
    EXPECT_EQ(weakening.to, kRelaxed);
    EXPECT_TRUE(weakening.from == kAcquire || weakening.from == kRelease);
  }
  EXPECT_EQ(Weakenings({{{"f", 1, "exchange"}, kAcqRel}}).size(), 2u);
}

}  // namespace
}  // namespace barista::model
