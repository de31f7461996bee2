// What a message costs in the store, by the layout of its records: runs of up to 64 messages a row
// against one row per message.
//
//   record_layout_bench --benchmark_filter=ordered
//
// Each benchmark writes and acknowledges all its messages once, without syncs. Reported per
// message: put_ns and ack_ns, the CPU of the writing thread; cpu_ns, the CPU of the process, with
// flushes and compactions; written_B, the bytes handed to write(2), with the log, flushes and
// compactions. Names carry body bytes, messages a record, and the order of the acknowledgements.

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/common/scratch_dir.h"
#include "benchmark/benchmark.h"
#include "storage/rocksdb_store.h"
#include "storage/store.h"

namespace barista::storage {
namespace {

enum class Order {
  kOrdered,  // batches of 100, acknowledged in order in batches of 10 to 100, 10,000 messages later
  kRandom,   // batches of 100, acknowledged in batches of 100 at random within a window of 10,000
  kSingle,   // one message a batch, acknowledged one a batch, 100 messages later
  kBacklog,  // batches of 100; when all are there, acknowledged in order in batches of 100
};

int64_t ThreadCpuNs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

int64_t ProcessCpuNs() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& t) {
    return t.tv_sec * int64_t{1000000000} + t.tv_usec * int64_t{1000};
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

int64_t WrittenBytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  int64_t value = 0;
  while (io >> name >> value) {
    if (name == "wchar:") return value;
  }
  return 0;
}

class Run {
 public:
  Run(size_t body_bytes, int max_record_messages)
      : body_(body_bytes, 'b'), scratch_(bench::ScratchDir("")), random_(42) {
    RocksDbStoreOptions options;
    options.dir = scratch_.path() + "/data";
    options.max_record_messages = max_record_messages;
    options.ballast_bytes = 0;
    absl::StatusOr<std::unique_ptr<Store>> opened = OpenRocksDbStore(options);
    if (!opened.ok()) {
      failure_ = opened.status();
      return;
    }
    store_ = *std::move(opened);
  }

  const absl::Status& failure() const { return failure_; }
  int64_t put_ns() const { return put_ns_; }
  int64_t ack_ns() const { return ack_ns_; }

  void Do(Order order, int64_t messages) {
    const size_t put_batch = order == Order::kSingle ? 1 : 100;
    const size_t window = order == Order::kSingle ? 100 : 10000;
    for (int64_t put = 0; put < messages; put += static_cast<int64_t>(put_batch)) {
      Put(put_batch);
      if (order == Order::kBacklog) continue;
      while (live_.size() > window) Ack(order);
    }
    while (!live_.empty()) Ack(order);
  }

 private:
  void Write(int64_t* cpu_ns) {
    batch_.commit_number += 1;
    if (absl::Status status = store_->Write(batch_); !status.ok()) failure_ = status;
    batch_.Clear();
    *cpu_ns += ThreadCpuNs() - started_ns_;
  }
  void Put(size_t count) {
    started_ns_ = ThreadCpuNs();
    for (; count > 0; --count) {
      RecordRef& ref = live_.emplace_back();
      batch_.Add(Batch::Append{QueueId(1), Sequence(next_++), body_, &ref});
    }
    Write(&put_ns_);
  }
  void Ack(Order order) {
    size_t count = 100;
    if (order == Order::kSingle) count = 1;
    if (order == Order::kOrdered) count = 10 + random_() % 91;
    count = std::min(count, live_.size());
    if (order == Order::kRandom) {
      for (size_t i = 0; i < count; ++i)
        std::swap(live_[i], live_[i + random_() % (live_.size() - i)]);
    }
    started_ns_ = ThreadCpuNs();
    for (size_t i = 0; i < count; ++i) batch_.Add(Batch::Ack{QueueId(1), live_[i]});
    Write(&ack_ns_);
    live_.erase(live_.begin(), live_.begin() + static_cast<std::ptrdiff_t>(count));
  }

  const std::string body_;
  bench::ScratchDir scratch_;
  std::unique_ptr<Store> store_;
  std::mt19937_64 random_;
  Batch batch_;
  std::deque<RecordRef> live_;
  uint64_t next_ = 1;
  int64_t started_ns_ = 0;
  int64_t put_ns_ = 0;
  int64_t ack_ns_ = 0;
  absl::Status failure_;
};

void Layout(benchmark::State& state, size_t body_bytes, int max_record_messages, Order order,
            int64_t messages) {
  int64_t put_ns = 0, ack_ns = 0, cpu_ns = 0, written = 0, total = 0;
  for (auto _ : state) {
    const int64_t cpu_before = ProcessCpuNs();
    const int64_t written_before = WrittenBytes();
    {
      Run run(body_bytes, max_record_messages);
      if (run.failure().ok()) run.Do(order, messages);
      if (!run.failure().ok()) {
        state.SkipWithError(run.failure().ToString().c_str());
        return;
      }
      put_ns += run.put_ns();
      ack_ns += run.ack_ns();
    }
    cpu_ns += ProcessCpuNs() - cpu_before;
    written += WrittenBytes() - written_before;
    total += messages;
  }
  const auto per_message = [&](int64_t sum) {
    return static_cast<double>(sum) / static_cast<double>(total);
  };
  state.SetItemsProcessed(total);
  state.counters["put_ns"] = per_message(put_ns);
  state.counters["ack_ns"] = per_message(ack_ns);
  state.counters["cpu_ns"] = per_message(cpu_ns);
  state.counters["written_B"] = per_message(written);
}

void RegisterAll() {
  struct Shape {
    const char* name;
    Order order;
    int64_t messages;
  };
  constexpr Shape kShapes[] = {
      {"ordered", Order::kOrdered, 1000000},
      {"random_window_10k", Order::kRandom, 1000000},
      {"single", Order::kSingle, 200000},
      {"backlog", Order::kBacklog, 1000000},
  };
  for (const Shape& shape : kShapes) {
    for (const size_t body_bytes : {100, 1024}) {
      for (const int records : {64, 1}) {
        const int64_t messages = body_bytes > 500 ? shape.messages / 2 : shape.messages;
        const std::string name = absl::StrCat("store/", shape.name, "/body:", body_bytes,
                                              "/record_messages:", records, "/messages:", messages);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [=](benchmark::State& state) {
                                       Layout(state, body_bytes, records, shape.order, messages);
                                     })
            ->Iterations(1)
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime();
      }
    }
  }
}

}  // namespace
}  // namespace barista::storage

int main(int argc, char** argv) {
  barista::storage::RegisterAll();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
