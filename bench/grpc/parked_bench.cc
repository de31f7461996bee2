// `barista serve` with many receives that wait: its memory, and its processor time while nothing
// happens.
//
//   parked_bench --barista build/release/bin/barista [--receives 10000] [--streams] [--rounds 5]

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/v1/queue.pb.h"
#include "bench/common/child.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/grpc/frame_stream.h"
#include "bench/grpc/serve_process.h"

namespace barista::bench {
namespace {

constexpr int kConnections = 20;

struct Settings {
  std::string barista;
  int receives = 10'000;
  bool streams = false;
  int rounds = 5;
  double seconds = 5;
};

struct Round {
  double resident_mb = 0;  // 10^6 bytes
  double cpu_share = 0;    // of one core
};

// Long polls of one queue. They end with the server.
void ParkCalls(RawClient& client, int receives) {
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  request.mutable_wait()->set_seconds(3600);
  const grpc::ByteBuffer bytes = ToByteBuffer(request);
  for (int i = 0; i < receives; ++i) {
    client.Call("/barista.v1.QueueService/ReceiveMessage", bytes, absl::InfiniteFuture(),
                [](const grpc::Status&, grpc::ByteBuffer&) {});
  }
}

std::vector<std::unique_ptr<FrameStream>> ParkStreams(const std::string& address, int receives) {
  v1::ConsumeStreamRequest request;
  request.mutable_start()->set_queue("orders");
  request.set_credit(1);
  const grpc::ByteBuffer bytes = ToByteBuffer(request);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < kConnections; ++i) channels.push_back(ConnectTo(address));
  std::vector<std::unique_ptr<FrameStream>> streams;
  for (int i = 0; i < receives; ++i) {
    streams.push_back(std::make_unique<FrameStream>(
        channels[static_cast<size_t>(i) % channels.size()],
        "/barista.v1.QueueService/ConsumeStream", [](grpc::ByteBuffer&) {}));
    streams.back()->Write(bytes);
  }
  return streams;
}

// The broker's own count of receives that wait.
int64_t Parked(const std::string& admin_address) {
  return static_cast<int64_t>(ScrapeOf(admin_address, "barista_parked_receives"));
}

absl::StatusOr<Round> Run(const Settings& settings) {
  ScratchDir dir;
  auto server = ServeProcess::Start(settings.barista, dir.path());
  if (!server.ok()) return server.status();
  RawClient client({.address = server->grpc_address(), .channels = kConnections});
  if (auto status = CreateQueue(client, "orders", {}); !status.ok()) return status;
  std::vector<std::unique_ptr<FrameStream>> streams;
  if (settings.streams) {
    streams = ParkStreams(server->grpc_address(), settings.receives);
  } else {
    ParkCalls(client, settings.receives);
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (Parked(server->admin_address()) < settings.receives) {
    if (absl::Now() > deadline) return absl::DeadlineExceededError("not all receives are parked");
    absl::SleepFor(absl::Milliseconds(50));
  }
  absl::SleepFor(absl::Seconds(1));  // what was begun to park them ends
  const absl::Duration before = UsageOf(server->pid()).cpu;
  const absl::Time begin = absl::Now();
  absl::SleepFor(absl::Seconds(settings.seconds));
  const ProcessUsage usage = UsageOf(server->pid());
  Round round;
  round.resident_mb = static_cast<double>(usage.resident_bytes) / 1e6;
  round.cpu_share = absl::FDivDuration(usage.cpu - before, absl::Now() - begin);
  server->child().Stop(SIGKILL);  // ends the calls
  return round;
}

int Main(const Settings& settings) {
  Promise memory, cpu;
  for (int i = 0; i < settings.rounds; ++i) {
    const auto round = Run(settings);
    if (!round.ok()) {
      std::fprintf(stderr, "%s\n", round.status().ToString().c_str());
      return 1;
    }
    memory.ratios.Add(round->resident_mb);
    cpu.ratios.Add(round->cpu_share * 100);
  }
  const std::string what =
      absl::StrCat("barista serve, ", settings.receives,
                   settings.streams ? " idle ConsumeStreams: " : " parked receives: ");
  memory.what = absl::StrCat(what, "resident memory");
  memory.measured = absl::StrCat(memory.ratios.ToString(), " MB");
  memory.reach = 300;
  memory.unit = "MB";
  cpu.what = absl::StrCat(what, "processor time while nothing happens");
  cpu.measured = absl::StrCat(cpu.ratios.ToString(), " % of a core");
  cpu.reach = 2;
  cpu.unit = "%";
  bool reached = true;
  for (Promise* promise : {&memory, &cpu}) {
    promise->floor = "-";
    promise->at_most = true;
    reached = PrintRow(*promise) && reached;
  }
  return reached ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  CLI::App app("Measures what receives that wait cost barista serve");
  app.add_option("--barista", settings.barista, "The barista command")->required();
  app.add_option("--receives", settings.receives, "Receives that wait")
      ->check(CLI::Range(1, 1'000'000));
  app.add_flag("--streams", settings.streams, "By a ConsumeStream each, not a ReceiveMessage");
  app.add_option("--rounds", settings.rounds, "Rounds")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", settings.seconds, "Measured time of each round");
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(settings);
}
