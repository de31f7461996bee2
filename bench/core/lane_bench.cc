// The lock-free lane beside a mutex and a deque, alternating.
//
//   lane_bench [--rounds 7] [--ids 4000000]
//
// Throughput of two producers and two consumers, by batches of 10 and of 1; and the tail of a
// single pop while eight threads share the processors.

#include <pthread.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/common/summary.h"
#include "broker/core/lane.h"
#include "broker/core/mutex_lane.h"
#include "client/load/histogram.h"

namespace barista::bench {
namespace {

using core::Lane;
using core::MsgId;
using core::MutexLane;
using load::Histogram;
using SteadyClock = std::chrono::steady_clock;

struct LaneWithPool : Lane::Pool, Lane {
  LaneWithPool() : Lane(static_cast<Lane::Pool*>(this)) {}
};

// Spreads the threads evenly: left alone, the scheduler may put all producers on one processor and
// all consumers on the other for a whole run, or not.
void PinTo(size_t thread) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(thread % std::max(1u, std::thread::hardware_concurrency()), &cpus);
  pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

// Lets others run when there is nothing to do: on few processors a spinner steals from the thread
// that it waits for.
class Backoff {
 public:
  void Wait() {
    if (++turns_ < 32) {
      core::StdAtomics::Pause(0);
    } else {
      std::this_thread::yield();
    }
  }
  void Reset() { turns_ = 0; }

 private:
  int turns_ = 0;
};

struct Shape {
  int producers;
  int consumers;
  size_t batch;
  uint64_t ids;  // in all
  bool timed;    // each pop that finds something
  bool pinned;   // spread evenly over the processors
};

struct Result {
  double ids_per_second = 0;
  Histogram pops;  // ns
};

template <typename L>
Result Run(const Shape& shape) {
  // Producers stay within this many ids of the consumers: a lane is a window, not a store.
  constexpr uint64_t kWindow = 64 << 10;
  L lane;
  std::atomic<bool> go{false};
  alignas(64) std::atomic<uint64_t> pushed{0};
  alignas(64) std::atomic<uint64_t> popped{0};
  std::vector<Histogram> histograms(static_cast<size_t>(shape.consumers));
  std::vector<std::thread> threads;
  const uint64_t each = shape.ids / static_cast<uint64_t>(shape.producers);
  const uint64_t total = each * static_cast<uint64_t>(shape.producers);
  for (int p = 0; p < shape.producers; ++p) {
    threads.emplace_back([&, p] {
      if (shape.pinned) PinTo(static_cast<size_t>(p));
      std::vector<MsgId> ids(shape.batch);
      Backoff backoff;
      while (!go.load(std::memory_order_acquire)) backoff.Wait();
      for (uint64_t i = 0; i < each;) {
        const size_t n = std::min<uint64_t>(shape.batch, each - i);
        for (size_t j = 0; j < n; ++j) ids[j] = MsgId::Of(static_cast<uint32_t>(i + j), 1);
        lane.Push(absl::MakeConstSpan(ids).subspan(0, n));
        i += n;
        if (i / 1024 != (i - n) / 1024) {
          pushed.fetch_add(1024, std::memory_order_relaxed);
          backoff.Reset();
          while (pushed.load(std::memory_order_relaxed) >
                 popped.load(std::memory_order_relaxed) + kWindow) {
            backoff.Wait();
          }
        }
      }
    });
  }
  for (int c = 0; c < shape.consumers; ++c) {
    threads.emplace_back([&, c] {
      if (shape.pinned) PinTo(static_cast<size_t>(c));
      std::vector<MsgId> ids(shape.batch);
      Histogram& histogram = histograms[static_cast<size_t>(c)];
      Backoff backoff;
      uint64_t unreported = 0;
      while (!go.load(std::memory_order_acquire)) backoff.Wait();
      for (;;) {
        const auto begin = shape.timed ? SteadyClock::now() : SteadyClock::time_point();
        const size_t n = lane.Pop(absl::MakeSpan(ids));
        if (shape.timed && n > 0) {
          histogram.Record(static_cast<uint64_t>((SteadyClock::now() - begin).count()));
        }
        unreported += n;
        if (n == 0 || unreported >= 1024) {
          popped.fetch_add(unreported, std::memory_order_relaxed);
          unreported = 0;
        }
        if (n > 0) {
          backoff.Reset();
          continue;
        }
        if (popped.load(std::memory_order_relaxed) >= total) return;
        backoff.Wait();
      }
    });
  }
  const auto begin = SteadyClock::now();
  go.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = SteadyClock::now() - begin;
  Result result;
  result.ids_per_second = static_cast<double>(total) / took.count();
  for (const Histogram& histogram : histograms) result.pops.Merge(histogram);
  return result;
}

bool Throughput(int rounds, uint64_t ids, size_t batch, double reach) {
  const Shape shape{2, 2, batch, ids, false, false};
  Sample ours, floor;
  Promise promise;
  for (int round = 0; round < rounds; ++round) {
    const double lane = Run<LaneWithPool>(shape).ids_per_second;
    const double mutex = Run<MutexLane>(shape).ids_per_second;
    ours.Add(lane);
    floor.Add(mutex);
    promise.ratios.Add(lane / mutex);
  }
  promise.what = absl::StrCat("lane, 2 producers + 2 consumers, batches of ", batch);
  promise.measured = absl::StrCat(ours.ToString(), " ids/s");
  promise.floor = absl::StrCat("mutex + deque: ", floor.ToString(), " ids/s");
  promise.reach = reach;
  return PrintRow(promise);
}

bool Tail(int rounds, uint64_t ids) {
  const Shape shape{4, 4, 1, ids, true, true};
  Sample ours, floor;
  Promise promise;
  for (int round = 0; round < rounds; ++round) {
    const double lane = static_cast<double>(Run<LaneWithPool>(shape).pops.Percentile(99.9));
    const double mutex = static_cast<double>(Run<MutexLane>(shape).pops.Percentile(99.9));
    ours.Add(lane);
    floor.Add(mutex);
    promise.ratios.Add(lane / mutex);
  }
  promise.what = "lane, p99.9 of a single pop, 8 threads";
  promise.measured = absl::StrCat(ours.ToString(), " ns");
  promise.floor = absl::StrCat("mutex + deque: ", floor.ToString(), " ns");
  promise.reach = 0.5;
  promise.at_most = true;
  return PrintRow(promise);
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  int rounds = 7;
  uint64_t ids = 4'000'000;
  CLI::App app("Measures the lane against a mutex and a deque");
  app.add_option("--rounds", rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--ids", ids, "Ids of one run")->check(CLI::Range(1000, 1000000000));
  CLI11_PARSE(app, argc, argv);
  bool reached = barista::bench::Throughput(rounds, ids, 10, 1.6);
  reached &= barista::bench::Throughput(rounds, ids / 2, 1, 1.4);
  reached &= barista::bench::Tail(rounds, ids / 4);
  return reached ? 0 : 3;
}
