#ifndef BARISTA_BROKER_H_
#define BARISTA_BROKER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/backup.h"
#include "barista/clock.h"
#include "barista/error.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "barista/queue_attributes.h"
#include "barista/queue_host.h"
#include "barista/stats.h"

namespace barista {

struct BrokerOptions {
  // Where the queues are kept; created if missing. Empty: in memory only, and every queue has the
  // durability `memory`.
  std::string data_dir = "";

  // Durability of queues that do not ask for one. Ignored (kMemory) without a data_dir.
  Durability default_durability = Durability::kFsync;

  // Memory for messages and storage buffers, in bytes: [64 MiB, 1 TiB]. Depth beyond it is kept on
  // disk (I8); queues of durability `memory` refuse sends instead.
  int64_t memory_limit_bytes = int64_t{512} << 20;

  // At most this much later the log of `os` queues is synced, [1ms, 60s].
  absl::Duration sync_interval = absl::Milliseconds(100);

  // Sends are refused with kResourceExhausted/StorageFull while the file system of data_dir has
  // less free space, in bytes. Deletes, receives and moves go on. >= 0.
  int64_t free_space_floor_bytes = int64_t{256} << 20;

  // Requests waiting to be committed may hold this much before senders are refused (callback forms)
  // or wait (blocking forms): [1 MiB, 4 GiB].
  int64_t intake_limit_bytes = int64_t{64} << 20;

  // A blocking call of a thread that finds the committer idle commits by itself, without a thread
  // hand-off.
  bool inline_commit = true;

  // No threads of ours: time passes and background work happens only inside RunOnce(), and blocking
  // sends and deletes commit inline. For tests, simulations and single-threaded programs.
  bool manual = false;

  // Opens a data directory whose log lost synced operations to corruption, giving up what was lost.
  // Otherwise Open refuses with kDataLoss/LogTruncated.
  bool accept_truncated_log = false;

  // Not owned; outlives the broker. Null: Clock::System().
  Clock* clock = nullptr;

  // Parts of the ARNs.
  std::string region = "us-east-1";
  std::string account = "000000000000";
};

// What Open found and repaired.
struct RecoveryReport {
  // Batches that were in the log but had not been synced, and were lost with the
  // machine. Never acknowledged at `fsync`.
  uint64_t unsynced_commits_dropped = 0;
  // Synced batches lost to a corrupt log; 0 unless accept_truncated_log was given.
  uint64_t synced_commits_lost = 0;
};

// A message broker: queues with the semantics of Amazon SQS, in this process. What is done with
// queues is QueueHost's. Thread-safe.
//
// Threads: a committer, a timer and a pager, beside those of the storage; none in manual mode.
// Several brokers may live in one process, each with its own data directory.
class Broker : public QueueHost {
 public:
  // Opens or creates the data directory and takes its lock. O(queues + in flight), not O(messages).
  // kFailedPrecondition/DataDirectoryInUse: another process or broker has it open.
  // kFailedPrecondition/DataDirectoryTooNew: written by a newer version. kDataLoss/LogTruncated,
  // DataCorrupt: see BrokerOptions::accept_truncated_log. kPermissionDenied: not writable.
  // kInvalidArgument/InvalidParameterValue: an option out of its range.
  static absl::StatusOr<std::unique_ptr<Broker>> Open(const BrokerOptions& options = {});

  // Ends parked receives with kFailedPrecondition/BrokerClosed, commits what was accepted, syncs,
  // and joins every thread. Later calls answer BrokerClosed. The status is that of the last sync.
  absl::Status Close() override = 0;

  // Writes a backup of all queues to `dir`, a new or an empty directory on this machine, while all
  // other work goes on. It holds what was acknowledged before the call, perhaps more, as of one
  // moment between two commits; of queues of durability `memory` their definitions. It is durable
  // when the call returns, and not there at all if the call fails; after a crash DIR.tmp may be
  // left. RestoreBackup (barista/backup.h) makes a data directory of it.
  //
  // Files that never change are shared with the data directory by hard links where both are on one
  // file system: that is fast and takes no space, but only a copy elsewhere survives the disk.
  // Space that is freed meanwhile comes back when the call returns. Close gives a backup up.
  //
  // kInvalidArgument/InvalidParameterValue: `dir` is not absolute, lies in the data directory, or
  // its parent does not exist. kAlreadyExists/DirectoryNotEmpty: there is something in it, or in
  // DIR.tmp. kResourceExhausted/BackupInProgress: one at a time. kResourceExhausted/StorageFull.
  // kPermissionDenied/DirectoryNotWritable. kUnavailable/DirectoryUnavailable: an I/O error there;
  // the broker goes on. kUnavailable/StoreUnavailable: writes are refused (I10).
  // kFailedPrecondition/UnsupportedOperation: a broker in memory. kCancelled: `progress` said so.
  // O(bytes that cannot be shared).
  virtual absl::StatusOr<BackupResult> Backup(const std::string& dir,
                                              const ProgressCallback& progress = {}) = 0;

  // O(1).
  virtual BrokerStats Stats() const = 0;
  // Counts the messages of all queues with the prefix and lists the deepest of them. O(queues), in
  // small steps that hold nobody up. kInvalidArgument/InvalidParameterValue: max_queues out of its
  // range.
  virtual absl::StatusOr<QueueSurvey> SurveyQueues(const SurveyOptions& options = {}) const = 0;
  // Asks the storage, and waits for it: some milliseconds with many files.
  virtual absl::StatusOr<StorageStats> StatStorage() const = 0;
  // Calls `answered` when all that was submitted to the committer before is committed: soon, unless
  // a write or a sync hangs. Also when the broker refuses writes or is closed. Costs no write.
  // `answered` runs on any thread, perhaps within this call, and must not block.
  virtual void Ping(std::function<void()> answered) = 0;
  virtual const RecoveryReport& recovery() const = 0;
  virtual const BrokerOptions& options() const = 0;

  // Manual mode: does all work that is due now (commits, timers, paging, sweeps) and says whether
  // there was any.
  virtual bool RunOnce() = 0;
  // Manual mode: when the next timer is due by the clock's Monotonic(); InfiniteDuration() if none.
  virtual absl::Duration NextDeadline() const = 0;

 protected:
  Broker() = default;
};

}  // namespace barista

#endif  // BARISTA_BROKER_H_
