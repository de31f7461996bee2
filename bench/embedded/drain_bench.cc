// Receiving and deleting what waits: from a queue that lies on disk for the most part, beside one
// that is short enough to be in memory.
//
//   drain_bench [--rounds 5] [--messages 1000000] [--short 50000] [--body 1024] [--consumers 64]
//
// Consumers receive and delete by 10, at `fsync`, each waiting for its deletes; the same number of
// messages is drained from the deep queue and, in several fillings, from the short one.

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/broker.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"

namespace barista::bench {
namespace {

constexpr int kBatch = 10;
constexpr absl::Duration kPatience = absl::Minutes(1);

struct Settings {
  int rounds = 5;
  int64_t messages = 1'000'000;
  int64_t short_messages = 50'000;
  size_t body_bytes = 1024;
  int consumers = 64;
};

// Sends `messages`, by 100 and 16 at a time.
bool Fill(Queue& queue, int64_t messages, size_t body_bytes) {
  const std::string body(body_bytes, 'b');
  const std::vector<OutgoingMessage> batch(100, OutgoingMessage{.body = body});
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      while (next.fetch_add(100) < messages && !failed) {
        for (const auto& sent : queue.SendBatch(batch)) {
          if (!sent.ok()) failed = true;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return !failed;
}

// One consumer without a thread: each callback asks for the next.
class Consumer {
 public:
  Consumer(Queue queue, std::atomic<int64_t>* left, std::atomic<int>* running)
      : queue_(std::move(queue)), left_(left), running_(running) {}

  void Receive() {
    queue_.ReceiveAsync({.max_messages = kBatch, .wait = absl::Seconds(1)},
                        [this](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                          if (!batch.ok()) return End(batch.status());
                          if (batch->empty()) return Next();
                          handles_.clear();
                          for (const ReceivedMessage& m : *batch) {
                            handles_.push_back(m.receipt_handle);
                          }
                          queue_.DeleteBatchAsync(handles_, [this](std::vector<absl::Status> all) {
                            for (const absl::Status& status : all) {
                              if (!status.ok()) return End(status);
                            }
                            *left_ -= static_cast<int64_t>(all.size());
                            Next();
                          });
                        });
  }

  // Once nothing runs.
  const absl::Status& status() const { return status_; }

 private:
  void Next() {
    if (*left_ > 0) return Receive();
    End(absl::OkStatus());
  }
  void End(const absl::Status& status) {
    status_ = status;
    --*running_;
  }

  Queue queue_;
  std::vector<ReceiptHandle> handles_;
  std::atomic<int64_t>* const left_;
  std::atomic<int>* const running_;
  absl::Status status_;
};

// Seconds until `messages` are drained.
absl::StatusOr<double> Drain(Queue& queue, int64_t messages, int consumers) {
  std::atomic<int64_t> left{messages};
  std::atomic<int> running{consumers};
  std::vector<std::unique_ptr<Consumer>> all;
  const absl::Time begin = absl::Now();
  for (int i = 0; i < consumers; ++i) {
    all.push_back(std::make_unique<Consumer>(queue, &left, &running));
    all.back()->Receive();
  }
  // A disk may stand still for seconds; what does not come in a minute is lost.
  int64_t left_before = messages;
  absl::Time progress = begin;
  while (left > 0 && running > 0 && absl::Now() - progress < kPatience) {
    absl::SleepFor(absl::Milliseconds(1));
    if (left == left_before) continue;
    left_before = left;
    progress = absl::Now();
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  const int64_t missing = left;
  left = 0;  // ends those who wait
  while (running > 0) absl::SleepFor(absl::Milliseconds(1));
  for (const auto& consumer : all) {
    if (!consumer->status().ok()) return consumer->status();
  }
  if (missing > 0) return absl::DataLossError(absl::StrCat(missing, " messages never came"));
  return seconds;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "drain_bench: %s\n", status.ToString().c_str());
  return 1;
}

int Main(const Settings& settings) {
  Sample deep_rates, short_rates;
  Promise promise;
  for (int round = 0; round < settings.rounds; ++round) {
    ScratchDir dir;
    auto broker = Broker::Open({.data_dir = dir / "data"});
    if (!broker.ok()) return 1;
    auto deep = (*broker)->CreateQueue("deep");
    auto small = (*broker)->CreateQueue("short");
    if (!deep.ok() || !small.ok() || !Fill(*deep, settings.messages, settings.body_bytes)) return 1;
    const auto deep_s = Drain(*deep, settings.messages, settings.consumers);
    if (!deep_s.ok()) return Fail(deep_s.status());
    double short_s = 0;
    for (int64_t done = 0; done < settings.messages; done += settings.short_messages) {
      if (!Fill(*small, settings.short_messages, settings.body_bytes)) return 1;
      const auto seconds = Drain(*small, settings.short_messages, settings.consumers);
      if (!seconds.ok()) return Fail(seconds.status());
      short_s += *seconds;
    }
    const double messages = static_cast<double>(settings.messages);
    deep_rates.Add(messages / *deep_s);
    short_rates.Add(messages / short_s);
    promise.ratios.Add(short_s / *deep_s);
    std::fprintf(stderr, "round %d of %d: %.2f x\n", round + 1, settings.rounds, short_s / *deep_s);
  }
  promise.what = absl::StrCat("embedded, fsync, ", settings.body_bytes, " B: drain of ",
                              settings.messages, " messages, by ", kBatch);
  promise.measured = absl::StrCat(deep_rates.ToString(), "/s");
  promise.floor =
      absl::StrCat("from a queue of ", settings.short_messages, ": ", short_rates.ToString(), "/s");
  promise.reach = 0.7;
  return PrintRow(promise) ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  CLI::App app("Measures the drain of a deep queue beside a short one");
  app.add_option("--rounds", settings.rounds, "Rounds")->check(CLI::Range(1, 1000));
  app.add_option("--messages", settings.messages, "Messages of the deep queue")
      ->check(CLI::Range(int64_t{100'000}, int64_t{1'000'000'000}));
  app.add_option("--short", settings.short_messages, "Messages of the short queue")
      ->check(CLI::Range(int64_t{1000}, int64_t{60'000}));
  app.add_option("--body", settings.body_bytes, "Bytes of a body")->check(CLI::Range(1, 1 << 18));
  app.add_option("--consumers", settings.consumers, "Consumers")->check(CLI::Range(1, 10'000));
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(settings);
}
