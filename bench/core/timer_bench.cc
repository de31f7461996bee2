// The timer beside a binary heap under a mutex, alternating.
//
//   timer_bench [--rounds 7] [--nodes 1000000] [--span_s 30]
//
// A number of nodes is pending all the time, due at random within the span. Time goes on in steps
// in which 64 are fired and as many armed. Arm is what the caller pays; expire is all that the
// owner pays for a node: taking it over, moving it down the wheel, firing and destroying it. Making
// a node is not measured, and its memory is recycled.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/common/summary.h"
#include "bench/core/heap_timer.h"
#include "broker/core/timer.h"

namespace barista::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kStepNodes = 64;

// As large as the timer of a message's visibility.
class Node final : public core::TimerNode {
 public:
  explicit Node(size_t* fired) : fired_(fired) {}
  int64_t Fire(int64_t) override {
    ++*fired_;
    return core::kNever;
  }
  bool Dead() const override { return false; }

  static void* operator new(size_t bytes) {
    if (free_.empty()) return ::operator new(bytes);
    void* const memory = free_.back();
    free_.pop_back();
    return memory;
  }
  static void operator delete(void* memory) { free_.push_back(memory); }

 private:
  static inline std::vector<void*> free_;

  size_t* const fired_;
  [[maybe_unused]] char ids_[112] = {};
};

struct Costs {
  double arm_ns = 0;
  double expire_ns = 0;
};

// `pending` nodes, of which each is due within `span_ns`; until `nodes` have expired.
template <typename T>
Costs Run(size_t pending, size_t nodes, int64_t span_ns) {
  T timer(nullptr);
  size_t fired = 0;
  std::mt19937_64 random(1);
  int64_t now_ns = 1'000'000'007;
  const auto deadline = [&] {
    return now_ns + static_cast<int64_t>(random() % static_cast<uint64_t>(span_ns));
  };
  for (size_t i = 0; i < pending; ++i) timer.Arm(deadline(), std::make_unique<Node>(&fired));
  timer.RunDue(now_ns);
  // Nodes live half a span on average.
  const int64_t step_ns =
      span_ns / 2 * static_cast<int64_t>(kStepNodes) / static_cast<int64_t>(pending);
  std::vector<std::unique_ptr<Node>> made(kStepNodes);
  std::vector<int64_t> deadlines(kStepNodes);
  SteadyClock::duration arming{};
  SteadyClock::duration expiring{};
  size_t armed = 0;
  size_t expired = 0;
  // The first life of the nodes that were there from the start is not measured.
  for (size_t warm = pending; expired < nodes;) {
    for (size_t i = 0; i < kStepNodes; ++i) {
      made[i] = std::make_unique<Node>(&fired);
      deadlines[i] = deadline();
    }
    const auto begin = SteadyClock::now();
    for (size_t i = 0; i < kStepNodes; ++i) timer.Arm(deadlines[i], std::move(made[i]));
    const auto between = SteadyClock::now();
    now_ns += step_ns;
    timer.RunDue(now_ns);
    const auto end = SteadyClock::now();
    if (warm > 0) {
      warm -= std::min(warm, fired);
    } else {
      arming += between - begin;
      expiring += end - between;
      armed += kStepNodes;
      expired += fired;
    }
    fired = 0;
  }
  const auto per = [](SteadyClock::duration took, size_t n) {
    return std::chrono::duration<double, std::nano>(took).count() / static_cast<double>(n);
  };
  return {per(arming, armed), per(expiring, expired)};
}

bool Report(const std::string& what, const Sample& ours, const Sample& floor, double reach_ns) {
  Promise promise;
  promise.what = what;
  promise.measured = absl::StrCat(ours.ToString(), " ns, ", Compact(floor.median() / ours.median()),
                                  " times as fast");
  promise.floor = absl::StrCat("mutex + binary heap: ", floor.ToString(), " ns");
  promise.ratios = ours;
  promise.reach = reach_ns;
  promise.at_most = true;
  promise.unit = "ns";
  return PrintRow(promise);
}

int Main(int rounds, size_t nodes, int span_s) {
  bool reached = true;
  PrintTableHead();
  for (const size_t pending : {1'000, 10'000, 100'000, 1'000'000}) {
    Sample arm, arm_floor, expire, expire_floor;
    for (int round = 0; round < rounds; ++round) {
      const int64_t span_ns = int64_t{span_s} * 1'000'000'000;
      const Costs wheel = Run<core::Timer>(pending, nodes, span_ns);
      const Costs heap = Run<HeapTimer>(pending, nodes, span_ns);
      arm.Add(wheel.arm_ns);
      arm_floor.Add(heap.arm_ns);
      expire.Add(wheel.expire_ns);
      expire_floor.Add(heap.expire_ns);
    }
    const std::string within =
        absl::StrCat(Compact(static_cast<double>(pending)), " pending within ", span_s, " s");
    reached &= Report(absl::StrCat("arm, ", within), arm, arm_floor, 60);
    reached &= Report(absl::StrCat("expire, ", within), expire, expire_floor, 200);
  }
  return reached ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  int rounds = 7;
  size_t nodes = 1'000'000;
  int span_s = 30;
  CLI::App app("Measures the timer against a binary heap");
  app.add_option("--rounds", rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--nodes", nodes, "Nodes that expire in one run")
      ->check(CLI::Range(1000, 1000000000));
  app.add_option("--span_s", span_s, "Within how many seconds nodes are due")
      ->check(CLI::Range(1, 86400));
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(rounds, nodes, span_s);
}
