// Which server API of this gRPC costs less on a small unary call: callbacks or completion queues?
// Server and client are two processes on one machine; variants run interleaved, in rounds; medians
// and spreads.
//
//   api_style_bench [--rounds 5] [--seconds 1] [--in-flight 256] [--channels 2] [--body 1024]
//   [--all]

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/common/child.h"
#include "bench/common/summary.h"
#include "bench/grpc/echo_servers.h"
#include "bench/grpc/skeleton.pb.h"
#include "bench/grpc/unary_load.h"

namespace barista::bench {
namespace {

struct Variant {
  const char* name;
  EchoServerOptions options;
};

std::vector<Variant> Variants(bool all) {
  using Style = EchoServerOptions::Style;
  std::vector<Variant> variants = {
      {"callback", {.style = Style::kCallback}},
      {"callback, arena per call", {.style = Style::kCallbackArena}},
      {"completion queues 1 x 1 thread",
       {.style = Style::kCompletionQueue, .completion_queues = 1}},
      {"completion queues 2 x 1 thread", {.style = Style::kCompletionQueue}},
  };
  if (all) {
    variants.push_back(
        {"callback, quota of 4 threads", {.style = Style::kCallback, .quota_threads = 4}});
    variants.push_back(
        {"completion queues 1 x 2 threads",
         {.style = Style::kCompletionQueue, .completion_queues = 1, .threads_per_queue = 2}});
    variants.push_back({"completion queues 4 x 1 thread",
                        {.style = Style::kCompletionQueue, .completion_queues = 4}});
    variants.push_back({"completion queues 2 x 1, 1024 posted",
                        {.style = Style::kCompletionQueue, .calls_per_queue = 1024}});
  }
  return variants;
}

struct Settings {
  int server = -1;  // not -1: be the server of this variant
  int rounds = 5;
  double seconds = 1;
  int in_flight = 256;
  int channels = 2;
  int client_threads = 1;
  int body_bytes = 1024;
  bool all = false;
};

int Serve(const Variant& variant) {
  auto server = StartEchoServer(variant.options);
  std::printf("%d\n", server->port());
  std::fflush(stdout);
  for (;;) pause();
}

// One round of one variant: a fresh server process, one load per batch size.
bool RunRound(const Settings& settings, int variant, const std::vector<int>& batches,
              std::vector<std::vector<UnaryLoadResult>>& results) {
  auto child = Child::Spawn({"/proc/self/exe", "--all", "--server", absl::StrCat(variant)});
  if (!child.ok()) return false;
  auto port = child->ReadLine();
  if (!port.ok()) return false;
  RawClient client({.address = absl::StrCat("127.0.0.1:", *port),
                    .channels = settings.channels,
                    .threads = settings.client_threads});
  if (!client.WaitForConnection(absl::Seconds(10))) return false;
  for (size_t i = 0; i < batches.size(); ++i) {
    SkeletonRequest request;
    request.set_queue("orders");
    for (int n = 0; n < batches[i]; ++n) {
      request.add_messages()->set_body(std::string(settings.body_bytes, 'x'));
    }
    UnaryLoad load;
    load.method = "/barista.bench.Skeleton/SendMessage";
    load.request = ToByteBuffer(request);
    load.accept = [expected = batches[i]](grpc::ByteBuffer& bytes) {
      SkeletonReply reply;
      return FromByteBuffer(bytes, &reply) && reply.message_ids_size() == expected;
    };
    load.in_flight = settings.in_flight;
    load.measured = absl::Seconds(settings.seconds);
    auto result = RunUnaryLoad(client, child->pid(), load);
    if (!result.ok()) {
      std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
      return false;
    }
    results[i].push_back(*result);
  }
  return true;
}

int Main(const Settings& settings) {
  const std::vector<Variant> variants = Variants(settings.all);
  if (settings.server >= 0) return Serve(Variants(true).at(settings.server));
  const std::vector<int> batches = {1, 10};
  // [variant][batch][round]
  std::vector<std::vector<std::vector<UnaryLoadResult>>> results(
      variants.size(), std::vector<std::vector<UnaryLoadResult>>(batches.size()));
  for (int round = 0; round < settings.rounds; ++round) {
    for (size_t v = 0; v < variants.size(); ++v) {
      if (!RunRound(settings, static_cast<int>(v), batches, results[v])) return 1;
    }
  }
  absl::PrintF("gRPC %s, unary, %d B bodies, %d in flight, %d channels, %d rounds of %g s\n\n",
               grpc::Version(), settings.body_bytes, settings.in_flight, settings.channels,
               settings.rounds, settings.seconds);
  for (size_t b = 0; b < batches.size(); ++b) {
    absl::PrintF("| %d message(s) per call | calls/s | server CPU us/call | client CPU us/call |\n",
                 batches[b]);
    absl::PrintF("|---|---|---|---|\n");
    for (size_t v = 0; v < variants.size(); ++v) {
      Sample rate, server, client;
      for (const UnaryLoadResult& result : results[v][b]) {
        rate.Add(result.calls_per_second);
        server.Add(result.server_us_per_call);
        client.Add(result.client_us_per_call);
      }
      absl::PrintF("| %s | %s | %s | %s |\n", variants[v].name, rate.ToString(), server.ToString(),
                   client.ToString());
    }
    absl::PrintF("\n");
  }
  return 0;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  CLI::App app("Compares the server APIs of gRPC on a unary call");
  app.add_option("--server", settings.server, "Be the server of this variant (internal)");
  app.add_option("--rounds", settings.rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", settings.seconds, "Measured time of each run");
  app.add_option("--in-flight", settings.in_flight, "Calls under way")->check(CLI::Range(1, 65536));
  app.add_option("--channels", settings.channels, "Connections")->check(CLI::Range(1, 1024));
  app.add_option("--client-threads", settings.client_threads, "Completion queues of the client")
      ->check(CLI::Range(1, 64));
  app.add_option("--body", settings.body_bytes, "Bytes of a body")->check(CLI::Range(1, 1 << 20));
  app.add_flag("--all", settings.all, "More settings of each API");
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(settings);
}
