// Broker::Open on an empty directory beside a bare RocksDB open of the same column families,
// alternating.
//
//   open_bench [--rounds 11]

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/broker.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/floors/bare_rocksdb.h"

namespace barista::bench {
namespace {

// Milliseconds that `open` takes; what it opened is closed outside the measured time. Negative: it
// failed.
template <typename Open>
double Milliseconds(Open open) {
  const absl::Time start = absl::Now();
  auto opened = open();
  const absl::Duration took = absl::Now() - start;
  if (opened.ok()) return absl::ToDoubleMilliseconds(took);
  std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
  return -1;
}

int Main(int rounds) {
  ScratchDir dir;
  Sample ours, floor;
  Promise promise;
  for (int round = 0; round < rounds; ++round) {
    BrokerOptions options;
    options.data_dir = dir / absl::StrCat("broker", round);
    const double our_ms = Milliseconds([&] { return Broker::Open(options); });
    const double floor_ms =
        Milliseconds([&] { return OpenFloor(dir / absl::StrCat("bare", round)); });
    if (our_ms < 0 || floor_ms < 0) return 1;
    ours.Add(our_ms);
    floor.Add(floor_ms);
    promise.ratios.Add(our_ms / floor_ms);
  }
  promise.what = "Broker::Open on an empty directory";
  promise.measured = absl::StrCat(ours.ToString(), " ms");
  promise.floor = absl::StrCat("RocksDB open, same column families: ", floor.ToString(), " ms");
  promise.reach = 3;
  promise.at_most = true;
  return PrintRow(promise) ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  int rounds = 11;
  CLI::App app("Measures opening an empty directory against RocksDB");
  app.add_option("--rounds", rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(rounds);
}
