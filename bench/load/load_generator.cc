#include "bench/load/load_generator.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/common/child.h"
#include "bench/load/credits.h"

namespace barista::bench {
namespace {

int64_t NowNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

absl::Status CheckRange(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, "; it must be in [", low, ", ", high, "]"));
}

absl::Status Check(const LoadOptions& options) {
  for (const absl::Status& status :
       {CheckRange("queues", options.queues, 1, 10000),
        CheckRange("body", static_cast<double>(options.body_bytes), MessageText::kHeaderBytes,
                   1 << 20),
        CheckRange("producers", options.producers, 1, 1024),
        CheckRange("consumers", options.consumers, 0, 1024),
        CheckRange("send batch", options.send_batch, 1, 1000),
        CheckRange("receive batch", options.receive_batch, 1, 1000),
        CheckRange("in flight", options.in_flight,
                   static_cast<double>(options.producers) * options.send_batch, 1e8),
        CheckRange("rate", options.rate, 0, 1e8)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// One run. Threads: `producers` and `consumers` of ours; callbacks on those of the target.
class LoadRun {
 public:
  LoadRun(LoadTarget& target, const LoadOptions& options)
      : target_(target),
        options_(options),
        ledger_(options.producers, MessageText(std::random_device()(), options.body_bytes)) {
    // A producer waits for a batch of credits; its share is whole batches and at least one.
    const int share = options.in_flight / options.producers / options.send_batch;
    for (int i = 0; i < options.producers; ++i) {
      producers_.push_back(std::make_unique<Producer>(std::max(1, share) * options.send_batch));
    }
    for (int i = 0; i < options.consumers; ++i) consumers_.push_back(std::make_unique<Consumer>());
  }

  absl::StatusOr<LoadReport> Run() {
    std::vector<std::string> names;
    for (int i = 0; i < options_.queues; ++i) {
      names.push_back(absl::StrCat(options_.queue_prefix, i));
    }
    if (auto status = target_.CreateQueues(
            names, {{"Durability", std::string(DurabilityName(options_.durability))}});
        !status.ok()) {
      return status;
    }

    const int64_t start = NowNs();
    window_start_ns_ = start + absl::ToInt64Nanoseconds(options_.warm_up);
    window_end_ns_ = window_start_ns_ + absl::ToInt64Nanoseconds(options_.measured);
    std::vector<std::thread> consumers, producers;
    for (int i = 0; i < options_.consumers; ++i) {
      consumers.emplace_back([this, i] { Consume(i); });
    }
    for (int i = 0; i < options_.producers; ++i) {
      producers.emplace_back([this, i, start] { Produce(i, start); });
    }

    LoadReport report;
    report.options = options_;
    report.target = target_.name();
    Measure(report);
    for (std::thread& thread : producers) thread.join();
    Drain();
    draining_.store(true, std::memory_order_relaxed);
    for (std::thread& thread : consumers) thread.join();
    WaitForCallbacks();

    for (const auto& producer : producers_) report.send_latency.Merge(producer->latency);
    for (const auto& consumer : consumers_) {
      report.end_to_end_latency.Merge(consumer->end_to_end);
      report.delete_latency.Merge(consumer->delete_latency);
    }
    report.send_errors = send_errors_.load();
    report.receive_errors = receive_errors_.load();
    report.delete_errors = delete_errors_.load();
    {
      std::lock_guard<std::mutex> lock(error_mutex_);
      report.first_error = first_error_;
    }
    report.verdict = ledger_.Judge();
    return report;
  }

 private:
  struct alignas(64) Producer {
    explicit Producer(int share) : credits(share) {}
    Credits credits;  // messages that may still be put in flight
    Histogram latency;
  };
  struct alignas(64) Consumer {
    Histogram end_to_end, delete_latency;
  };

  void Produce(int index, int64_t start) {
    Producer& self = *producers_[index];
    const int batch = options_.send_batch;
    const double interval_ns =
        options_.rate > 0 ? 1e9 * batch * options_.producers / options_.rate : 0;
    // Open loop: producers are evenly out of step.
    const double phase_ns = interval_ns * index / options_.producers;
    std::vector<char> bytes(options_.body_bytes * static_cast<size_t>(batch));
    std::vector<absl::string_view> bodies(static_cast<size_t>(batch));
    uint64_t number = 0;
    size_t queue = static_cast<size_t>(index) % static_cast<size_t>(options_.queues);
    for (uint64_t round = 0;; ++round) {
      int64_t due = 0;
      if (interval_ns > 0) {
        due = start + static_cast<int64_t>(phase_ns + static_cast<double>(round) * interval_ns);
        if (due >= window_end_ns_) return;
        if (const int64_t ahead = due - NowNs(); ahead > 0) {
          absl::SleepFor(absl::Nanoseconds(ahead));
        }
      }
      // Ends at the end of the window also when nothing is acknowledged any more.
      if (!self.credits.Take(batch, absl::Nanoseconds(window_end_ns_ - NowNs()))) return;
      if (interval_ns == 0) {
        due = NowNs();
        if (due >= window_end_ns_) {
          self.credits.Give(batch);
          return;
        }
      }
      LoadMessage first{static_cast<uint32_t>(index), number, due};
      for (int i = 0; i < batch; ++i) {
        char* body = bytes.data() + options_.body_bytes * static_cast<size_t>(i);
        const LoadMessage message{first.producer, number++, due};
        ledger_.text().Write(message, body);
        ledger_.Sent(message);
        bodies[static_cast<size_t>(i)] = absl::string_view(body, options_.body_bytes);
      }
      callbacks_.fetch_add(1, std::memory_order_relaxed);
      target_.Send(queue, bodies, SendHow(), [this, first](std::vector<absl::Status> statuses) {
        OnSent(first, statuses);
        EndCallback();
      });
      queue = (queue + 1) % static_cast<size_t>(options_.queues);
    }
  }

  void OnSent(LoadMessage message, const std::vector<absl::Status>& statuses) {
    Producer& producer = *producers_[message.producer];
    const int64_t now = NowNs();
    int failed = 0, sent = 0;
    for (const absl::Status& status : statuses) {
      if (status.ok()) {
        ledger_.Acknowledged(message);
        ++sent;
      } else {
        ++failed;
        NoteError(send_errors_, "send", status);
      }
      ++message.number;
    }
    if (InWindow(message.intended_ns)) {
      for (int i = 0; i < sent; ++i) {
        producer.latency.Record(
            static_cast<uint64_t>(std::max<int64_t>(0, now - message.intended_ns)));
      }
    }
    acknowledged_.fetch_add(sent, std::memory_order_relaxed);
    // What failed will not be deleted by a consumer.
    const int ended = options_.consumers == 0 ? sent + failed : failed;
    if (options_.consumers == 0) completed_.fetch_add(sent, std::memory_order_relaxed);
    if (ended > 0) producer.credits.Give(ended);
  }

  void Consume(int index) {
    Consumer& self = *consumers_[index];
    constexpr absl::Duration kWait = absl::Milliseconds(200);
    size_t queue = static_cast<size_t>(index) % static_cast<size_t>(options_.queues);
    while (!draining_.load(std::memory_order_relaxed)) {
      // The callback runs on another thread, or inside Receive.
      Credits received(0);
      absl::StatusOr<std::unique_ptr<ReceivedBatch>> batch;
      // With fewer consumers than queues each must look at several, so it cannot wait long at one.
      const absl::Duration wait =
          options_.consumers >= options_.queues ? kWait : kWait / (4 * options_.queues);
      target_.Receive(queue, options_.receive_batch, wait,
                      [&](absl::StatusOr<std::unique_ptr<ReceivedBatch>> result) {
                        batch = std::move(result);
                        received.Give(1);
                      });
      received.Take(1, absl::InfiniteDuration());
      if (!batch.ok()) {
        NoteError(receive_errors_, "receive", batch.status());
        absl::SleepFor(absl::Milliseconds(10));
      } else if ((*batch)->size() > 0) {
        DeleteReceived(self, queue, *std::move(batch));
      }
      queue =
          (queue + static_cast<size_t>(options_.consumers)) % static_cast<size_t>(options_.queues);
    }
  }

  void DeleteReceived(Consumer& self, size_t queue, std::unique_ptr<ReceivedBatch> batch) {
    const int64_t now = NowNs();
    std::vector<std::pair<uint32_t, int>> shares;  // producer, messages: to give credits back
    for (size_t i = 0; i < batch->size(); ++i) {
      const auto message = ledger_.Delivered(batch->body(i));
      if (!message.has_value()) continue;
      if (InWindow(message->intended_ns)) {
        self.end_to_end.Record(
            static_cast<uint64_t>(std::max<int64_t>(0, now - message->intended_ns)));
      }
      if (shares.empty() || shares.back().first != message->producer) {
        shares.emplace_back(message->producer, 0);
      }
      ++shares.back().second;
    }
    callbacks_.fetch_add(1, std::memory_order_relaxed);
    target_.Delete(
        queue, std::move(batch),
        [this, &self, now, shares = std::move(shares)](std::vector<absl::Status> statuses) {
          int deleted = 0;
          for (const absl::Status& status : statuses) {
            if (status.ok()) {
              ++deleted;
            } else {
              NoteError(delete_errors_, "delete", status);
            }
          }
          completed_.fetch_add(deleted, std::memory_order_relaxed);
          if (InWindow(now)) self.delete_latency.Record(static_cast<uint64_t>(NowNs() - now));
          for (const auto& [producer, messages] : shares) {
            producers_[producer]->credits.Give(messages);
          }
          EndCallback();
        });
  }

  void Measure(LoadReport& report) {
    SleepUntil(window_start_ns_);
    const int64_t start = NowNs();
    const int64_t acknowledged = acknowledged_.load(), completed = completed_.load();
    const absl::Duration cpu = UsageOf(0).cpu;
    const auto stats = target_.Stats();
    SleepUntil(window_end_ns_);
    const double seconds = static_cast<double>(NowNs() - start) / 1e9;
    const double messages = static_cast<double>(completed_.load() - completed);
    report.completed_per_second = messages / seconds;
    report.sent_per_second = static_cast<double>(acknowledged_.load() - acknowledged) / seconds;
    report.cpu_us_per_message =
        absl::ToDoubleMicroseconds(UsageOf(0).cpu - cpu) / std::max(messages, 1.0);
    if (const auto after = target_.Stats(); stats.has_value() && after->commits > stats->commits) {
      const auto commits = static_cast<double>(after->commits - stats->commits);
      report.mean_commit_operations =
          static_cast<double>(after->commit_operations - stats->commit_operations) / commits;
      report.commits_per_second = commits / seconds;
      if (after->syncs > stats->syncs) {
        report.messages_per_sync =
            static_cast<double>(after->messages_sent - stats->messages_sent +
                                after->messages_deleted - stats->messages_deleted) /
            static_cast<double>(after->syncs - stats->syncs);
      }
    }
  }

  // Until every acknowledged message was delivered and deleted, or patience is at its end.
  void Drain() {
    const absl::Time deadline = absl::Now() + options_.drain;
    const auto done = [this] {
      return callbacks_.load(std::memory_order_acquire) == 0 &&
             (options_.consumers == 0 || ledger_.outstanding() <= 0);
    };
    while (!done() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
  }

  void WaitForCallbacks() {
    while (callbacks_.load(std::memory_order_acquire) != 0) absl::SleepFor(absl::Milliseconds(1));
  }

  bool InWindow(int64_t ns) const { return ns >= window_start_ns_ && ns < window_end_ns_; }
  static void SleepUntil(int64_t ns) {
    absl::SleepFor(absl::Nanoseconds(std::max<int64_t>(0, ns - NowNs())));
  }
  // The last thing that a callback does: the run may end when none is left.
  void EndCallback() { callbacks_.fetch_sub(1, std::memory_order_release); }

  void NoteError(std::atomic<uint64_t>& counter, const char* what, const absl::Status& status) {
    counter.fetch_add(1, std::memory_order_relaxed);
    std::lock_guard<std::mutex> lock(error_mutex_);
    if (first_error_.empty()) first_error_ = absl::StrCat(what, ": ", status.ToString());
  }

  LoadTarget& target_;
  const LoadOptions options_;
  Ledger ledger_;
  std::vector<std::unique_ptr<Producer>> producers_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  int64_t window_start_ns_ = 0, window_end_ns_ = 0;  // set before the threads start
  // Counters, relaxed.
  std::atomic<int64_t> acknowledged_{0}, completed_{0};
  std::atomic<uint64_t> send_errors_{0}, receive_errors_{0}, delete_errors_{0};
  // Callbacks that will still run. Released at the end of each, acquired by Drain and
  // WaitForCallbacks: what the callbacks wrote is complete when it is 0.
  std::atomic<int64_t> callbacks_{0};
  std::atomic<bool> draining_{false};  // tells consumers to end; relaxed
  std::mutex error_mutex_;
  std::string first_error_;  // guarded by error_mutex_
};

}  // namespace

absl::StatusOr<LoadReport> RunLoad(LoadTarget& target, const LoadOptions& options) {
  if (auto status = Check(options); !status.ok()) return status;
  return LoadRun(target, options).Run();
}

}  // namespace barista::bench
