#ifndef BARISTA_CLIENT_LOAD_LOAD_GENERATOR_H_
#define BARISTA_CLIENT_LOAD_LOAD_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/queue_attributes.h"
#include "client/load/body_sizes.h"
#include "client/load/histogram.h"
#include "client/load/ledger.h"
#include "client/load/load_target.h"

namespace barista::load {

// What to do to a broker. A message is *in flight* from the start of its send to the end of its
// delete (without consumers: to the end of its send).
struct LoadOptions {
  int queues = 1;  // [1, 10000], used in turn
  std::string queue_prefix = "load-";
  Durability durability = Durability::kFsync;
  BodySizes body = 1024;
  int producers = 1;  // threads, [1, 1024]
  // Threads, [0, 1024]; 0: only send. Each serves a share of the queues, with one receive under way
  // at each of them; where there are more consumers than queues, several share a queue.
  int consumers = 1;
  int send_batch = 1;      // messages per send, [1, 1000], of at most kMaxBatchBytes together
  int receive_batch = 10;  // at most per receive, and per delete, [1, 1000]

  // Closed loop (rate 0): a producer sends whenever fewer than its share of `in_flight` messages
  // are in flight; measures capacity. Open loop (rate > 0): so many messages a second are due at
  // fixed times, whatever the broker does; latencies count from the time a message was *due*, so
  // that waiting for a slow broker is not left out. `in_flight` then only bounds memory.
  int in_flight = 1000;  // [producers * send_batch, kMaxInFlight]
  double rate = 0;       // [0, kMaxRate]
  // Messages stay invisible for so long, [0, 15 min] in whole milliseconds; they are due at a
  // consumer so much later.
  absl::Duration delay = absl::ZeroDuration();

  absl::Duration warm_up = absl::Milliseconds(500);  // [0, 1 h]
  absl::Duration measured = absl::Seconds(3);        // (0, 24 h]
  absl::Duration drain = absl::Seconds(30);          // patience for the last messages, [0, 1 h]

  static constexpr int kMaxQueues = 10'000;
  static constexpr int kMaxThreads = 1024;
  static constexpr int kMaxInFlight = 10'000'000;
  static constexpr double kMaxRate = 1e8;
};

// kInvalidArgument: an option out of its range; the message names it, its value and the range.
absl::Status CheckLoadOptions(const LoadOptions& options);

// How far a run is.
struct LoadProgress {
  absl::string_view phase;  // "warming up", "measuring", "draining"
  // Since the phase began, and how long it is (the drain: at most).
  absl::Duration elapsed, length;
  int64_t acknowledged = 0, completed = 0;  // messages, of the whole run
  uint64_t errors = 0;
};

// Runs about twenty times a second on the thread of RunLoad. False ends the run early: what is in
// flight is waited for, and the report is about the time until then.
using OnLoadProgress = std::function<bool(const LoadProgress&)>;

struct LoadReport {
  LoadOptions options;
  std::string target;
  absl::Duration measured;  // less than the options say if the run was ended early
  bool ended_early = false;
  double sent_per_second = 0;  // acknowledged sends, in messages
  // Messages whose last step ended: deleted, or without consumers sent.
  double completed_per_second = 0;
  double cpu_us_per_message = 0;  // of this process (an embedded broker included)
  // Nanoseconds, of messages that were due in the measured time: from due to acknowledged, from due
  // to received; and of delete calls.
  Histogram send_latency, end_to_end_latency, delete_latency;
  uint64_t send_errors = 0, receive_errors = 0, delete_errors = 0;  // of the whole run
  absl::Status first_error;
  // Operations per commit and commits per second of the engine, where it says.
  std::optional<double> mean_commit_operations, commits_per_second;
  // Messages sent plus messages deleted for each sync: what a floor with the same mean batch must
  // carry.
  std::optional<double> messages_per_sync;
  // Without consumers only acknowledged is meant.
  Ledger::Verdict verdict;
  bool good() const { return (options.consumers == 0 || verdict.exact()) && first_error.ok(); }
};

// Drives `target`, waits until everything that was acknowledged has been delivered and deleted, and
// judges. Takes warm_up + measured + up to drain. The queues should be empty; they are left.
//
// An error of a send, a receive or a delete that another one may not have (kResourceExhausted, or
// of one entry) is counted, and the run goes on; any other ends it early, and is the result if it
// says that there is no broker (any more): kUnavailable, kDeadlineExceeded. kInvalidArgument as
// CheckLoadOptions. The errors of creating the queues.
absl::StatusOr<LoadReport> RunLoad(LoadTarget& target, const LoadOptions& options,
                                   const OnLoadProgress& on_progress = {});

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_LOAD_GENERATOR_H_
