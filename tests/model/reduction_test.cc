// The reduced exploration ends in the same results as the exhaustive one: on the programs that
// memory models are told by, and on random ones.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/model/model.h"
#include "tests/model/weakenings.h"

namespace barista::model {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcqRel = std::memory_order_acq_rel;
constexpr auto kSeqCst = std::memory_order_seq_cst;

// What is read, and what the locations hold at the end.
using Result = std::vector<int>;

// The memory of a program: what its threads share, and what each has read.
struct Shared {
  std::array<Atomic<int>, 3> x;
  Plain<int> data;
  std::array<Result, 4> read;
};
using Body = std::function<void(Shared*, Result* read)>;
using Program = std::vector<Body>;

struct Explored {
  Outcome outcome;
  std::set<Result> results;
};

Explored RunProgram(const Program& program, bool reduce, int64_t max_executions = 1'000'000) {
  Explored explored;
  Options options;
  options.reduce = reduce;
  options.max_executions = max_executions;
  explored.outcome = Explore(options, [&](Case& c) {
    auto s = std::make_shared<Shared>();
    for (size_t t = 0; t < program.size(); ++t) {
      c.Thread([s, t, &program] { program[t](s.get(), &s->read[t]); });
    }
    c.Finally([s, &explored] {
      Result result;
      for (const Result& read : s->read) {
        result.insert(result.end(), read.begin(), read.end());
        result.push_back(-1);
      }
      for (const auto& x : s->x) result.push_back(x.load(kRelaxed));
      explored.results.insert(result);
    });
  });
  return explored;
}

struct Named {
  std::string name;
  Program program;
  size_t results;  // 0: some
};

TEST(ReductionTest, KnownProgramsHaveTheSameResults) {
  const auto store = [](size_t x, int value, std::memory_order order) {
    return [=](Shared* s) { s->x[x].store(value, order); };
  };
  const auto then = [](auto first, auto second) {
    return [=](Shared* s, Result* read) {
      first(s);
      read->push_back(second(s));
    };
  };
  const auto load = [](size_t x, std::memory_order order) {
    return [=](Shared* s) { return s->x[x].load(order); };
  };
  const auto loads = [](size_t first, size_t second, std::memory_order order) -> Body {
    return [=](Shared* s, Result* read) {
      read->push_back(s->x[first].load(order));
      read->push_back(s->x[second].load(order));
    };
  };
  const auto stores = [](size_t first, int a, size_t second, int b,
                         std::memory_order order) -> Body {
    return [=](Shared* s, Result*) {
      s->x[first].store(a, order);
      s->x[second].store(b, order);
    };
  };
  const auto only_load = [](size_t x, std::memory_order order) -> Body {
    return [=](Shared* s, Result* read) { read->push_back(s->x[x].load(order)); };
  };
  const auto behind_then_store = [](Shared* s) {
    s->x[2].store(s->x[1].load(kRelaxed), kRelaxed);
    s->x[0].store(2, kRelaxed);
    s->x[0].store(3, kRelaxed);
  };
  const auto only = [](auto what) -> Body { return [=](Shared* s, Result*) { what(s); }; };
  const auto race = [](Shared* s, Result* read) {
    int free = 0;
    read->push_back(s->x[0].compare_exchange_strong(free, 1 + static_cast<int>(read - &s->read[0]),
                                                    kAcquire, kRelaxed)
                        ? 0
                        : free);
  };
  const auto load_then_store = [](size_t from, size_t to, std::memory_order order) -> Body {
    return [=](Shared* s, Result* read) {
      read->push_back(s->x[from].load(order));
      s->x[to].store(1, kRelaxed);
    };
  };
  const auto wait = [](Shared* s, Result* read) {
    while (s->x[0].load(kAcquire) == 0) ModelAtomics::Pause(0);
    read->push_back(s->x[1].load(kRelaxed));
  };
  const auto locked = [](Shared* s, Result* read) {
    for (int free = 0; !s->x[0].compare_exchange_weak(free, 1, kAcquire, kRelaxed); free = 0) {
      ModelAtomics::Pause(0);
    }
    read->push_back(s->data.Get());
    s->data.Set(read->back() + 1);
    s->x[0].store(0, kRelease);
  };
  const auto grow = [](Shared* s, Result* read) {
    int old = s->x[0].load(kRelaxed);
    while (!s->x[0].compare_exchange_weak(old, old + 1, kAcqRel, kRelaxed)) {
    }
    read->push_back(old);
    read->push_back(s->x[0].load(kRelaxed));
  };

  std::vector<Named> programs;
  for (const auto& [write, look] : std::vector<std::pair<std::memory_order, std::memory_order>>{
           {kRelaxed, kRelaxed}, {kRelease, kAcquire}, {kSeqCst, kSeqCst}, {kRelaxed, kSeqCst}}) {
    const std::string orders = " " + OrderName(write) + " " + OrderName(look);
    const bool strong = write == kSeqCst;
    programs.push_back({"message passing" + orders,
                        {stores(0, 1, 1, 2, write), loads(1, 0, look)},
                        write == kRelease || strong ? 3u : 4u});
    programs.push_back(
        {"store buffering" + orders,
         {then(store(0, 1, write), load(1, look)), then(store(1, 1, write), load(0, look))},
         strong ? 3u : 4u});
    programs.push_back(
        {"independent reads of independent writes" + orders,
         {only(store(0, 1, write)), only(store(1, 1, write)), loads(0, 1, look), loads(1, 0, look)},
         strong ? 15u : 0u});
    programs.push_back({"2+2 writes" + orders,
                        {stores(0, 1, 1, 2, write), stores(1, 1, 0, 2, write)},
                        strong ? 3u : 4u});
    // (Loads never read from the future here: both cannot read 1.)
    programs.push_back({"load buffering" + orders,
                        {load_then_store(0, 1, look), load_then_store(1, 0, look)},
                        3u});
    programs.push_back({"reads of one location" + orders,
                        {stores(0, 1, 0, 2, write), only(store(0, 3, write)), loads(0, 0, look)},
                        0});
    // A store that is known by a third location only, and loads in one total order or none.
    programs.push_back({"loads behind what they know of" + orders,
                        {stores(0, 1, 1, 1, write), loads(1, 0, look), loads(1, 0, look)},
                        0});
  }
  // A store executed behind another, in front of which it takes its place.
  const auto behind = [](std::memory_order order) -> Body {
    return [=](Shared* s, Result* read) {
      read->push_back(s->x[1].load(kRelaxed));
      s->x[0].store(2, order);
    };
  };
  programs.push_back({"a seq_cst load behind a seq_cst store that comes too late",
                      {stores(0, 1, 1, 1, kRelaxed), behind(kSeqCst), only_load(0, kSeqCst)},
                      0});
  programs.push_back({"two loads among stores that come too late",
                      {loads(0, 0, kRelaxed), stores(0, 1, 1, 1, kRelaxed),
                       then(behind_then_store, load(2, kRelaxed))},
                      0});
  programs.push_back({"a race of exchanges", {race, race, race}, 0});
  programs.push_back(
      {"a race of exchanges and a store", {race, race, only(store(0, 9, kRelease))}, 0});
  programs.push_back({"exchanges that are repeated", {grow, grow}, 0});
  programs.push_back({"a wait", {wait, stores(1, 5, 0, 1, kRelease)}, 1u});
  programs.push_back({"a wait for what comes unordered", {wait, stores(1, 5, 0, 1, kRelaxed)}, 2u});
  programs.push_back({"two waits", {wait, wait, stores(1, 5, 0, 1, kRelaxed)}, 4u});
  programs.push_back({"a lock", {locked, locked, locked}, 6u});

  for (const Named& named : programs) {
    const Explored all = RunProgram(named.program, /*reduce=*/false);
    const Explored reduced = RunProgram(named.program, /*reduce=*/true);
    EXPECT_TRUE(all.outcome.ok() && reduced.outcome.ok())
        << named.name << ": " << all.outcome.failure << reduced.outcome.failure;
    EXPECT_EQ(all.results, reduced.results) << named.name;
    EXPECT_LE(reduced.outcome.executions, all.outcome.executions) << named.name;
    if (named.results != 0) {
      EXPECT_EQ(reduced.results.size(), named.results) << named.name;
    }
  }
}

// ---- Random programs ----

class RandomProgram {
 public:
  explicit RandomProgram(uint32_t seed) : random_(seed) {
    const int threads = 2 + Below(2);
    locations_ = 1 + Below(3);
    orders_ = Below(4);
    with_data_ = Below(2) == 0;
    for (int t = 0; t < threads; ++t) {
      std::vector<std::function<void(Shared*, Result*)>> steps;
      const int count = threads == 2 ? 2 + Below(4) : 1 + Below(3);
      for (int i = 0; i < count; ++i) steps.push_back(NextStep());
      program_.push_back([steps](Shared* s, Result* read) {
        for (const auto& step : steps) step(s, read);
      });
    }
  }
  const Program& program() const { return program_; }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  // Of four programs one is all relaxed, and one all seq_cst.
  std::memory_order Order(std::vector<std::memory_order> allowed) {
    if (orders_ == 0) return kRelaxed;
    if (orders_ == 1) return kSeqCst;
    return allowed[static_cast<size_t>(Below(static_cast<int>(allowed.size())))];
  }

  Body NextStep() {
    const auto x = static_cast<size_t>(Below(locations_));
    const int value = ++last_value_;
    const std::memory_order loading = Order({kRelaxed, kAcquire, kSeqCst});
    const std::memory_order storing = Order({kRelaxed, kRelease, kSeqCst});
    const std::memory_order both = Order({kRelaxed, kAcquire, kRelease, kAcqRel, kSeqCst});
    switch (Below(with_data_ ? 17 : 14)) {
      case 0:
      case 1:
      case 2:
        return [=](Shared* s, Result* read) { read->push_back(s->x[x].load(loading)); };
      case 3:
      case 4:
      case 5:
        return [=](Shared* s, Result*) { s->x[x].store(value, storing); };
      case 6:
        return [=](Shared* s, Result* read) { read->push_back(s->x[x].fetch_add(value, both)); };
      case 7:
      case 8: {
        const int expected = Below(3) == 0 ? Below(value) : 0;
        return [=](Shared* s, Result* read) {
          int found = expected;
          const bool won = s->x[x].compare_exchange_strong(found, value, both, kRelaxed);
          read->push_back(won ? -2 : found);
        };
      }
      case 9:
        return [=](Shared* s, Result* read) {
          int old = s->x[x].load(loading);
          while (!s->x[x].compare_exchange_strong(old, old + value, both, loading)) {
          }
          read->push_back(old);
        };
      case 10:
        return [=](Shared* s, Result*) {
          if (s->x[x].load(loading) != 0) s->x[(x + 1) % 3].store(value, storing);
        };
      case 11:
        return [=](Shared* s, Result* read) {
          if (s->x[x].load(loading) == 0) ModelAtomics::Pause(0);
          read->push_back(s->x[x].load(loading));
        };
      case 12:
        return [=](Shared* s, Result*) {
          while (s->x[x].load(loading) == 0) ModelAtomics::Pause(0);
        };
      case 13:
        return [=](Shared* s, Result*) {
          for (int free = 0; !s->x[x].compare_exchange_strong(free, value, both, kRelaxed);
               free = 0) {
            ModelAtomics::Pause(0);
          }
          s->x[x].store(0, storing);
        };
      case 14:
        return [=](Shared* s, Result*) {
          s->data.Set(value);
          s->x[x].store(value, storing);
        };
      case 15:
        return [=](Shared* s, Result* read) {
          if (s->x[x].load(loading) != 0) read->push_back(s->data.Get());
        };
      default:
        return [=](Shared* s, Result*) {
          if (s->x[x].load(loading) != 0) s->data.Set(value);
        };
    }
  }

  std::mt19937 random_;
  int locations_;
  int orders_;
  bool with_data_;
  int last_value_ = 0;
  Program program_;
};

TEST(ReductionTest, RandomProgramsHaveTheSameResults) {
  const uint32_t programs = RunsTheWhole() ? 30'000 : 1'000;
  int compared = 0;
  int failing = 0;
  int64_t all_executions = 0;
  int64_t executions = 0;
  for (uint32_t seed = 0; seed < programs; ++seed) {
    const RandomProgram program(seed);
    // (The one needs those tried who can go on where another cannot.)
    const bool at_length = RunsTheWhole() || seed == 538;
    const Explored all =
        RunProgram(program.program(), /*reduce=*/false, at_length ? 100'000 : 10'000);
    const bool fails = !all.outcome.failure.empty();
    if (!fails && !all.outcome.complete) continue;
    const Explored reduced = RunProgram(program.program(), /*reduce=*/true);
    ASSERT_EQ(!reduced.outcome.failure.empty(), fails)
        << "seed " << seed << ": " << all.outcome.failure << reduced.outcome.failure;
    ++compared;
    failing += fails;
    if (fails) continue;
    ASSERT_EQ(reduced.results, all.results) << "seed " << seed;
    all_executions += all.outcome.executions;
    executions += reduced.outcome.executions;
  }
  std::printf("%d programs, %d of them failing; of the others %lld executions, reduced %lld\n",
              compared, failing, static_cast<long long>(all_executions),
              static_cast<long long>(executions));
  EXPECT_GT(compared, static_cast<int>(programs) * 9 / 10);
  EXPECT_LT(failing, compared * 2 / 3);
}

}  // namespace
}  // namespace barista::model
