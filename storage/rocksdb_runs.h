#ifndef BARISTA_STORAGE_ROCKSDB_RUNS_H_
#define BARISTA_STORAGE_ROCKSDB_RUNS_H_

#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/snapshot.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "broker/base/ids.h"
#include "storage/batch_translator.h"
#include "storage/keys.h"
#include "storage/rocksdb_families.h"
#include "storage/run_record.h"
#include "storage/store.h"

namespace rocksdb {
class DB;
}

namespace barista::storage {

// Walks over the states of the runs of one queue that have messages in [from, end). Runs that have
// no state row are not seen. Thread-compatible. `options` gives the snapshot. Errors: as RunCursor.
//
// `end` = 2^64 - 1 means: all that there is.
class StateCursor {
 public:
  StateCursor(rocksdb::DB* db, const Families& families, QueueId queue, Sequence from, Sequence end,
              const rocksdb::ReadOptions& options);
  StateCursor(const StateCursor&) = delete;
  StateCursor& operator=(const StateCursor&) = delete;

  bool valid() const { return status_.ok() && rows_->Valid(); }
  absl::Status status() const { return status_; }
  // Only while valid().
  void Next();

  // The state at hand, while valid().
  Sequence first() const { return first_; }
  Sequence end_of_run() const { return Sequence(first_.value() + state_.count); }
  const RunState& state() const { return state_; }
  // Whether no message in [from, end), of which there is one, is visible at `after_ms`.
  bool AllHidden(int64_t after_ms) const;
  // Adds the messages in [from, end) that are hidden beyond `after_ms`.
  void AddHidden(int64_t after_ms, std::vector<HiddenMessage>* hidden) const;

 private:
  // Goes on to a state that reaches `from`, and reads it.
  void Settle();
  template <typename F>
  void ForEachHidden(int64_t after_ms, F visit) const;

  const QueueId queue_;
  const Sequence from_;
  const Sequence end_;
  const Key begin_key_;
  const Key end_key_;
  const rocksdb::Slice begin_slice_;
  const rocksdb::Slice end_slice_;
  std::unique_ptr<rocksdb::Iterator> rows_;
  absl::Status status_;
  Sequence first_ = Sequence(0);
  RunState state_;
};

// Walks over the runs of one queue that have messages in [from, end), together with their states,
// as of the moment of its construction. Thread-compatible. It keeps a snapshot and with it all rows
// of that moment, so it should not live long; `db` outlives it.
//
//   RunCursor cursor(...);
//   while (cursor.Next()) { ... }
class RunCursor {
 public:
  RunCursor(rocksdb::DB* db, const Families& families, QueueId queue, Sequence from, Sequence end);
  RunCursor(const RunCursor&) = delete;
  RunCursor& operator=(const RunCursor&) = delete;

  // Goes to the next run, first to the first one. False: there is none, or status() is an error:
  // kDataLoss/DataCorrupt, kFailedPrecondition/DataDirectoryTooNew, kUnavailable/StoreUnavailable.
  bool Next();
  absl::Status status() const { return status_; }
  // Goes past the next runs as long as their states tell that each of their messages is gone or
  // hidden beyond `after_ms`, without reading the runs; adds those hidden. Stops when there are
  // `max_hidden` of them.
  void SkipHidden(int64_t after_ms, size_t max_hidden, std::vector<HiddenMessage>* hidden);
  // The first sequence that Next has not passed.
  Sequence next() const { return next_; }

  // The run at hand, after Next. Views are good until the next call.
  Sequence first() const { return first_; }
  absl::string_view row() const;
  const RunView& run() const { return *run_; }
  const RunState& state() const { return state_; }
  bool has_state() const { return has_state_; }  // there is a row of it

 private:
  void ReadState();

  const QueueId queue_;
  const Sequence from_;
  rocksdb::ManagedSnapshot snapshot_;
  const Key end_key_;
  const rocksdb::Slice end_slice_;
  std::unique_ptr<rocksdb::Iterator> runs_;
  std::optional<StateCursor> states_;
  absl::Status status_;
  Sequence next_;
  bool at_run_ = false;  // runs_ stands at the run in front of next_
  Sequence first_ = Sequence(0);
  std::optional<RunView> run_;
  RunState state_;
  bool has_state_ = false;
};

// The rows that the translation of a batch asks for, as they are at the time of the call.
// Thread-safe. `db` and `families` are borrowed and outlive this. Errors as RunCursor's.
class DbRowReader : public RowReader {
 public:
  DbRowReader(rocksdb::DB* db, const Families& families) : db_(db), families_(families) {}

  absl::StatusOr<std::optional<RunState>> ReadState(QueueId queue, Sequence first) const override;
  absl::StatusOr<std::optional<Run>> FindRun(QueueId queue, Sequence sequence) const override;

 private:
  rocksdb::DB* const db_;
  const Families& families_;
};

// A copy of `row` whose bytes stay where they are when the string moves.
std::string PinnedCopy(absl::string_view row);

// Appends message `index` of the cursor's run to `page`. `row_copy` is a copy of cursor.row() that
// lives as long as the page.
void AddToPage(const RunCursor& cursor, int index, absl::string_view row_copy, Page* page);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_RUNS_H_
