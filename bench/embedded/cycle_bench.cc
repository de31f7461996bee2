// The engine beside its floor: send + receive + delete at `fsync` with many messages in flight,
// against a bare loop of put + SingleDelete + sync that carries as many messages per sync as the
// engine did in the same round. Rounds alternate A/B/A/B, each run in a fresh directory.
//
//   cycle_bench [--rounds 5] [--seconds 2] [--in-flight 1000] [--producers 1] [--consumers 1]
//   [--send-batch 1]

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/floors/bare_rocksdb.h"
#include "client/load/embedded_target.h"
#include "client/load/load_generator.h"
#include "client/load/report.h"

namespace barista::bench {
namespace {

using load::LoadOptions;
using load::LoadReport;

struct Settings {
  LoadOptions load;
  size_t body_bytes = 1024;
  int rounds = 5;
  double seconds = 2;
  bool verbose = false;
};

absl::StatusOr<LoadReport> RunEngine(const Settings& settings) {
  ScratchDir dir;
  BrokerOptions options;
  options.data_dir = dir / "data";
  auto broker = Broker::Open(options);
  if (!broker.ok()) return broker.status();
  auto target = load::NewEmbeddedTarget(broker->get());
  LoadOptions load = settings.load;
  load.body = settings.body_bytes;
  load.measured = absl::Seconds(settings.seconds);
  auto report = RunLoad(*target, load);
  if (report.ok() && settings.verbose) std::fputs(load::ReportText(*report).c_str(), stderr);
  if (report.ok() && !report->good()) {
    return absl::InternalError(load::ReportText(*report));
  }
  return report;
}

int Main(const Settings& settings) {
  Sample ours, floor, our_cpu, floor_cpu, batch;
  Promise promise;
  for (int round = 0; round < settings.rounds; ++round) {
    auto engine = RunEngine(settings);
    if (!engine.ok()) {
      std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
      return 1;
    }
    ScratchDir dir;
    BareLoop loop;
    loop.operations_per_sync = engine->messages_per_sync.value_or(2);
    loop.in_flight = settings.load.in_flight;
    loop.body_bytes = static_cast<int>(settings.body_bytes);
    loop.measured = absl::Seconds(settings.seconds);
    auto bare = RunBareLoop(dir / "db", loop);
    if (!bare.ok()) {
      std::fprintf(stderr, "%s\n", bare.status().ToString().c_str());
      return 1;
    }
    ours.Add(engine->completed_per_second);
    our_cpu.Add(engine->cpu_us_per_message);
    batch.Add(loop.operations_per_sync);
    floor.Add(bare->messages_per_second);
    floor_cpu.Add(bare->cpu_us_per_message);
    promise.ratios.Add(engine->completed_per_second / bare->messages_per_second);
  }
  const LoadOptions& load = settings.load;
  promise.what = absl::StrFormat(
      "embedded send + receive + delete, %d B, by %d, %d in flight, %d producer(s), %d "
      "consumer(s), "
      "fsync, mean batch %s operations",
      settings.body_bytes, load.send_batch, load.in_flight, load.producers, load.consumers,
      batch.ToString());
  promise.measured =
      absl::StrCat(ours.ToString(), " messages/s, ", Compact(our_cpu.median()), " us CPU/message");
  promise.floor = absl::StrCat("put + SingleDelete + sync, same mean batch: ", floor.ToString(),
                               " messages/s, ", Compact(floor_cpu.median()), " us CPU/message");
  promise.reach = 0.7;
  return PrintRow(promise) ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  barista::load::LoadOptions& load = settings.load;
  CLI::App app("Measures the embedded engine against a bare RocksDB loop");
  app.add_option("--rounds", settings.rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", settings.seconds, "Measured time of each run");
  app.add_option("--in-flight", load.in_flight, "Messages between send and delete");
  app.add_option("--producers", load.producers, "Sending threads");
  app.add_option("--consumers", load.consumers, "Receiving threads")->check(CLI::Range(1, 1024));
  app.add_option("--send-batch", load.send_batch, "Messages per send");
  app.add_option("--receive-batch", load.receive_batch, "Most messages per receive");
  app.add_option("--body", settings.body_bytes, "Bytes of a body");
  app.add_flag("--verbose", settings.verbose, "Report each run of the engine on standard error");
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(settings);
}
