#ifndef BARISTA_STORAGE_STORE_H_
#define BARISTA_STORAGE_STORE_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "barista/backup.h"
#include "barista/stats.h"
#include "broker/base/ids.h"

namespace barista::storage {

// Where a stored message lies: which of how many messages of its record it is. A hint that the
// store hands out with a message (Append, Scan, Lookup) and wants back with every later operation
// on it; the rest of the engine only carries it.
struct RecordRef {
  Sequence sequence = Sequence(0);
  uint8_t index = 0;  // place in the record, from 0
  uint8_t count = 1;  // messages of the record, 1 to 64
  bool has_state =
      false;  // the record has, or may have, a row of states (leases, deleted messages) of its own
};

// What a receive leaves on disk about one message.
struct Lease {
  int64_t visible_at_ms = 0;     // wall clock: hidden until then; 0 = visible
  int64_t first_receive_ms = 0;  // wall clock; 0 = never received
  uint32_t receives = 0;
  uint32_t boot = 0;  // the boot (Store::boot) whose handle it is

  friend bool operator==(const Lease& a, const Lease& b) {
    return a.visible_at_ms == b.visible_at_ms && a.first_receive_ms == b.first_receive_ms &&
           a.receives == b.receives && a.boot == b.boot;
  }
};

// A queue's numbers, written with each batch that changes them. depth = enqueued - deleted.
struct QueueCounters {
  uint64_t next_sequence = 1;
  uint64_t low_watermark = 1;   // no message below it is alive
  uint64_t purge_sequence = 0;  // messages below it were purged
  uint64_t enqueued = 0;        // messages ever stored, delayed ones included
  uint64_t deleted = 0;         // of these: deleted, expired, moved away or purged
  uint64_t delayed = 0;         // of the living ones: rows in `delayed`

  friend bool operator==(const QueueCounters& a, const QueueCounters& b) {
    return a.next_sequence == b.next_sequence && a.low_watermark == b.low_watermark &&
           a.purge_sequence == b.purge_sequence && a.enqueued == b.enqueued &&
           a.deleted == b.deleted && a.delayed == b.delayed;
  }
};

// One atomic step of the store: operations in order, applied together or not at all. Plain data,
// self-contained: applying it is a deterministic function of the batch and the store. Views
// (records, definitions) must outlive Store::Write.
//
// Reuse one Batch: Clear() keeps its memory. Committer only.
class Batch {
 public:
  // The message `record` (broker/message/message_record.h) enters `queue` as `sequence`. Sequences
  // of one queue grow. Write fills `*ref`.
  struct Append {
    QueueId queue;
    Sequence sequence;
    absl::string_view record;
    RecordRef* ref;
  };
  // The message is gone for good. Once per message.
  struct Ack {
    QueueId queue;
    RecordRef ref;
  };
  // Overwrites the lease of a message. Write sets ref->has_state.
  struct SetLease {
    QueueId queue;
    RecordRef* ref;
    Lease lease;
  };
  // A message that enters its queue when `due_ms` (wall clock) has come. `id` makes the row unique
  // within the queue.
  struct PutDelayed {
    QueueId queue;
    int64_t due_ms;
    uint64_t id;
    absl::string_view record;
  };
  struct DeleteDelayed {
    QueueId queue;
    int64_t due_ms;
    uint64_t id;
  };
  // A message whose retention does not follow from its place in the queue: kind kSent is keyed by
  // its sent time, kDeadline by the time it expires.
  enum class ExpiryKind : uint8_t { kSent = 0, kDeadline = 1 };  // On disk: never renumber.
  struct PutExpiry {
    QueueId queue;
    ExpiryKind kind;
    int64_t at_ms;
    Sequence sequence;
  };
  struct DeleteExpiry {
    QueueId queue;
    ExpiryKind kind;
    int64_t at_ms;
    Sequence sequence;
  };
  struct PutCounters {
    QueueId queue;
    QueueCounters counters;
  };
  struct PutDefinition {
    QueueId queue;
    absl::string_view definition;
  };
  // Every message below `below`, delayed rows and expiry rows of the queue are gone.
  struct Purge {
    QueueId queue;
    Sequence below;
  };
  // The queue is gone with everything in it; its id is never used again.
  struct DropQueue {
    QueueId queue;
  };
  using Operation = std::variant<Append, Ack, SetLease, PutDelayed, DeleteDelayed, PutExpiry,
                                 DeleteExpiry, PutCounters, PutDefinition, Purge, DropQueue>;

  void Add(Operation operation) { operations_.push_back(operation); }
  void Clear() { operations_.clear(); }
  bool empty() const { return operations_.empty(); }
  const std::vector<Operation>& operations() const { return operations_; }

  // Set by the commit log: the number of this commit (1, 2, 3 …), and the newest one that is known
  // to be synced.
  uint64_t commit_number = 0;
  uint64_t last_synced_commit = 0;

 private:
  std::vector<Operation> operations_;
};

// A message as a scan finds it. `record` points into the page.
struct ScannedMessage {
  RecordRef ref;
  absl::string_view record;
  Lease lease;
};

// A message that its lease hides.
struct HiddenMessage {
  Sequence sequence;
  int64_t visible_at_ms;

  friend bool operator==(const HiddenMessage& a, const HiddenMessage& b) {
    return a.sequence == b.sequence && a.visible_at_ms == b.visible_at_ms;
  }
};

// What the store knows of a message that was received, without the message.
struct LeasedMessage {
  RecordRef ref;
  Lease lease;
};

struct Page {
  std::vector<ScannedMessage> messages;  // living ones, in sequence order
  std::vector<HiddenMessage> hidden;     // those left out for their leases, in sequence order
  Sequence next = Sequence(0);           // where the following scan starts
  bool end = false;                      // nothing lay behind the page when it was read
  std::vector<std::string> buffers;      // owns the records; never reallocated after the scan
};

struct ScanLimits {
  size_t max_messages = 1024;
  size_t max_bytes = 4 << 20;             // stops after the message that reaches it
  Sequence end = Sequence(~uint64_t{0});  // exclusive
  // Messages whose leases hide them beyond this time (wall clock) come as `hidden`. Those of which
  // nothing else is wanted are not read.
  int64_t hidden_after_ms = std::numeric_limits<int64_t>::max();
  size_t max_hidden = 64 << 10;
};

struct DelayedRow {
  int64_t due_ms;
  uint64_t id;
  std::string record;
};

struct ExpiryRow {
  Batch::ExpiryKind kind;
  int64_t at_ms;
  Sequence sequence;
};

struct StoredQueue {
  QueueId queue;
  std::string definition;
  QueueCounters counters;
};

// What a store found when it was opened.
struct Recovery {
  uint64_t last_commit = 0;               // the newest commit it holds
  uint64_t unsynced_commits_dropped = 0;  // were in the log behind it, and had not been synced
  uint64_t synced_commits_lost = 0;       // had been synced: the log is corrupt
};

// Keeps messages, their leases and the queues' definitions: durable batches in, key order out.
//
// Threads: Write is the committer's alone. Sync may run beside it. Everything else is thread-safe
// and sees each batch whole, except that Scan reads messages and leases at slightly different
// moments (its caller discards pages that a purge or an acknowledgement overtook).
//
// After a failed Write or Sync every later Write and Sync fails with kUnavailable/StoreUnavailable
// until the store is reopened (I10). A corrupt record is kDataLoss/DataCorrupt, names key and
// reason, and is never skipped.
class Store {
 public:
  virtual ~Store() = default;

  // Applies `batch` and puts it into the log. On return it survives the process, not the machine.
  virtual absl::Status Write(const Batch& batch) = 0;
  // Everything that Write returned from before the call survives the machine.
  virtual absl::Status Sync() = 0;

  // Living messages of `queue` with sequence >= `from`, at most the limits (but at least one
  // message if there is any).
  virtual absl::StatusOr<Page> Scan(QueueId queue, Sequence from,
                                    const ScanLimits& limits) const = 0;
  // The message, if it is alive. O(log n).
  virtual absl::StatusOr<std::optional<Page>> Lookup(QueueId queue, Sequence sequence) const = 0;
  // The living messages in [from, end) whose leases hide them beyond `after_ms`, in order. Reads
  // leases only.
  virtual absl::StatusOr<std::vector<HiddenMessage>> ScanHidden(QueueId queue, Sequence from,
                                                                Sequence end,
                                                                int64_t after_ms) const = 0;
  // The message's lease, if the message is alive and was ever received; reads no message. O(log n).
  virtual absl::StatusOr<std::optional<LeasedMessage>> FindLease(QueueId queue,
                                                                 Sequence sequence) const = 0;
  // The lowest living sequence >= `from`; nullopt if there is none.
  virtual absl::StatusOr<std::optional<Sequence>> FirstLive(QueueId queue, Sequence from) const = 0;
  // Delayed rows with due_ms <= `until_ms` in the order of due_ms, at most `max_rows` and about
  // `max_bytes`.
  virtual absl::StatusOr<std::vector<DelayedRow>> ScanDelayed(QueueId queue, int64_t until_ms,
                                                              size_t max_rows,
                                                              size_t max_bytes) const = 0;
  // due_ms of the first delayed row; nullopt if there is none.
  virtual absl::StatusOr<std::optional<int64_t>> FirstDelayed(QueueId queue) const = 0;
  // Expiry rows of one kind with at_ms <= `until_ms`, in order.
  virtual absl::StatusOr<std::vector<ExpiryRow>> ScanExpiry(QueueId queue, Batch::ExpiryKind kind,
                                                            int64_t until_ms,
                                                            size_t max_rows) const = 0;

  // Calls `visit` with each queue, by id, until it fails; its error is the answer then. Called
  // once, after opening.
  virtual absl::Status VisitQueues(
      const std::function<absl::Status(const StoredQueue&)>& visit) const = 0;

  // Counts the openings of this store, this one included: from 1.
  virtual uint32_t boot() const = 0;
  // 16 random bytes made with the store: the key of what must be authentic (receipt handles).
  virtual const std::string& secret() const = 0;
  virtual const Recovery& recovery() const = 0;

  // Free bytes of the file system; int64 max where there is none.
  virtual int64_t FreeSpace() const = 0;
  // The ballast is a file that holds space back for draining a full disk. Release gives the space
  // free, Restore takes it again.
  virtual void ReleaseBallast() = 0;
  virtual void RestoreBallast() = 0;

  // Gives space of purged and dropped queues, and of messages that are gone, back to the file
  // system, where it is worth the work. May take long; not on the committer.
  virtual void Reclaim() = 0;
  // A Reclaim under way ends soon, and later ones do nothing.
  virtual void StopReclaim() = 0;

  // Writes everything that Write returned from before the call, and what else a consistent state
  // needs, to the directory `dir`, durably: as Broker::Backup (barista/broker.h). One at a time.
  virtual absl::StatusOr<BackupResult> Backup(const std::string& dir,
                                              const ProgressCallback& progress) = 0;

  virtual StorageStats Stats() const = 0;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_STORE_H_
