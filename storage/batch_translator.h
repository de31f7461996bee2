#ifndef BARISTA_STORAGE_BATCH_TRANSLATOR_H_
#define BARISTA_STORAGE_BATCH_TRANSLATOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "storage/run_record.h"
#include "storage/run_table.h"
#include "storage/store.h"

namespace barista::storage {

// The families of rows; storage/README.md has their layout. On disk they are known by name.
enum class Family { kMeta, kMessages, kState, kDelayed, kExpiry };

// Takes rows, to be applied in the order of the calls. The views are the callee's only during the
// call.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void Put(Family family, absl::string_view key, absl::string_view value) = 0;
  virtual void Delete(Family family, absl::string_view key) = 0;
  // Rows of kMessages: the value is the concatenation of `parts`. A key is put once and removed at
  // most once.
  virtual void PutRun(absl::string_view key, absl::Span<const absl::string_view> parts) = 0;
  virtual void RemoveRun(absl::string_view key) = 0;
  // All keys in [begin, end).
  virtual void DeleteRange(Family family, absl::string_view begin, absl::string_view end) = 0;
};

// What the translation has to know of the rows that are stored.
class RowReader {
 public:
  virtual ~RowReader() = default;
  // The state row of the run that begins at `first`; nullopt if there is none.
  virtual absl::StatusOr<std::optional<RunState>> ReadState(QueueId queue,
                                                            Sequence first) const = 0;
  // The run that has `sequence` among its messages, dead or alive; nullopt if there is none.
  struct Run {
    Sequence first;
    int count;
  };
  virtual absl::StatusOr<std::optional<Run>> FindRun(QueueId queue, Sequence sequence) const = 0;
};

// Turns batches of message operations into rows. Messages that one batch appends to one queue
// become runs, also across the requests that the batch gathered; the acknowledgements and leases of
// one run become one row, written once per batch.
//
// Committer only. A batch whose rows are not written afterwards leaves the translator unusable: the
// store then refuses writes anyway (I10).
class BatchTranslator {
 public:
  struct Options {
    int max_run_messages = kMaxRunMessages;
    size_t max_run_bytes = 64 << 10;
    size_t max_table_entries = 65536;
    size_t max_table_leases = 524288;
  };

  explicit BatchTranslator(const Options& options)
      : options_(options), table_(options.max_table_entries, options.max_table_leases) {}

  // Gives the rows of `batch` to `sink` and fills the batch's RecordRefs. The errors are those of
  // `reader`. O(operations), a purge or drop also O(runs of the table).
  absl::Status Translate(const Batch& batch, const RowReader& reader, RowSink* sink);

  const RunTable& table() const { return table_; }

 private:
  // A run that this batch appends.
  struct NewRun {
    QueueId queue;
    Sequence first = Sequence(0);
    size_t bytes = 0;
    bool purged = false;
    std::vector<absl::string_view> messages;
    std::vector<RecordRef*> refs;
    RunState state;

    Sequence end() const { return Sequence(first.value() + messages.size()); }
  };
  // A queue that this batch appends to.
  struct TouchedQueue {
    Sequence first_new = Sequence(0);
    NewRun* open = nullptr;  // the run that the next append may continue
  };
  struct Context {
    const RowReader& reader;
    RowSink* sink;
  };

  absl::Status Apply(const Batch::Append& op, Context& context);
  absl::Status Apply(const Batch::Ack& op, Context& context);
  absl::Status Apply(const Batch::SetLease& op, Context& context);
  absl::Status Apply(const Batch::PutDelayed& op, Context& context);
  absl::Status Apply(const Batch::DeleteDelayed& op, Context& context);
  absl::Status Apply(const Batch::PutExpiry& op, Context& context);
  absl::Status Apply(const Batch::DeleteExpiry& op, Context& context);
  absl::Status Apply(const Batch::PutCounters& op, Context& context);
  absl::Status Apply(const Batch::PutDefinition& op, Context& context);
  absl::Status Apply(const Batch::Purge& op, Context& context);
  absl::Status Apply(const Batch::DropQueue& op, Context& context);

  TouchedQueue* FindTouched(QueueId queue);
  // The run of this batch that has `sequence`; null if it was stored before.
  NewRun* FindNewRun(QueueId queue, Sequence sequence);
  NewRun* StartRun(QueueId queue, Sequence first);
  // The entry of a stored run, read if the table has forgotten it. It becomes dirty.
  absl::StatusOr<RunTable::Entry*> Touch(QueueId queue, const RecordRef& ref, Context& context);
  void ForgetBelow(QueueId queue, Sequence end);
  void FinishStoredRuns(RowSink* sink);
  void FinishNewRuns(RowSink* sink);

  const Options options_;
  RunTable table_;

  // Of the batch at hand.
  std::deque<NewRun> new_runs_;  // the first new_run_count_; the rest are kept for their memory
  size_t new_run_count_ = 0;
  absl::flat_hash_map<QueueId, TouchedQueue> touched_;
  std::vector<RunTable::Entry*> dirty_;
  bool leased_singles_ = false;              // a run of one message is in dirty_
  QueueId cached_queue_;                     // of cached_touched_
  TouchedQueue* cached_touched_ = nullptr;   // the last queue appended to
  RunTable::Entry* cached_entry_ = nullptr;  // the last run touched
  std::string scratch_;
  std::vector<absl::string_view> parts_;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_BATCH_TRANSLATOR_H_
