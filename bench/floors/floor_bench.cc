// The floors, alone: what the disk and RocksDB give without a broker. Google Benchmark; the names
// say the body and the operations per sync.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/common/scratch_dir.h"
#include "bench/floors/bare_rocksdb.h"

namespace barista::bench {
namespace {

// One thread: put + SingleDelete + sync, `range(0)` operations per sync (half of them puts), 1,000
// messages in flight.
void PutSingleDeleteFsync(benchmark::State& state) {
  ScratchDir dir;
  BareLoopResult result;
  int runs = 0;
  for (auto _ : state) {
    BareLoop loop;
    loop.operations_per_sync = static_cast<double>(state.range(0));
    auto run = RunBareLoop(dir / std::to_string(runs++), loop);
    if (!run.ok()) {
      state.SkipWithError(run.status().ToString().c_str());
      return;
    }
    result = *run;
  }
  state.counters["messages/s"] = result.messages_per_second;
  state.counters["cpu_us/message"] = result.cpu_us_per_message;
  state.counters["syncs/s"] = result.syncs_per_second;
}
BENCHMARK(PutSingleDeleteFsync)
    ->Name("floor/put_single_delete/fsync/body:1024/in_flight:1000/operations_per_sync")
    ->Arg(2)
    ->Arg(20)
    ->Arg(200)
    ->Arg(1000)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// Opening an empty directory with the engine's column families.
void OpenEmpty(benchmark::State& state) {
  ScratchDir dir;
  int runs = 0;
  for (auto _ : state) {
    auto bare = OpenFloor(dir / std::to_string(runs++));
    if (!bare.ok()) {
      state.SkipWithError(bare.status().ToString().c_str());
      return;
    }
    state.PauseTiming();
    bare->reset();
    state.ResumeTiming();
  }
}
BENCHMARK(OpenEmpty)
    ->Name("floor/open_empty")
    ->Iterations(5)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace barista::bench

BENCHMARK_MAIN();
