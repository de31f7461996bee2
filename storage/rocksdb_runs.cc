#include "storage/rocksdb_runs.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/errors.h"
#include "storage/rocksdb_rows.h"
#include "storage/rocksdb_slice.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {
namespace {

// The first sequence that a run with `sequence` in it can begin with.
Sequence LowestFirst(Sequence sequence) {
  constexpr uint64_t kReach = kMaxRunMessages - 1;
  return Sequence(sequence.value() > kReach ? sequence.value() - kReach : 0);
}

}  // namespace

RunCursor::RunCursor(rocksdb::DB* db, const Families& families, QueueId queue, Sequence from,
                     Sequence end)
    : queue_(queue),
      from_(from),
      snapshot_(db),
      begin_key_(Key::Message(queue, LowestFirst(from))),
      end_key_(end == Sequence(~uint64_t{0}) ? Key::AfterQueue(queue) : Key::Message(queue, end)),
      begin_(ToSlice(begin_key_)),
      end_(ToSlice(end_key_)) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_.snapshot();
  options.iterate_lower_bound = &begin_;
  options.iterate_upper_bound = &end_;
  states_.reset(db->NewIterator(options, HandleOf(families, Family::kState)));
  // A run has a checksum of its own, which covers its key. RocksDB's of blobs, where it is built
  // for any processor, costs more than all the rest of a read.
  options.verify_checksums = false;
  runs_.reset(db->NewIterator(options, HandleOf(families, Family::kMessages)));
  runs_->Seek(begin_);
  states_->Seek(begin_);
  Settle();
}

void RunCursor::Next() {
  runs_->Next();
  Settle();
}

absl::string_view RunCursor::row() const { return ToView(runs_->value()); }

void RunCursor::Settle() {
  for (; runs_->Valid(); runs_->Next()) {
    QueueId queue;
    if (!ParseMessageKey(ToView(runs_->key()), &queue, &first_)) {
      status_ = CorruptError("a key of the family messages", "it has another form");
      return;
    }
    absl::StatusOr<RunView> run = RunView::Parse(ToView(runs_->key()), row());
    if (!run.ok()) {
      status_ = CorruptRow(queue_, first_, run.status());
      return;
    }
    if (first_.value() + static_cast<uint64_t>(run->count()) <= from_.value()) continue;
    run_ = *run;
    ReadState();
    return;
  }
  status_ = FromReadStatus(runs_->status());
}

void RunCursor::ReadState() {
  while (states_->Valid() && states_->key().compare(runs_->key()) < 0) states_->Next();
  if (!states_->status().ok()) {
    status_ = FromReadStatus(states_->status());
    return;
  }
  has_state_ = states_->Valid() && states_->key() == runs_->key();
  state_ = RunState();
  state_.count = static_cast<uint8_t>(run_->count());
  if (!has_state_) return;
  absl::StatusOr<RunState> state = DecodeRunState(ToView(states_->value()));
  if (state.ok() && state->count != run_->count()) {
    state = CorruptError(
        "row of message states",
        absl::StrCat("it counts ", state->count, " messages instead of ", run_->count()));
  }
  if (!state.ok()) {
    status_ = CorruptRow(queue_, first_, state.status());
    return;
  }
  state_ = *std::move(state);
}

absl::StatusOr<std::optional<RunState>> DbRowReader::ReadState(QueueId queue,
                                                               Sequence first) const {
  rocksdb::PinnableSlice row;
  const rocksdb::Status status =
      db_->Get(rocksdb::ReadOptions(), HandleOf(families_, Family::kState),
               ToSlice(Key::Message(queue, first)), &row);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return FromReadStatus(status);
  absl::StatusOr<RunState> state = DecodeRunState(ToView(row));
  if (!state.ok()) return CorruptRow(queue, first, state.status());
  return *std::move(state);
}

absl::StatusOr<std::optional<RowReader::Run>> DbRowReader::FindRun(QueueId queue,
                                                                   Sequence sequence) const {
  const Key begin_key = Key::Message(queue, LowestFirst(sequence));
  const rocksdb::Slice begin = ToSlice(begin_key);
  rocksdb::ReadOptions options;
  options.iterate_lower_bound = &begin;
  const std::unique_ptr<rocksdb::Iterator> runs(
      db_->NewIterator(options, HandleOf(families_, Family::kMessages)));
  runs->SeekForPrev(ToSlice(Key::Message(queue, sequence)));
  if (!runs->Valid()) {
    if (!runs->status().ok()) return FromReadStatus(runs->status());
    return std::nullopt;
  }
  Run found;
  QueueId found_queue;
  if (!ParseMessageKey(ToView(runs->key()), &found_queue, &found.first)) {
    return CorruptError("a key of the family messages", "it has another form");
  }
  absl::StatusOr<RunView> run = RunView::Parse(ToView(runs->key()), ToView(runs->value()));
  if (!run.ok()) return CorruptRow(queue, found.first, run.status());
  found.count = run->count();
  if (found.first.value() + static_cast<uint64_t>(found.count) <= sequence.value())
    return std::nullopt;
  return found;
}

std::string PinnedCopy(absl::string_view row) {
  std::string copy;
  copy.reserve(std::max<size_t>(row.size(), 64));
  copy.append(row.data(), row.size());
  return copy;
}

void AddToPage(const RunCursor& cursor, int index, absl::string_view row_copy, Page* page) {
  const absl::string_view message = cursor.run().message(index);
  ScannedMessage& scanned = page->messages.emplace_back();
  scanned.ref.sequence = Sequence(cursor.first().value() + static_cast<uint64_t>(index));
  scanned.ref.index = static_cast<uint8_t>(index);
  scanned.ref.count = static_cast<uint8_t>(cursor.run().count());
  scanned.ref.has_state = cursor.has_state();
  scanned.record =
      row_copy.substr(static_cast<size_t>(message.data() - cursor.row().data()), message.size());
  scanned.lease = cursor.state().GetLease(index);
  page->next = Sequence(scanned.ref.sequence.value() + 1);
}

}  // namespace barista::storage
