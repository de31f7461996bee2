// Blocking sends of barista::client, whose threads share one stream, beside a unary SendMessage per
// send on the same kind of channel. One queue of durability `memory`, one message per send; the
// server is a process of its own; runs alternate A/B/A/B.
//
//   client_send_bench --barista build/release/bin/barista [--rounds 5] [--seconds 2] [--body 100]

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "barista/client.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/grpc/serve_process.h"
#include "client/queue_client.h"

namespace barista::bench {
namespace {

struct Settings {
  std::string barista;
  int rounds = 5;
  double seconds = 2;
  int body_bytes = 100;
};

// Sends per second of `threads` that each call `send` again as soon as it has returned; 0 if one
// fails.
double Measure(int threads, double seconds, absl::FunctionRef<bool()> send) {
  std::atomic<bool> stop{false};
  std::atomic<bool> failed{false};
  std::atomic<int64_t> sent{0};
  std::vector<std::thread> running;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      int64_t mine = 0;
      for (; !stop && !failed; ++mine) {
        if (!send()) failed = true;
      }
      sent += mine;
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& thread : running) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return failed ? 0 : static_cast<double>(sent) / took.count();
}

absl::Status Run(const Settings& settings, int threads) {
  const std::string body(static_cast<size_t>(settings.body_bytes), 'x');
  Sample stream, unary, ratios;
  for (int round = 0; round < settings.rounds; ++round) {
    ScratchDir dir;
    const auto server =
        ServeProcess::Start(settings.barista, dir.path(), {"--memory-limit", "8GiB"});
    if (!server.ok()) return server.status();
    const auto host = client::Connect({.server = server->grpc_address()});
    if (!host.ok()) return host.status();
    auto queue = (*host)->CreateQueue("orders", {.durability = Durability::kMemory});
    if (!queue.ok()) return queue.status();
    const auto calls =
        client::QueueClient::Open({.server = server->grpc_address()}, absl::Seconds(10));
    if (!calls.ok()) return calls.status();

    const double streamed =
        Measure(threads, settings.seconds, [&] { return queue->Send({.body = body}).ok(); });
    if (absl::Status status = queue->Purge(); !status.ok()) return status;
    const double called = Measure(threads, settings.seconds, [&] {
      v1::SendMessageRequest request;
      request.set_queue("orders");
      request.add_entries()->set_body(body);
      return (*calls)->SendMessage(request).ok();
    });
    if (streamed == 0 || called == 0) return absl::InternalError("a send failed");
    stream.Add(streamed);
    unary.Add(called);
    ratios.Add(streamed / called);
  }
  absl::PrintF("| %d | %s | %s | %s |\n", threads, stream.ToString(), unary.ToString(),
               ratios.ToString());
  return absl::OkStatus();
}

int Main(const Settings& settings) {
  absl::PrintF("Blocking sends/s, %d B, memory, one queue, one message each\n\n",
               settings.body_bytes);
  absl::PrintF("| threads | client (one stream) | a call each | ratio |\n|---|---|---|---|\n");
  for (const int threads : {1, 4, 16, 64}) {
    if (absl::Status status = Run(settings, threads); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  CLI::App app("Measures blocking sends of the client: one stream beside a call each");
  app.add_option("--barista", settings.barista, "The barista command")->required();
  app.add_option("--rounds", settings.rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", settings.seconds, "Measured time of each run");
  app.add_option("--body", settings.body_bytes, "Bytes of a body")->check(CLI::Range(1, 1 << 20));
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(settings);
}
