// A deep queue: resident memory with many messages waiting, and the time until the broker serves
// again after SIGKILL under load. The broker is a process of its own: an embedding program (this
// one in another role), or `barista serve`. After the restart a part of the backlog is worked off,
// so that the figures include paging.
//
//   backlog_bench [--messages 1000000] [--body 1024] [--rounds 3] [--barista
//   build/release/bin/barista]

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/common/child.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/embedded/backlog.h"
#include "bench/grpc/serve_process.h"
#include "bench/load/embedded_target.h"
#include "bench/load/grpc_target.h"

namespace barista::bench {
namespace {

constexpr absl::Duration kLoadBeforeKill = absl::Milliseconds(1500);
constexpr int64_t kWorkedOff = 20'000;
constexpr double kMebi = 1 << 20;

struct Settings {
  std::string embedded_dir;  // not empty: be the embedding program on this directory
  bool fill = false;         // its role: fill, then send until killed; else: serve
  std::string barista;
  int64_t messages = 1'000'000;
  size_t body_bytes = 1024;
  int64_t memory_limit_mib = 512;  // of the embedding program
  int rounds = 3;
};

// What one round measured.
struct Round {
  double filled_mib = 0,
         filled_peak_mib = 0;     // resident with the backlog waiting; the most until then
  double serving_s = 0;           // from starting the process to the first message received
  double restarted_peak_mib = 0;  // the most until a part was worked off
};

void Say(const char* line) {
  std::puts(line);
  std::fflush(stdout);
}

// ---- The embedding program ----

absl::Status Embed(const Settings& settings) {
  BrokerOptions options;
  options.data_dir = settings.embedded_dir;
  options.memory_limit_bytes = settings.memory_limit_mib << 20;
  auto broker = Broker::Open(options);
  if (!broker.ok()) return broker.status();
  auto target = NewEmbeddedTarget(broker->get());
  if (settings.fill) {
    if (auto status = FillBacklog(*target, settings.messages, settings.body_bytes); !status.ok()) {
      return status;
    }
    Say("filled");
    SendUnderLoad(*target, settings.body_bytes, absl::Minutes(10));
  } else {
    if (auto status = target->CreateQueues({kBacklogQueue}, Durability::kFsync); !status.ok()) {
      return status;
    }
    if (auto status = WorkOff(*target, 1); !status.ok()) return status;
    Say("serving");
    if (auto status = WorkOff(*target, kWorkedOff); !status.ok()) return status;
    Say("worked");
    pause();
  }
  return absl::OkStatus();
}

absl::Status Expect(Child& child, absl::string_view word) {
  auto line = child.ReadLine();
  if (line.ok() && *line != word) return absl::InternalError(*line);
  return line.status();
}

absl::StatusOr<Round> RunEmbedded(const Settings& settings) {
  ScratchDir dir;
  Round round;
  auto child =
      Child::Spawn({"/proc/self/exe", "--embedded", dir / "data", "--fill", "--messages",
                    absl::StrCat(settings.messages), "--body", absl::StrCat(settings.body_bytes),
                    "--memory-limit", absl::StrCat(settings.memory_limit_mib)});
  if (!child.ok()) return child.status();
  if (auto status = Expect(*child, "filled"); !status.ok()) return status;
  const ProcessUsage filled = child->usage();
  round.filled_mib = static_cast<double>(filled.resident_bytes) / kMebi;
  round.filled_peak_mib = static_cast<double>(filled.peak_bytes) / kMebi;
  absl::SleepFor(kLoadBeforeKill);
  child->Stop(SIGKILL);

  const absl::Time start = absl::Now();
  auto again = Child::Spawn({"/proc/self/exe", "--embedded", dir / "data", "--memory-limit",
                             absl::StrCat(settings.memory_limit_mib)});
  if (!again.ok()) return again.status();
  if (auto status = Expect(*again, "serving"); !status.ok()) return status;
  round.serving_s = absl::ToDoubleSeconds(absl::Now() - start);
  if (auto status = Expect(*again, "worked"); !status.ok()) return status;
  round.restarted_peak_mib = static_cast<double>(again->usage().peak_bytes) / kMebi;
  return round;
}

// ---- `barista serve` ----

absl::StatusOr<Round> RunServer(const Settings& settings) {
  ScratchDir dir;
  Round round;
  auto server = ServeProcess::Start(settings.barista, dir.path());
  if (!server.ok()) return server.status();
  {
    auto target = NewGrpcTarget(server->grpc_address(), 2);
    if (!target.ok()) return target.status();
    if (auto status = FillBacklog(**target, settings.messages, settings.body_bytes); !status.ok()) {
      return status;
    }
    const ProcessUsage filled = server->child().usage();
    round.filled_mib = static_cast<double>(filled.resident_bytes) / kMebi;
    round.filled_peak_mib = static_cast<double>(filled.peak_bytes) / kMebi;
    // The sender goes on a little longer than the server.
    std::thread load([&] {
      SendUnderLoad(**target, settings.body_bytes, kLoadBeforeKill + absl::Milliseconds(100));
    });
    absl::SleepFor(kLoadBeforeKill);
    server->child().Stop(SIGKILL);
    load.join();
  }

  const absl::Time start = absl::Now();
  auto again = ServeProcess::Start(settings.barista, dir.path());
  if (!again.ok()) return again.status();
  auto target = NewGrpcTarget(again->grpc_address(), 2);
  if (!target.ok()) return target.status();
  if (auto status = (*target)->CreateQueues({kBacklogQueue}, Durability::kFsync); !status.ok()) {
    return status;
  }
  if (auto status = WorkOff(**target, 1); !status.ok()) return status;
  round.serving_s = absl::ToDoubleSeconds(absl::Now() - start);
  if (auto status = WorkOff(**target, kWorkedOff); !status.ok()) return status;
  round.restarted_peak_mib = static_cast<double>(again->child().usage().peak_bytes) / kMebi;
  return round;
}

int Main(const Settings& settings) {
  Sample filled, filled_peak, restarted_peak;
  Promise memory, serving;
  for (int i = 0; i < settings.rounds; ++i) {
    auto round = settings.barista.empty() ? RunEmbedded(settings) : RunServer(settings);
    if (!round.ok()) {
      std::fprintf(stderr, "%s\n", round.status().ToString().c_str());
      return 1;
    }
    filled.Add(round->filled_mib);
    filled_peak.Add(round->filled_peak_mib);
    restarted_peak.Add(round->restarted_peak_mib);
    memory.ratios.Add(std::max(round->filled_peak_mib, round->restarted_peak_mib));
    serving.ratios.Add(round->serving_s);
  }
  const bool small_limit = settings.memory_limit_mib < 512;
  const std::string what = absl::StrFormat(
      "%s%s, %d messages of %d B waiting", settings.barista.empty() ? "embedded" : "barista serve",
      small_limit ? absl::StrFormat(" within %d MiB", settings.memory_limit_mib) : "",
      settings.messages, settings.body_bytes);
  memory.what = what + ": peak resident memory";
  memory.measured = absl::StrCat("filled ", filled.ToString(), ", peak ", filled_peak.ToString(),
                                 ", after restart and ", kWorkedOff, " worked off ",
                                 restarted_peak.ToString(), " MiB");
  memory.floor = "-";
  // What the program has beside the broker's memory weighs more beside a small limit.
  memory.reach = static_cast<double>(settings.memory_limit_mib) * (small_limit ? 1.5 : 1.0);
  memory.unit = "MiB";
  memory.at_most = true;
  serving.what = what + ": first message after SIGKILL under load";
  serving.measured = absl::StrCat(serving.ratios.ToString(), " s");
  serving.floor = "-";
  serving.reach = 2;
  serving.unit = "s";
  serving.at_most = true;
  const bool small = PrintRow(memory), quick = PrintRow(serving);
  return small && quick ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  CLI::App app("Measures a deep queue: memory, and recovery after SIGKILL");
  app.add_option("--embedded", settings.embedded_dir, "Be the embedding program (internal)");
  app.add_flag("--fill", settings.fill, "Its role (internal)");
  app.add_option("--barista", settings.barista, "The barista command: measure `barista serve`");
  app.add_option("--messages", settings.messages, "Messages waiting")
      ->check(CLI::Range(int64_t{100'000}, int64_t{1'000'000'000}));
  app.add_option("--body", settings.body_bytes, "Bytes of a body")->check(CLI::Range(48, 1 << 20));
  app.add_option("--memory-limit", settings.memory_limit_mib,
                 "MiB that the embedding program allows the broker")
      ->check(CLI::Range(64, 1 << 20));
  app.add_option("--rounds", settings.rounds, "Rounds")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  if (!settings.embedded_dir.empty()) {
    const absl::Status status = barista::bench::Embed(settings);
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return status.ok() ? 0 : 1;
  }
  return barista::bench::Main(settings);
}
