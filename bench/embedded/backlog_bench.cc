// A deep queue: resident memory with many messages in it, and the time until the broker serves
// again after SIGKILL under load. The broker is a process of its own: an embedding program (this
// one in another role), or `barista serve`. After the restart a part of what waits is worked off,
// so that the figures include paging.
//
//   backlog_bench [--kind ready|group|delayed|in-flight|stuck] [--messages 1000000] [--body 1024]
//     [--rounds 3] [--memory-limit 512] [--barista build/release/bin/barista]

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/common/child.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/embedded/backlog.h"
#include "bench/grpc/serve_process.h"
#include "client/load/embedded_target.h"
#include "client/load/grpc/unary_target.h"

namespace barista::bench {
namespace {

using load::Connections;
using load::LoadTarget;
using load::SendHow;

constexpr absl::Duration kLoadBeforeKill = absl::Milliseconds(1500);
constexpr int64_t kWorkedOff = 20'000;
// Sent behind the deep part of a queue of which nothing could be received.
constexpr int64_t kWaiting = 50'000;
constexpr absl::Duration kDelay = absl::Minutes(15);
constexpr double kMebi = 1 << 20;

// What makes the queue deep.
enum class Kind {
  kReady,     // messages wait
  kGroup,     // they wait, and all are of one group
  kDelayed,   // messages are delayed by 15 minutes
  kInFlight,  // messages have been received and are not deleted
  kStuck,     // one message is held while the others are sent and deleted
};
const std::map<std::string, Kind> kKinds = {{"ready", Kind::kReady},
                                            {"group", Kind::kGroup},
                                            {"delayed", Kind::kDelayed},
                                            {"in-flight", Kind::kInFlight},
                                            {"stuck", Kind::kStuck}};

struct Settings {
  std::string embedded_dir;  // not empty: be the embedding program on this directory
  bool fill = false;         // its role: fill, then send until killed; else: serve
  std::string barista;
  std::string kind = "ready";
  int64_t messages = 1'000'000;
  size_t body_bytes = 1024;
  int64_t memory_limit_mib = 512;
  int rounds = 3;
};

// What one round measured.
struct Round {
  double filled_mib = 0,
         filled_peak_mib = 0;     // resident with the deep queue; the most until the kill
  double serving_s = 0;           // from starting the process to the first message received
  double serving_cpu_s = 0;       // what the process worked until then
  double restarted_peak_mib = 0;  // the most until a part was worked off
};

// Makes the queue deep.
absl::Status Fill(LoadTarget& target, const Settings& settings) {
  const auto send = [&](int64_t messages, const SendHow& how = {}) {
    return SendMany(target, messages, settings.body_bytes, how);
  };
  absl::Status status = CreateBacklogQueue(target);
  const absl::Time start = absl::Now();
  switch (kKinds.at(settings.kind)) {
    case Kind::kReady:
      status.Update(send(settings.messages));
      return status;
    case Kind::kGroup:
      status.Update(send(settings.messages, {.group_id = "noisy"}));
      return status;
    case Kind::kDelayed:
      status.Update(send(settings.messages, {.delay = kDelay}));
      if (absl::Now() - start > kDelay / 2) {
        status.Update(
            absl::DeadlineExceededError("the first delays are over before the last begin"));
      }
      break;
    case Kind::kInFlight:
      status.Update(send(settings.messages));
      if (status.ok()) {
        status = ReceiveMany(target, settings.messages, Then::kKeep, /*threads=*/4, /*batch=*/100);
      }
      break;
    case Kind::kStuck:
      status.Update(send(1));
      if (status.ok()) status = ReceiveMany(target, 1, Then::kKeep);
      if (status.ok()) status = PassThrough(target, settings.messages, settings.body_bytes);
      break;
  }
  if (status.ok()) status = send(kWaiting);
  return status;
}

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
  auto target = load::NewEmbeddedTarget(broker->get());
  if (settings.fill) {
    if (auto status = Fill(*target, settings); !status.ok()) return status;
    Say("filled");
    SendUnderLoad(*target, settings.body_bytes, absl::Minutes(10));
  } else {
    if (auto status = CreateBacklogQueue(*target); !status.ok()) return status;
    if (auto status = ReceiveMany(*target, 1, Then::kDelete); !status.ok()) return status;
    Say("serving");
    if (auto status = ReceiveMany(*target, kWorkedOff, Then::kDelete); !status.ok()) return status;
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
  auto child = Child::Spawn({"/proc/self/exe", "--embedded", dir / "data", "--fill", "--kind",
                             settings.kind, "--messages", absl::StrCat(settings.messages), "--body",
                             absl::StrCat(settings.body_bytes), "--memory-limit",
                             absl::StrCat(settings.memory_limit_mib)});
  if (!child.ok()) return child.status();
  if (auto status = Expect(*child, "filled"); !status.ok()) return status;
  round.filled_mib = static_cast<double>(child->usage().resident_bytes) / kMebi;
  absl::SleepFor(kLoadBeforeKill);
  round.filled_peak_mib = static_cast<double>(child->usage().peak_bytes) / kMebi;
  child->Stop(SIGKILL);

  const absl::Time start = absl::Now();
  auto again = Child::Spawn({"/proc/self/exe", "--embedded", dir / "data", "--memory-limit",
                             absl::StrCat(settings.memory_limit_mib)});
  if (!again.ok()) return again.status();
  if (auto status = Expect(*again, "serving"); !status.ok()) return status;
  round.serving_s = absl::ToDoubleSeconds(absl::Now() - start);
  round.serving_cpu_s = absl::ToDoubleSeconds(again->usage().cpu);
  if (auto status = Expect(*again, "worked"); !status.ok()) return status;
  round.restarted_peak_mib = static_cast<double>(again->usage().peak_bytes) / kMebi;
  return round;
}

// ---- `barista serve` ----

absl::StatusOr<Round> RunServer(const Settings& settings) {
  ScratchDir dir;
  Round round;
  const std::vector<std::string> flags = {"--memory-limit",
                                          absl::StrCat(settings.memory_limit_mib, "MiB")};
  auto server = ServeProcess::Start(settings.barista, dir.path(), flags);
  if (!server.ok()) return server.status();
  {
    auto connections = Connections::Open({.server = server->grpc_address()}, 2);
    if (!connections.ok()) return connections.status();
    const auto target = load::NewUnaryTarget(*std::move(connections));
    if (auto status = Fill(*target, settings); !status.ok()) return status;
    round.filled_mib = static_cast<double>(server->child().usage().resident_bytes) / kMebi;
    // The sender goes on a little longer than the server.
    std::thread load([&] {
      SendUnderLoad(*target, settings.body_bytes, kLoadBeforeKill + absl::Milliseconds(100));
    });
    absl::SleepFor(kLoadBeforeKill);
    round.filled_peak_mib = static_cast<double>(server->child().usage().peak_bytes) / kMebi;
    server->child().Stop(SIGKILL);
    load.join();
  }

  const absl::Time start = absl::Now();
  auto again = ServeProcess::Start(settings.barista, dir.path(), flags);
  if (!again.ok()) return again.status();
  auto connections = Connections::Open({.server = again->grpc_address()}, 2);
  if (!connections.ok()) return connections.status();
  const auto target = load::NewUnaryTarget(*std::move(connections));
  if (auto status = CreateBacklogQueue(*target); !status.ok()) return status;
  if (auto status = ReceiveMany(*target, 1, Then::kDelete); !status.ok()) return status;
  round.serving_s = absl::ToDoubleSeconds(absl::Now() - start);
  round.serving_cpu_s = absl::ToDoubleSeconds(again->child().usage().cpu);
  if (auto status = ReceiveMany(*target, kWorkedOff, Then::kDelete); !status.ok()) return status;
  round.restarted_peak_mib = static_cast<double>(again->child().usage().peak_bytes) / kMebi;
  return round;
}

const char* Condition(Kind kind) {
  switch (kind) {
    case Kind::kReady:
      return "waiting";
    case Kind::kGroup:
      return "in one group, waiting";
    case Kind::kDelayed:
      return "delayed";
    case Kind::kInFlight:
      return "in flight";
    case Kind::kStuck:
      return "have passed one that is held";
  }
  return "";
}

int Main(const Settings& settings) {
  Sample filled, filled_peak, restarted_peak, serving_cpu;
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
    serving_cpu.Add(round->serving_cpu_s);
  }
  const bool small_limit = settings.memory_limit_mib < 512;
  const std::string what = absl::StrFormat(
      "%s%s, %d messages of %d B %s", settings.barista.empty() ? "embedded" : "barista serve",
      small_limit ? absl::StrFormat(" within %d MiB", settings.memory_limit_mib) : "",
      settings.messages, settings.body_bytes, Condition(kKinds.at(settings.kind)));
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
  serving.measured =
      absl::StrCat(serving.ratios.ToString(), " s, ", serving_cpu.ToString(), " s of CPU");
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
  app.add_option("--kind", settings.kind, "What makes the queue deep")
      ->check(CLI::IsMember(barista::bench::kKinds));
  app.add_option("--messages", settings.messages, "Messages of the deep queue")
      ->check(CLI::Range(int64_t{100'000}, int64_t{1'000'000'000}));
  app.add_option("--body", settings.body_bytes, "Bytes of a body")->check(CLI::Range(48, 1 << 20));
  app.add_option("--memory-limit", settings.memory_limit_mib, "MiB that the broker is allowed")
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
