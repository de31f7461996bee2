#ifndef BARISTA_STATS_H_
#define BARISTA_STATS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace barista {

// How many values were how large. Plain data, for metrics: counts grow until the broker is closed.
struct HistogramStats {
  // Inclusive, ascending; in the unit that the field's comment names (times in seconds).
  std::vector<double> upper_bounds;
  // counts[i]: values in (upper_bounds[i - 1], upper_bounds[i]]; one more than bounds: the values
  // above them all. Not cumulative.
  std::vector<uint64_t> counts;
  double sum = 0;  // of the values

  uint64_t count() const {
    uint64_t all = 0;
    for (const uint64_t n : counts) all += n;
    return all;
  }
};

// Counts since Open, for metrics. Not a consistent snapshot.
struct BrokerStats {
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
  uint64_t messages_deleted = 0;
  uint64_t messages_expired = 0;  // by retention
  uint64_t messages_dead_lettered = 0;
  uint64_t bytes_sent = 0;
  uint64_t commits = 0;            // batches written
  uint64_t commit_operations = 0;  // requests in them; a batch of messages is one
  uint64_t syncs = 0;
  int64_t queues = 0;
  int64_t parked_receives = 0;
  int64_t resident_messages = 0;  // in memory: ready, in flight
  int64_t resident_bytes = 0;
  bool refusing_writes = false;  // after a failed write or sync (I10)
  bool refusing_sends = false;   // below free_space_floor_bytes

  // From a message's send to its first receive, its delay included; whole milliseconds, rounded
  // down.
  HistogramStats receive_latency;
  // From the moment a batch is taken from the intake until it is written, and synced if it has an
  // operation of durability `fsync`. Queues of durability `memory` need no batches.
  HistogramStats commit_latency;
  HistogramStats sync_latency;
  HistogramStats commit_batch_operations;  // operations of a batch
  HistogramStats commit_batch_bytes;       // bytes of a batch, as estimated when it was taken
};

// What a queue holds, or many together. Each number is exact for some moment of the call, and they
// need not be of the same one.
struct MessageCounts {
  int64_t visible = 0;    // ApproximateNumberOfMessages
  int64_t in_flight = 0;  // ApproximateNumberOfMessagesNotVisible
  int64_t delayed = 0;    // ApproximateNumberOfMessagesDelayed
  // ApproximateAgeOfOldestMessage of those that are not delayed; of `memory` queues, of the oldest
  // visible one. Looked at once a minute, so it may be of a message that has gone since. Zero if
  // there is none, or if it has not been looked at since Open.
  absl::Duration oldest_message_age;

  int64_t depth() const { return visible + in_flight + delayed; }
};

inline constexpr int kMaxSurveyedQueues = 10'000;

struct SurveyOptions {
  std::string prefix = "";  // queues whose names begin with it
  int max_queues = 100;     // of these, the deepest: [0, kMaxSurveyedQueues]
};

// What Broker::SurveyQueues saw.
struct QueueSurvey {
  struct Entry {
    std::string queue;
    MessageCounts counts;
  };
  int64_t queues = 0;          // with the prefix
  MessageCounts total;         // of them all; the age is that of the oldest
  std::vector<Entry> deepest;  // by depth, then by name; of those as deep as the last, any
};

// How the storage fares. All zero in a broker without a data directory.
struct StorageStats {
  uint64_t live_bytes = 0;  // estimate of what the living records take on disk
  uint64_t disk_bytes = 0;  // files of the database, the next three among them
  uint64_t log_bytes = 0;   // write-ahead log
  uint64_t table_bytes = 0;
  uint64_t blob_bytes = 0;
  uint64_t free_bytes = 0;  // of the file system
  uint64_t memtable_bytes = 0;
  uint64_t block_cache_bytes = 0;
  uint64_t pending_compaction_bytes = 0;  // estimate of what compaction has yet to rewrite
  uint64_t running_compactions = 0;
  uint64_t running_flushes = 0;
  bool write_stalled = false;       // now: writes are stopped or slowed down
  uint64_t write_stops = 0;         // since Open: times that writes were stopped …
  uint64_t write_slowdowns = 0;     // … or slowed down, and …
  absl::Duration write_stall_time;  // … how long writers waited for it
};

}  // namespace barista

#endif  // BARISTA_STATS_H_
