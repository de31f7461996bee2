// What costs nothing to have: idle queues, and receives that wait.
//
//   idle_bench [--queues 100000] [--polls 1000] [--rounds 5]
//
// A child process opens a directory with many queues, which nobody uses: time of Open and resident
// memory. Then long polls are parked on one of them: processor time while nothing happens, and the
// time from a send to the callback of the receive that it wakes.

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "barista/broker.h"
#include "bench/common/child.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "client/load/histogram.h"

namespace barista::bench {
namespace {

using load::Histogram;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "idle_bench: %s\n", status.ToString().c_str());
  return 1;
}

absl::Status Create(const std::string& dir, int queues) {
  auto broker = Broker::Open({.data_dir = dir});
  if (!broker.ok()) return broker.status();
  // Many at a time, so that they share their syncs.
  std::atomic<int> next{0};
  std::atomic<bool> failed{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 64; ++t) {
    threads.emplace_back([&] {
      for (int i; (i = next++) < queues;) {
        if (!(*broker)->CreateQueue(absl::StrCat("queue-", i)).ok()) failed = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failed ? absl::InternalError("a queue could not be created") : (*broker)->Close();
}

// The child: prints "open_ms resident_bytes idle_cpu_share wake_p99_us" when asked by its
// arguments.
int Serve(const std::string& dir, int polls) {
  const absl::Time begin = absl::Now();
  auto broker = Broker::Open({.data_dir = dir});
  if (!broker.ok()) return Fail(broker.status());
  const double open_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  const int64_t resident = UsageOf(0).resident_bytes;
  auto queue = (*broker)->CreateQueue("polled", {.durability = Durability::kMemory});
  if (!queue.ok()) return Fail(queue.status());

  std::vector<std::shared_ptr<PendingReceive>> pending;
  std::atomic<int64_t> woken_ns{0};
  std::atomic<int> woken{0};
  const auto park = [&] {
    pending.push_back(queue->ReceiveAsync({.wait = absl::Hours(1)},
                                          [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                            if (!batch.ok()) return;
                                            woken_ns = absl::GetCurrentTimeNanos();
                                            ++woken;
                                          }));
  };
  for (int i = 0; i < polls; ++i) park();
  const absl::Duration cpu = UsageOf(0).cpu;
  constexpr absl::Duration kIdle = absl::Seconds(3);
  absl::SleepFor(kIdle);
  const double idle_share = absl::FDivDuration(UsageOf(0).cpu - cpu, kIdle);

  Histogram wakes;
  for (int i = 0; i < 1000; ++i) {
    const int before = woken;
    const int64_t sent_ns = absl::GetCurrentTimeNanos();
    if (absl::Status status = queue->Send({.body = "wake"}).status(); !status.ok()) {
      return Fail(status);
    }
    while (woken == before) std::this_thread::yield();
    wakes.Record(static_cast<uint64_t>(std::max<int64_t>(woken_ns - sent_ns, 0)));
    park();
  }
  std::printf("%f %lld %f %f\n", open_ms, static_cast<long long>(resident), idle_share,
              static_cast<double>(wakes.Percentile(99)) / 1e3);
  std::fflush(stdout);
  for (const auto& p : pending) p->Cancel();
  return (*broker)->Close().ok() ? 0 : 1;
}

int Main(int rounds, int queues, int polls) {
  ScratchDir dir;
  if (absl::Status status = Create(dir / "data", queues); !status.ok()) return Fail(status);
  Promise memory, open, idle, wake;
  Sample megabytes, seconds, percent, milliseconds;
  for (int round = 0; round < rounds; ++round) {
    auto child =
        Child::Spawn({"/proc/self/exe", "--serve", dir / "data", "--polls", absl::StrCat(polls)});
    if (!child.ok()) return Fail(child.status());
    const auto line = child->ReadLine();
    if (!line.ok()) return Fail(line.status());
    const std::vector<std::string> fields = absl::StrSplit(*line, ' ');
    double open_ms, bytes, share, wake_us;
    if (fields.size() != 4 || !absl::SimpleAtod(fields[0], &open_ms) ||
        !absl::SimpleAtod(fields[1], &bytes) || !absl::SimpleAtod(fields[2], &share) ||
        !absl::SimpleAtod(fields[3], &wake_us)) {
      return Fail(absl::InternalError(*line));
    }
    memory.ratios.Add(bytes / (1 << 20));
    open.ratios.Add(open_ms / 1e3);
    idle.ratios.Add(share * 100);
    wake.ratios.Add(wake_us / 1e3);
  }
  const auto print = [](Promise* promise, std::string what, double reach, std::string unit) {
    promise->what = std::move(what);
    promise->measured = promise->ratios.ToString();
    promise->floor = "-";
    promise->reach = reach;
    promise->at_most = true;
    promise->unit = std::move(unit);
    return PrintRow(*promise);
  };
  bool reached = print(&memory, absl::StrCat(queues, " idle queues: resident"), 200, "MiB");
  reached &= print(&open, absl::StrCat("Open with ", queues, " queues"), 1, "s");
  reached &= print(&idle, absl::StrCat(polls, " parked long polls: of a core"), 1, "%");
  reached &= print(&wake, absl::StrCat(polls, " parked long polls: p99 of a wake"), 2, "ms");
  return reached ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  int rounds = 5;
  int queues = 100'000;
  int polls = 1000;
  std::string serve;
  CLI::App app("Measures what is idle");
  app.add_option("--rounds", rounds, "Rounds")->check(CLI::Range(1, 1000));
  app.add_option("--queues", queues, "Idle queues")->check(CLI::Range(1, 10'000'000));
  app.add_option("--polls", polls, "Parked long polls")->check(CLI::Range(1, 1'000'000));
  app.add_option("--serve", serve, "")->group("");
  CLI11_PARSE(app, argc, argv);
  return serve.empty() ? barista::bench::Main(rounds, queues, polls)
                       : barista::bench::Serve(serve, polls);
}
