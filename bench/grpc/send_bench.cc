// `barista serve` beside the skeleton: unary SendMessage of 1 KiB at `fsync`, one message and ten
// per call, many calls in flight. Both servers are processes of their own with a fresh data
// directory for each run; runs alternate A/B/A/B; medians and spreads of the ratios of each round.
//
//   send_bench --barista build/release/bin/barista [--rounds 5] [--seconds 2] [--in-flight 256]
//   send_bench --skeleton-only

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "barista/v1/queue.pb.h"
#include "bench/common/child.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/grpc/serve_process.h"
#include "bench/grpc/skeleton.pb.h"
#include "bench/grpc/skeleton_server.h"
#include "bench/grpc/unary_load.h"

namespace barista::bench {
namespace {

struct Settings {
  std::string skeleton_dir;  // not empty: be the skeleton on this directory
  std::string barista;
  bool skeleton_only = false;
  int rounds = 5;
  double seconds = 2;
  int in_flight = 256;
  int channels = 2;
  int body_bytes = 1024;
};

int ServeSkeleton(const std::string& dir) {
  auto server = SkeletonServer::Start(dir);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", server.status().ToString().c_str());
    return 1;
  }
  std::printf("%d\n", (*server)->port());
  std::fflush(stdout);
  for (;;) pause();
}

UnaryLoad BaseLoad(const Settings& settings) {
  UnaryLoad load;
  load.in_flight = settings.in_flight;
  load.measured = absl::Seconds(settings.seconds);
  return load;
}

absl::StatusOr<UnaryLoadResult> RunSkeleton(const Settings& settings, int batch) {
  ScratchDir dir;
  auto child = Child::Spawn({"/proc/self/exe", "--skeleton", dir / "db"});
  if (!child.ok()) return child.status();
  auto port = child->ReadLine();
  if (!port.ok()) return port.status();
  SkeletonRequest request;
  request.set_queue("orders");
  for (int i = 0; i < batch; ++i) {
    request.add_messages()->set_body(std::string(settings.body_bytes, 'x'));
  }
  UnaryLoad load = BaseLoad(settings);
  load.method = "/barista.bench.Skeleton/SendMessage";
  load.request = ToByteBuffer(request);
  load.accept = [batch](grpc::ByteBuffer& bytes) {
    SkeletonReply reply;
    return FromByteBuffer(bytes, &reply) && reply.message_ids_size() == batch;
  };
  RawClient client({.address = absl::StrCat("127.0.0.1:", *port), .channels = settings.channels});
  return RunUnaryLoad(client, child->pid(), load);
}

absl::StatusOr<UnaryLoadResult> RunBarista(const Settings& settings, int batch) {
  ScratchDir dir;
  auto server = ServeProcess::Start(settings.barista, dir.path());
  if (!server.ok()) return server.status();
  RawClient client({.address = server->grpc_address(), .channels = settings.channels});
  if (auto status = CreateQueue(client, "orders", {{"Durability", "fsync"}}); !status.ok())
    return status;
  v1::SendMessageRequest request;
  request.set_queue("orders");
  for (int i = 0; i < batch; ++i) {
    request.add_entries()->set_body(std::string(settings.body_bytes, 'x'));
  }
  UnaryLoad load = BaseLoad(settings);
  load.method = "/barista.v1.QueueService/SendMessage";
  load.request = ToByteBuffer(request);
  load.accept = [batch](grpc::ByteBuffer& bytes) {
    v1::SendMessageResponse reply;
    return FromByteBuffer(bytes, &reply) && reply.results_size() == batch && reply.failed() == 0;
  };
  return RunUnaryLoad(client, server->pid(), load);
}

bool Failed(const absl::StatusOr<UnaryLoadResult>& result) {
  if (!result.ok()) std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
  return !result.ok();
}

int Main(const Settings& settings) {
  bool reached = true;
  for (const int batch : {1, 10}) {
    Sample ours, floor, our_cpu, floor_cpu;
    Promise promise;
    for (int round = 0; round < settings.rounds; ++round) {
      auto skeleton = RunSkeleton(settings, batch);
      if (Failed(skeleton)) return 1;
      floor.Add(skeleton->calls_per_second * batch);
      floor_cpu.Add(skeleton->server_us_per_call);
      if (settings.skeleton_only) continue;
      auto barista = RunBarista(settings, batch);
      if (Failed(barista)) return 1;
      ours.Add(barista->calls_per_second * batch);
      our_cpu.Add(barista->server_us_per_call);
      promise.ratios.Add(barista->calls_per_second / skeleton->calls_per_second);
    }
    promise.what = absl::StrFormat("gRPC unary send, %d B, %d per call, %d calls in flight, fsync",
                                   settings.body_bytes, batch, settings.in_flight);
    promise.measured = absl::StrCat(ours.ToString(), " messages/s, ", Compact(our_cpu.median()),
                                    " us server CPU/call");
    promise.floor = absl::StrCat("skeleton ", floor.ToString(), " messages/s, ",
                                 Compact(floor_cpu.median()), " us server CPU/call");
    promise.reach = 0.8;
    if (settings.skeleton_only) {
      absl::PrintF("%s: %s\n", promise.what, promise.floor);
    } else {
      reached = PrintRow(promise) && reached;
    }
  }
  return reached ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  CLI::App app("Measures gRPC sends against a skeleton of gRPC, one writer and RocksDB");
  app.add_option("--skeleton", settings.skeleton_dir,
                 "Be the skeleton on this directory (internal)");
  app.add_option("--barista", settings.barista, "The barista command");
  app.add_flag("--skeleton-only", settings.skeleton_only, "Measure the floor alone");
  app.add_option("--rounds", settings.rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", settings.seconds, "Measured time of each run");
  app.add_option("--in-flight", settings.in_flight, "Calls under way")->check(CLI::Range(1, 65536));
  app.add_option("--channels", settings.channels, "Connections")->check(CLI::Range(1, 1024));
  app.add_option("--body", settings.body_bytes, "Bytes of a body")->check(CLI::Range(1, 1 << 20));
  CLI11_PARSE(app, argc, argv);
  if (!settings.skeleton_dir.empty()) return barista::bench::ServeSkeleton(settings.skeleton_dir);
  if (settings.barista.empty() && !settings.skeleton_only) {
    std::fprintf(stderr, "give --barista PATH or --skeleton-only\n");
    return 2;
  }
  return barista::bench::Main(settings);
}
