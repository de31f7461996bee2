#ifndef BARISTA_BENCH_LOAD_LOAD_GENERATOR_H_
#define BARISTA_BENCH_LOAD_LOAD_GENERATOR_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/queue_attributes.h"
#include "bench/load/histogram.h"
#include "bench/load/ledger.h"
#include "bench/load/load_target.h"

namespace barista::bench {

// What to do to a broker. A message is *in flight* from the start of its send to the end of its
// delete (without consumers: to the end of its send).
struct LoadOptions {
  int queues = 1;  // [1, 10000], used in turn
  std::string queue_prefix = "load-";
  Durability durability = Durability::kFsync;
  size_t body_bytes = 1024;  // [48, 1 MiB]
  int producers = 1;         // threads, [1, 1024]
  int consumers = 1;  // threads, each with one receive under way at a time, [0, 1024]; 0: only send
  int send_batch = 1;      // messages per send, [1, 1000]
  int receive_batch = 10;  // at most per receive, and per delete, [1, 1000]

  // Closed loop (rate 0): a producer sends whenever fewer than its share of `in_flight` messages
  // are in flight; measures capacity. Open loop (rate > 0): so many messages a second are due at
  // fixed times, whatever the broker does; latencies count from the time a message was *due*, so
  // that waiting for a slow broker is not left out. `in_flight` then only bounds memory.
  int in_flight = 1000;  // at least producers * send_batch
  double rate = 0;

  absl::Duration warm_up = absl::Milliseconds(500);
  absl::Duration measured = absl::Seconds(3);
  absl::Duration drain = absl::Seconds(30);  // patience for the last messages
};

struct LoadReport {
  LoadOptions options;
  std::string target;
  double sent_per_second = 0;  // acknowledged sends, in messages
  double completed_per_second =
      0;  // messages whose last step ended: deleted, or without consumers sent
  double cpu_us_per_message = 0;  // of this process (an embedded broker included)
  // Nanoseconds, of messages that were due in the measured time: from due to acknowledged, from due
  // to received; and of delete calls.
  Histogram send_latency, end_to_end_latency, delete_latency;
  uint64_t send_errors = 0, receive_errors = 0, delete_errors = 0;  // of the whole run
  std::string first_error;
  // Operations per commit and commits per second of the engine, where it says.
  std::optional<double> mean_commit_operations, commits_per_second;
  // Messages sent plus messages deleted for each sync: what a floor with the same mean batch must
  // carry.
  std::optional<double> messages_per_sync;
  // Without consumers only acknowledged is meant.
  Ledger::Verdict verdict;
  bool good() const { return (options.consumers == 0 || verdict.exact()) && first_error.empty(); }
};

// Drives `target`, waits until everything that was acknowledged has been delivered and deleted, and
// judges. Takes warm_up + measured + up to drain. The queues should be empty. kInvalidArgument: an
// option out of its range.
absl::StatusOr<LoadReport> RunLoad(LoadTarget& target, const LoadOptions& options);

// For people; and one JSON object on one line. Both name durability, body, batches, queues,
// producers, consumers, depth, and the machine, where `dir` is the broker's.
std::string ReportText(const LoadReport& report, const std::string& dir);
std::string ReportJson(const LoadReport& report, const std::string& dir);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_LOAD_LOAD_GENERATOR_H_
