// Send + receive + delete of a `memory` queue by one thread, in batches: what the engine costs
// where nothing is written.
//
//   memory_cycle_bench [--rounds 5] [--messages 2000000] [--body 1024] [--batch 10]

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/broker.h"
#include "bench/common/summary.h"

namespace barista::bench {
namespace {

// Messages per second; negative: something failed.
double Cycle(Queue& queue, int64_t messages, const std::string& body, int batch) {
  const std::vector<OutgoingMessage> outgoing(static_cast<size_t>(batch),
                                              OutgoingMessage{.body = body});
  std::vector<ReceiptHandle> handles;
  const absl::Time begin = absl::Now();
  for (int64_t done = 0; done < messages; done += batch) {
    for (const auto& sent : queue.SendBatch(outgoing)) {
      if (!sent.ok()) return -1;
    }
    const auto received = queue.Receive({.max_messages = batch});
    if (!received.ok() || received->size() != static_cast<size_t>(batch)) return -1;
    handles.clear();
    for (const ReceivedMessage& m : *received) handles.push_back(m.receipt_handle);
    for (const absl::Status& deleted : queue.DeleteBatch(handles)) {
      if (!deleted.ok()) return -1;
    }
  }
  return static_cast<double>(messages) / absl::ToDoubleSeconds(absl::Now() - begin);
}

int Main(int rounds, int64_t messages, int body_bytes, int batch) {
  const std::string body(static_cast<size_t>(body_bytes), 'x');
  auto broker = Broker::Open();
  auto queue = (*broker)->CreateQueue("q", {.durability = Durability::kMemory});
  if (!queue.ok() || Cycle(*queue, messages / 10, body, batch) < 0) {
    std::fprintf(stderr, "memory_cycle_bench: %s\n", queue.status().ToString().c_str());
    return 1;
  }
  Promise promise;
  Sample rates;
  for (int round = 0; round < rounds; ++round) {
    const double rate = Cycle(*queue, messages, body, batch);
    if (rate < 0) return 1;
    rates.Add(rate);
    promise.ratios.Add(rate / 1e6);
  }
  promise.what = absl::StrCat("embedded, memory, ", body_bytes,
                              " B: send + receive + delete, one thread, batches of ", batch);
  promise.measured = absl::StrCat(rates.ToString(), "/s");
  promise.floor = "-";
  promise.reach = 3;
  promise.unit = "M/s";
  return PrintRow(promise) ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  int rounds = 5;
  int64_t messages = 2'000'000;
  int body = 1024;
  int batch = 10;
  CLI::App app("Measures a queue in memory");
  app.add_option("--rounds", rounds, "Rounds")->check(CLI::Range(1, 1000));
  app.add_option("--messages", messages, "Messages of one round")->check(CLI::PositiveNumber);
  app.add_option("--body", body, "Bytes of a body")->check(CLI::Range(1, 1 << 18));
  app.add_option("--batch", batch, "Messages of a call")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(rounds, messages, body, batch);
}
