#include "client/load/load_generator.h"

#include <time.h>

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
#include "client/load/credits.h"
#include "client/load/inbox.h"

namespace barista::load {
namespace {

// How long threads sleep at most before they look whether the run has ended.
constexpr absl::Duration kLook = absl::Milliseconds(50);
// Of a receive: a waiting receive costs nothing, and EndReceives ends it.
constexpr absl::Duration kReceiveWait = absl::Seconds(20);
// After a call that failed.
constexpr absl::Duration kPause = absl::Milliseconds(10);

int64_t NowNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// Of all threads of this process.
absl::Duration ProcessorTime() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

// Whether other calls will fail like this one.
bool EndsRun(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
      return true;
    default:
      return false;
  }
}

// One run. Threads: `producers` and `consumers` of ours; callbacks on those of the target.
class LoadRun {
 public:
  LoadRun(LoadTarget& target, const LoadOptions& options, const OnLoadProgress& on_progress)
      : target_(target),
        options_(options),
        on_progress_(on_progress),
        ledger_(options.producers, MessageText(std::random_device()(), options.body)) {
    // A producer waits for a batch of credits; its share is whole batches and at least one.
    const int share = options.in_flight / options.producers / options.send_batch;
    for (int i = 0; i < options.producers; ++i) {
      producers_.push_back(std::make_unique<Producer>(std::max(1, share) * options.send_batch));
    }
    for (int i = 0; i < options.consumers; ++i) consumers_.push_back(std::make_unique<Consumer>());
  }

  absl::StatusOr<LoadReport> Run() {
    std::vector<std::string> names;
    names.reserve(static_cast<size_t>(options_.queues));
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
    Measure(start, report);
    for (std::thread& thread : producers) thread.join();
    Drain();
    draining_.store(true, std::memory_order_relaxed);
    if (!consumers.empty()) target_.EndReceives();
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
      if (absl::IsUnavailable(end_) || absl::IsDeadlineExceeded(end_)) return end_;
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
    std::atomic<bool> failed{false};  // a send failed since the producer looked; relaxed
  };
  struct Received {
    size_t queue = 0;
    absl::StatusOr<std::unique_ptr<ReceivedBatch>> batch;
  };
  struct alignas(64) Consumer {
    Inbox<Received> inbox;
    Histogram end_to_end, delete_latency;
  };

  // ---- Producers ----

  void Produce(int index, int64_t start) {
    Producer& self = *producers_[index];
    const int batch = options_.send_batch;
    const double interval_ns =
        options_.rate > 0 ? 1e9 * batch * options_.producers / options_.rate : 0;
    // Open loop: producers are evenly out of step.
    const double phase_ns = interval_ns * index / options_.producers;
    const size_t longest = options_.body.most();
    std::vector<char> bytes(longest * static_cast<size_t>(batch));
    std::vector<absl::string_view> bodies(static_cast<size_t>(batch));
    SendHow how;
    how.delay = options_.delay;
    how.producer = index;
    uint64_t number = 0;
    size_t queue = static_cast<size_t>(index) % static_cast<size_t>(options_.queues);
    for (uint64_t round = 0; number + static_cast<uint64_t>(batch) <= NumberSet::kLimit; ++round) {
      int64_t due = 0;
      if (interval_ns > 0) {
        due = start + static_cast<int64_t>(phase_ns + static_cast<double>(round) * interval_ns);
        if (!WaitUntilDue(due)) return;
      }
      if (self.failed.exchange(false, std::memory_order_relaxed)) absl::SleepFor(kPause);
      if (!TakeCredits(self)) return;
      if (interval_ns == 0) {
        due = NowNs();
        if (due >= window_end_ns()) {
          self.credits.Give(batch);
          return;
        }
      }
      const LoadMessage first{static_cast<uint32_t>(index), number, due};
      for (int i = 0; i < batch; ++i) {
        char* body = bytes.data() + longest * static_cast<size_t>(i);
        const LoadMessage message{first.producer, number++, due};
        ledger_.Sent(message);
        bodies[static_cast<size_t>(i)] =
            absl::string_view(body, ledger_.text().Write(message, body));
      }
      callbacks_.fetch_add(1, std::memory_order_relaxed);
      target_.Send(queue, bodies, how, [this, first](const std::vector<absl::Status>& statuses) {
        OnSent(first, statuses);
        EndCallback();
      });
      queue = (queue + 1) % static_cast<size_t>(options_.queues);
    }
  }

  // False if the window ends before.
  bool WaitUntilDue(int64_t due) const {
    for (;;) {
      if (due >= window_end_ns()) return false;
      const int64_t ahead = due - NowNs();
      if (ahead <= 0) return true;
      absl::SleepFor(std::min(absl::Nanoseconds(ahead), kLook));
    }
  }

  // False at the end of the window, also when nothing is acknowledged any more.
  bool TakeCredits(Producer& self) {
    for (;;) {
      const absl::Duration left = absl::Nanoseconds(window_end_ns() - NowNs());
      if (self.credits.Take(options_.send_batch, std::min(left, kLook))) return true;
      if (left <= kLook && NowNs() >= window_end_ns()) return false;
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
        NoteError(send_errors_, status);
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
    if (failed > 0) producer.failed.store(true, std::memory_order_relaxed);
    if (ended > 0) producer.credits.Give(ended);
  }

  // ---- Consumers ----

  void Consume(int index) {
    Consumer& self = *consumers_[index];
    // As many receives are under way as it serves queues.
    size_t under_way = 0;
    const auto queues = static_cast<size_t>(options_.queues);
    const auto consumers = static_cast<size_t>(options_.consumers);
    for (size_t queue = static_cast<size_t>(index) % queues; queue < queues; queue += consumers) {
      StartReceive(self, index, queue);
      ++under_way;
    }
    while (under_way > 0) {
      Received received = self.inbox.Take();
      const bool failed = !received.batch.ok();
      if (failed) {
        NoteError(receive_errors_, received.batch.status());
      } else if ((*received.batch)->size() > 0) {
        DeleteReceived(self, received.queue, *std::move(received.batch));
      }
      if (draining_.load(std::memory_order_relaxed)) {
        --under_way;
        continue;
      }
      if (failed) absl::SleepFor(kPause);
      StartReceive(self, index, received.queue);
    }
  }

  // The callback runs on another thread, or inside Receive.
  void StartReceive(Consumer& self, int index, size_t queue) {
    ReceiveHow how;
    how.max_messages = options_.receive_batch;
    how.wait = kReceiveWait;
    how.consumer = index;
    target_.Receive(queue, how,
                    [&self, queue](absl::StatusOr<std::unique_ptr<ReceivedBatch>> batch) {
                      self.inbox.Put({queue, std::move(batch)});
                    });
  }

  void DeleteReceived(Consumer& self, size_t queue, std::unique_ptr<ReceivedBatch> batch) {
    const int64_t now = NowNs();
    std::vector<std::pair<uint32_t, int>> shares;  // producer, messages: to give credits back
    for (size_t i = 0; i < batch->size(); ++i) {
      const auto message = ledger_.Delivered(batch->body(i));
      if (!message.has_value()) continue;
      if (InWindow(message->intended_ns)) {
        const int64_t due = message->intended_ns + absl::ToInt64Nanoseconds(options_.delay);
        self.end_to_end.Record(static_cast<uint64_t>(std::max<int64_t>(0, now - due)));
      }
      if (shares.empty() || shares.back().first != message->producer) {
        shares.emplace_back(message->producer, 0);
      }
      ++shares.back().second;
    }
    callbacks_.fetch_add(1, std::memory_order_relaxed);
    target_.Delete(
        queue, std::move(batch),
        [this, &self, now, shares = std::move(shares)](const std::vector<absl::Status>& statuses) {
          int deleted = 0;
          for (const absl::Status& status : statuses) {
            if (status.ok()) {
              ++deleted;
            } else {
              NoteError(delete_errors_, status);
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

  // ---- The thread of RunLoad ----

  void Measure(int64_t run_start_ns, LoadReport& report) {
    Wait("warming up", run_start_ns, options_.warm_up);
    const int64_t start = NowNs();
    const int64_t acknowledged = acknowledged_.load(), completed = completed_.load();
    const absl::Duration cpu = ProcessorTime();
    const auto stats = target_.Stats();
    Wait("measuring", window_start_ns_, options_.measured);
    report.ended_early = ended_early_;
    const int64_t end = NowNs();
    report.measured = absl::Nanoseconds(end - start);
    // Of a run that was ended before there was anything to measure: nothing in an eternity.
    const double seconds =
        report.measured < absl::Milliseconds(1) ? 1e9 : static_cast<double>(end - start) / 1e9;
    const double messages = static_cast<double>(completed_.load() - completed);
    report.completed_per_second = messages / seconds;
    report.sent_per_second = static_cast<double>(acknowledged_.load() - acknowledged) / seconds;
    report.cpu_us_per_message =
        absl::ToDoubleMicroseconds(ProcessorTime() - cpu) / std::max(messages, 1.0);
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

  // Until the phase is over, or the run is ended early: then the window ends now.
  void Wait(absl::string_view phase, int64_t start_ns, absl::Duration length) {
    while (!ended_early_) {
      const absl::Duration elapsed = absl::Nanoseconds(NowNs() - start_ns);
      if (elapsed >= length) return;
      if (!GoesOn(phase, elapsed, length)) {
        ended_early_ = true;
        window_end_ns_.store(NowNs(), std::memory_order_relaxed);
        return;
      }
      absl::SleepFor(std::min(length - elapsed, kLook));
    }
  }

  // Until every acknowledged message was delivered and deleted, or patience is at its end.
  void Drain() {
    const int64_t start = NowNs();
    const absl::Duration patience = options_.drain + options_.delay;
    const auto done = [this] {
      return callbacks_.load(std::memory_order_acquire) == 0 &&
             (options_.consumers == 0 || ledger_.outstanding() <= 0);
    };
    for (int64_t turn = 0; !done(); ++turn) {
      const absl::Duration elapsed = absl::Nanoseconds(NowNs() - start);
      if (elapsed >= patience) return;
      if (turn % 50 == 0 && !GoesOn("draining", elapsed, patience) && cannot_go_on()) return;
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  void WaitForCallbacks() {
    while (callbacks_.load(std::memory_order_acquire) != 0) absl::SleepFor(absl::Milliseconds(1));
  }

  // Tells how far the run is; whether it may go on.
  bool GoesOn(absl::string_view phase, absl::Duration elapsed, absl::Duration length) {
    const absl::Status failure = target_.failure();
    {
      std::lock_guard<std::mutex> lock(error_mutex_);
      end_.Update(failure);
      first_error_.Update(failure);
      if (!end_.ok()) return false;
    }
    if (!on_progress_) return true;
    LoadProgress progress;
    progress.phase = phase;
    progress.elapsed = elapsed;
    progress.length = length;
    progress.acknowledged = acknowledged_.load(std::memory_order_relaxed);
    progress.completed = completed_.load(std::memory_order_relaxed);
    progress.errors = send_errors_.load(std::memory_order_relaxed) +
                      receive_errors_.load(std::memory_order_relaxed) +
                      delete_errors_.load(std::memory_order_relaxed);
    return on_progress_(progress);
  }

  bool cannot_go_on() {
    std::lock_guard<std::mutex> lock(error_mutex_);
    return !end_.ok();
  }
  int64_t window_end_ns() const { return window_end_ns_.load(std::memory_order_relaxed); }
  bool InWindow(int64_t ns) const { return ns >= window_start_ns_ && ns < window_end_ns(); }
  // The last thing that a callback does: the run may end when none is left.
  void EndCallback() { callbacks_.fetch_sub(1, std::memory_order_release); }

  void NoteError(std::atomic<uint64_t>& counter, const absl::Status& status) {
    counter.fetch_add(1, std::memory_order_relaxed);
    std::lock_guard<std::mutex> lock(error_mutex_);
    first_error_.Update(status);
    if (EndsRun(status)) end_.Update(status);
  }

  LoadTarget& target_;
  const LoadOptions options_;
  const OnLoadProgress& on_progress_;
  Ledger ledger_;
  std::vector<std::unique_ptr<Producer>> producers_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  int64_t window_start_ns_ = 0;            // set before the threads start
  std::atomic<int64_t> window_end_ns_{0};  // moved forward by the end of the run alone; relaxed
  bool ended_early_ = false;               // of the thread of RunLoad
  // Counters, relaxed.
  std::atomic<int64_t> acknowledged_{0}, completed_{0};
  std::atomic<uint64_t> send_errors_{0}, receive_errors_{0}, delete_errors_{0};
  // Callbacks that will still run. Released at the end of each, acquired by Drain and
  // WaitForCallbacks: what the callbacks wrote is complete when it is 0.
  std::atomic<int64_t> callbacks_{0};
  std::atomic<bool> draining_{false};  // tells consumers to end; relaxed
  std::mutex error_mutex_;             // guards what follows
  absl::Status first_error_;
  absl::Status end_;  // why the run cannot go on
};

}  // namespace

absl::StatusOr<LoadReport> RunLoad(LoadTarget& target, const LoadOptions& options,
                                   const OnLoadProgress& on_progress) {
  if (auto status = CheckLoadOptions(options); !status.ok()) return status;
  return LoadRun(target, options, on_progress).Run();
}

}  // namespace barista::load
