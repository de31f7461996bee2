// The structures around the lanes beside what one would write with a mutex: slots of the slab, the
// intake of the committer, parked waiters. No promises; the lanes and the timer have benchmarks of
// their own.
//
//   structures_bench [--rounds 5] [--operations 2000000]

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "bench/common/summary.h"
#include "broker/core/intake.h"
#include "broker/core/lane.h"
#include "broker/core/slab.h"
#include "broker/core/waiters.h"

namespace barista::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Nanoseconds of one of `operations`, done by `threads` together.
double Time(int threads, uint64_t operations, const std::function<void(int, uint64_t)>& work) {
  std::atomic<bool> go{false};
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
      work(t, operations / static_cast<uint64_t>(threads));
    });
  }
  const auto begin = SteadyClock::now();
  go.store(true, std::memory_order_release);
  for (std::thread& thread : running) thread.join();
  const std::chrono::duration<double, std::nano> took = SteadyClock::now() - begin;
  return took.count() / static_cast<double>(operations);
}

// ---- Slots: taken by ten and given back ----

double Slots(uint64_t operations) {
  core::Slab slab;
  return Time(2, operations, [&](int, uint64_t count) {
    core::MsgId ids[10];
    for (uint64_t i = 0; i < count; i += 10) {
      slab.Allocate(absl::MakeSpan(ids));
      slab.Free(ids);
    }
  });
}

double SlotsWithMutex(uint64_t operations) {
  std::mutex mutex;
  std::vector<uint32_t> free;
  uint32_t next = 0;
  return Time(2, operations, [&](int, uint64_t count) {
    uint32_t ids[10];
    for (uint64_t i = 0; i < count; i += 10) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        for (uint32_t& id : ids) {
          if (free.empty()) {
            id = next++;
          } else {
            id = free.back();
            free.pop_back();
          }
        }
      }
      const std::lock_guard<std::mutex> lock(mutex);
      free.insert(free.end(), std::begin(ids), std::end(ids));
    }
  });
}

// ---- Intake: two threads push, one takes all ----

struct Node {
  Node* next_in_intake = nullptr;
};

template <typename Push, typename Drain>
double Gather(uint64_t operations, Push push, Drain drain) {
  std::vector<Node> nodes(operations);
  std::atomic<uint64_t> drained{0};
  std::thread consumer([&] {
    while (drained.load(std::memory_order_relaxed) < operations) {
      const uint64_t n = drain();
      if (n == 0) std::this_thread::yield();
      drained.fetch_add(n, std::memory_order_relaxed);
    }
  });
  const double ns = Time(2, operations, [&](int thread, uint64_t count) {
    Node* node = &nodes[static_cast<uint64_t>(thread) * count];
    for (uint64_t i = 0; i < count; ++i) push(node + i);
  });
  consumer.join();
  return ns;
}

double Intake(uint64_t operations) {
  core::Intake<Node> intake;
  return Gather(
      operations, [&](Node* node) { intake.Push(node); },
      [&] {
        uint64_t n = 0;
        for (Node* node = intake.Drain(); node != nullptr; node = node->next_in_intake) ++n;
        return n;
      });
}

double IntakeWithMutex(uint64_t operations) {
  std::mutex mutex;
  std::vector<Node*> waiting, taken;
  return Gather(
      operations,
      [&](Node* node) {
        const std::lock_guard<std::mutex> lock(mutex);
        waiting.push_back(node);
      },
      [&] {
        taken.clear();
        const std::lock_guard<std::mutex> lock(mutex);
        taken.swap(waiting);
        return static_cast<uint64_t>(taken.size());
      });
}

// ---- Waiters: one is parked and woken ----

using Waiter = std::shared_ptr<int>;

double Waiters(uint64_t operations) {
  using List = core::BasicWaiters<Waiter>;
  core::Lane::Pool segments;
  List list(std::make_shared<List::Pool>(), &segments);
  const Waiter waiter = std::make_shared<int>();
  return Time(1, operations, [&](int, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      const core::WaiterId id = list.Begin();
      list.Park(id, waiter, core::Waits::kInTurn);
      if (list.Any()) list.Wake();
      list.Finish(id);
    }
  });
}

double WaitersWithMutex(uint64_t operations) {
  std::mutex mutex;
  std::deque<Waiter> list;
  const Waiter waiter = std::make_shared<int>();
  return Time(1, operations, [&](int, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        list.push_back(waiter);
      }
      Waiter woken;
      const std::lock_guard<std::mutex> lock(mutex);
      woken = std::move(list.front());
      list.pop_front();
    }
  });
}

double NobodyWaits(uint64_t operations) {
  using List = core::BasicWaiters<Waiter>;
  core::Lane::Pool segments;
  List list(std::make_shared<List::Pool>(), &segments);
  return Time(2, operations, [&](int, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) list.Any();
  });
}

double NobodyWaitsWithMutex(uint64_t operations) {
  std::mutex mutex;
  std::deque<Waiter> list;
  std::atomic<uint64_t> found{0};
  const double ns = Time(2, operations, [&](int, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!list.empty()) found.fetch_add(1, std::memory_order_relaxed);
    }
  });
  return ns + static_cast<double>(found);
}

void Compare(const char* what, int rounds, const std::function<double()>& ours,
             const std::function<double()>& floor) {
  Sample our_ns, floor_ns, ratio;
  for (int round = 0; round < rounds; ++round) {
    const double a = ours(), b = floor();
    our_ns.Add(a);
    floor_ns.Add(b);
    ratio.Add(a / b);
  }
  absl::PrintF("| %s | %s ns | with a mutex: %s ns | %.2f x (%.2f-%.2f) | - | |\n", what,
               our_ns.ToString(), floor_ns.ToString(), ratio.median(), ratio.min(), ratio.max());
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  using namespace barista::bench;
  int rounds = 5;
  uint64_t operations = 2'000'000;
  CLI::App app("Measures slab, intake and parked waiters beside mutexes");
  app.add_option("--rounds", rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--operations", operations, "Operations of a round")
      ->check(CLI::Range(uint64_t{1000}, uint64_t{100'000'000}));
  CLI11_PARSE(app, argc, argv);
  operations -= operations % 20;
  Compare(
      "slots by ten, 2 threads: take and give back", rounds, [&] { return Slots(operations); },
      [&] { return SlotsWithMutex(operations); });
  Compare(
      "intake, 2 producers and a consumer: push", rounds, [&] { return Intake(operations); },
      [&] { return IntakeWithMutex(operations); });
  Compare(
      "a waiter: begin, park, wake, finish", rounds, [&] { return Waiters(operations); },
      [&] { return WaitersWithMutex(operations); });
  Compare(
      "nobody waits, 2 threads: look", rounds, [&] { return NobodyWaits(operations); },
      [&] { return NobodyWaitsWithMutex(operations); });
  return 0;
}
