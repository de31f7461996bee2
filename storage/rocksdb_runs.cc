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

Key EndKey(QueueId queue, Sequence end) {
  return end == Sequence(~uint64_t{0}) ? Key::AfterQueue(queue) : Key::Message(queue, end);
}

}  // namespace

StateCursor::StateCursor(rocksdb::DB* db, const Families& families, QueueId queue, Sequence from,
                         Sequence end, const rocksdb::ReadOptions& options)
    : queue_(queue),
      from_(from),
      end_(end),
      begin_key_(Key::Message(queue, LowestFirst(from))),
      end_key_(EndKey(queue, end)),
      begin_slice_(ToSlice(begin_key_)),
      end_slice_(ToSlice(end_key_)) {
  rocksdb::ReadOptions bounded = options;
  bounded.iterate_lower_bound = &begin_slice_;
  bounded.iterate_upper_bound = &end_slice_;
  rows_.reset(db->NewIterator(bounded, HandleOf(families, Family::kState)));
  rows_->Seek(begin_slice_);
  Settle();
}

void StateCursor::Next() {
  rows_->Next();
  Settle();
}

void StateCursor::Settle() {
  for (; rows_->Valid(); rows_->Next()) {
    QueueId queue;
    if (!ParseMessageKey(ToView(rows_->key()), &queue, &first_)) {
      status_ = CorruptError("a key of the family state", "it has another form");
      return;
    }
    absl::StatusOr<RunState> state = DecodeRunState(ToView(rows_->value()));
    if (!state.ok()) {
      status_ = CorruptRow(queue_, first_, state.status());
      return;
    }
    state_ = *std::move(state);
    if (end_of_run() > from_) return;
  }
  status_ = FromReadStatus(rows_->status());
}

template <typename F>
void StateCursor::ForEachHidden(int64_t after_ms, F visit) const {
  for (const RunState::MessageLease& entry : state_.leases) {
    const Sequence sequence(first_.value() + entry.index);
    if (entry.lease.visible_at_ms > after_ms && sequence >= from_ && sequence < end_)
      visit(sequence, entry.lease.visible_at_ms);
  }
}

bool StateCursor::AllHidden(int64_t after_ms) const {
  const uint64_t first = first_.value();
  const uint64_t begin = std::max(from_.value(), first) - first;
  const uint64_t end = std::min<uint64_t>(end_.value() - first, state_.count);
  const uint64_t in_range = RunState::AllBits(static_cast<int>(end - begin)) << begin;
  int visible = __builtin_popcountll(in_range & ~state_.dead);
  ForEachHidden(after_ms, [&](Sequence, int64_t) { --visible; });
  return visible == 0;
}

void StateCursor::AddHidden(int64_t after_ms, std::vector<HiddenMessage>* hidden) const {
  ForEachHidden(after_ms, [&](Sequence sequence, int64_t visible_at_ms) {
    hidden->push_back({sequence, visible_at_ms});
  });
}

RunCursor::RunCursor(rocksdb::DB* db, const Families& families, QueueId queue, Sequence from,
                     Sequence end)
    : queue_(queue),
      from_(from),
      snapshot_(db),
      end_key_(EndKey(queue, end)),
      end_slice_(ToSlice(end_key_)),
      next_(from) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_.snapshot();
  states_.emplace(db, families, queue, from, end, options);
  options.iterate_upper_bound = &end_slice_;
  runs_.reset(db->NewIterator(options, HandleOf(families, Family::kMessages)));
}

bool RunCursor::Next() {
  if (status_.ok()) status_ = states_->status();
  if (!status_.ok()) return false;
  if (at_run_) {
    runs_->Next();
  } else {
    runs_->Seek(ToSlice(Key::Message(queue_, next_ == from_ ? LowestFirst(from_) : next_)));
  }
  at_run_ = true;
  for (; runs_->Valid(); runs_->Next()) {
    QueueId queue;
    if (!ParseMessageKey(ToView(runs_->key()), &queue, &first_)) {
      status_ = CorruptError("a key of the family messages", "it has another form");
      return false;
    }
    absl::StatusOr<RunView> run = RunView::Parse(row());
    if (!run.ok()) {
      status_ = CorruptRow(queue_, first_, run.status());
      return false;
    }
    const Sequence end(first_.value() + static_cast<uint64_t>(run->count()));
    if (end <= from_) continue;
    run_ = *run;
    next_ = end;
    ReadState();
    return status_.ok();
  }
  if (runs_->status().IsCorruption()) {
    status_ = CorruptError(absl::StrCat("the database, queue ", queue_.value(), ", sequence ",
                                        next_.value(), " or behind it,"),
                           runs_->status().ToString());
  } else {
    status_ = FromReadStatus(runs_->status());
  }
  return false;
}

absl::string_view RunCursor::row() const { return ToView(runs_->value()); }

void RunCursor::ReadState() {
  while (states_->valid() && states_->first() < first_) states_->Next();
  status_ = states_->status();
  if (!status_.ok()) return;
  has_state_ = states_->valid() && states_->first() == first_;
  state_ = RunState();
  state_.count = static_cast<uint8_t>(run_->count());
  if (!has_state_) return;
  if (states_->state().count != run_->count()) {
    status_ = CorruptRow(queue_, first_,
                         CorruptError("row of message states",
                                      absl::StrCat("it counts ", states_->state().count,
                                                   " messages instead of ", run_->count())));
    return;
  }
  state_ = states_->state();
}

void RunCursor::SkipHidden(int64_t after_ms, size_t max_hidden,
                           std::vector<HiddenMessage>* hidden) {
  for (; states_->valid() && hidden->size() < max_hidden; states_->Next()) {
    if (states_->end_of_run() <= next_) continue;
    // (Before the first state there may be a run without one.)
    if (states_->first() > next_ || !states_->AllHidden(after_ms)) return;
    states_->AddHidden(after_ms, hidden);
    next_ = states_->end_of_run();
    at_run_ = false;
  }
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
  absl::StatusOr<RunView> run = RunView::Parse(ToView(runs->value()));
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
