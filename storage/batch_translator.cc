#include "storage/batch_translator.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "storage/errors.h"
#include "storage/keys.h"
#include "storage/meta_rows.h"

namespace barista::storage {
namespace {

Sequence FirstOf(const RecordRef& ref) { return Sequence(ref.sequence.value() - ref.index); }

}  // namespace

absl::Status BatchTranslator::Translate(const Batch& batch, const RowReader& reader,
                                        RowSink* sink) {
  Context context{reader, sink};
  new_run_count_ = 0;
  touched_.clear();
  cached_touched_ = nullptr;
  cached_entry_ = nullptr;
  dirty_.clear();
  leased_singles_ = false;
  for (const Batch::Operation& operation : batch.operations()) {
    absl::Status status = std::visit([&](const auto& op) { return Apply(op, context); }, operation);
    if (!status.ok()) return status;
  }
  FinishStoredRuns(sink);
  FinishNewRuns(sink);
  table_.Trim();
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::Append& op, Context&) {
  if (cached_touched_ == nullptr || cached_queue_ != op.queue) {
    const auto [it, inserted] = touched_.try_emplace(op.queue);
    if (inserted) it->second.first_new = op.sequence;
    cached_queue_ = op.queue;
    cached_touched_ = &it->second;
  }
  NewRun*& run = cached_touched_->open;
  if (run == nullptr || run->end() != op.sequence ||
      static_cast<int>(run->messages.size()) >= options_.max_run_messages ||
      run->bytes + op.record.size() > options_.max_run_bytes) {
    run = StartRun(op.queue, op.sequence);
  }
  *op.ref = RecordRef();
  op.ref->sequence = op.sequence;
  op.ref->index = static_cast<uint8_t>(run->messages.size());
  run->messages.push_back(op.record);
  run->refs.push_back(op.ref);
  run->bytes += op.record.size();
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::Ack& op, Context& context) {
  if (NewRun* run = FindNewRun(op.queue, op.ref.sequence)) {
    run->state.Kill(static_cast<int>(op.ref.sequence.value() - run->first.value()));
    return absl::OkStatus();
  }
  if (op.ref.count == 1 &&
      (!leased_singles_ || table_.Find(op.queue, op.ref.sequence) == nullptr)) {
    const Key key = Key::Message(op.queue, op.ref.sequence);
    context.sink->RemoveRun(key);
    if (op.ref.has_state) context.sink->Delete(Family::kState, key);
    return absl::OkStatus();
  }
  absl::StatusOr<RunTable::Entry*> entry = Touch(op.queue, op.ref, context);
  if (!entry.ok()) return entry.status();
  (*entry)->state.Kill(op.ref.index);
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::SetLease& op, Context& context) {
  if (NewRun* run = FindNewRun(op.queue, op.ref->sequence)) {
    const int index = static_cast<int>(op.ref->sequence.value() - run->first.value());
    if (!run->state.IsDead(index)) run->state.SetLease(index, op.lease);
  } else {
    absl::StatusOr<RunTable::Entry*> entry = Touch(op.queue, *op.ref, context);
    if (!entry.ok()) return entry.status();
    if (!(*entry)->state.IsDead(op.ref->index)) (*entry)->state.SetLease(op.ref->index, op.lease);
  }
  op.ref->has_state = true;
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::PutDelayed& op, Context& context) {
  context.sink->Put(Family::kDelayed, Key::Delayed(op.queue, op.due_ms, op.id), op.record);
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::DeleteDelayed& op, Context& context) {
  context.sink->Delete(Family::kDelayed, Key::Delayed(op.queue, op.due_ms, op.id));
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::PutExpiry& op, Context& context) {
  context.sink->Put(Family::kExpiry, Key::Expiry(op.queue, op.kind, op.at_ms, op.sequence), "");
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::DeleteExpiry& op, Context& context) {
  context.sink->Delete(Family::kExpiry, Key::Expiry(op.queue, op.kind, op.at_ms, op.sequence));
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::PutCounters& op, Context& context) {
  const auto row = EncodeCounters(op.counters);
  context.sink->Put(Family::kMeta, Key::Counters(op.queue),
                    absl::string_view(row.data(), row.size()));
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::PutDefinition& op, Context& context) {
  scratch_.assign(1, kDefinitionVersion);
  absl::StrAppend(&scratch_, op.definition);
  context.sink->Put(Family::kMeta, Key::Definition(op.queue), scratch_);
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::Purge& op, Context& context) {
  for (size_t i = 0; i < new_run_count_; ++i) {
    NewRun& run = new_runs_[i];
    if (run.queue != op.queue || run.first >= op.below) continue;
    if (run.end() <= op.below) {
      run.purged = true;
      continue;
    }
    for (uint64_t s = run.first.value(); s < op.below.value(); ++s) {
      run.state.Kill(static_cast<int>(s - run.first.value()));
    }
  }
  if (TouchedQueue* touched = FindTouched(op.queue)) touched->open = nullptr;

  // A stored run that reaches across the limit stays, with its first messages dead.
  Sequence end = op.below;
  absl::StatusOr<std::optional<RowReader::Run>> across = context.reader.FindRun(op.queue, op.below);
  if (!across.ok()) return across.status();
  if (across->has_value() && (*across)->first < op.below) {
    end = (*across)->first;
    RecordRef ref;
    ref.sequence = end;
    ref.count = static_cast<uint8_t>((*across)->count);
    absl::StatusOr<RunTable::Entry*> entry = Touch(op.queue, ref, context);
    if (!entry.ok()) return entry.status();
    for (uint64_t s = end.value(); s < op.below.value(); ++s) {
      (*entry)->state.Kill(static_cast<int>(s - end.value()));
    }
  }
  ForgetBelow(op.queue, end);
  const Key begin = Key::Queue(op.queue);
  const Key limit = Key::Message(op.queue, end);
  const Key after = Key::AfterQueue(op.queue);
  context.sink->DeleteRange(Family::kMessages, begin, limit);
  context.sink->DeleteRange(Family::kState, begin, limit);
  context.sink->DeleteRange(Family::kDelayed, begin, after);
  context.sink->DeleteRange(Family::kExpiry, begin, after);
  return absl::OkStatus();
}

absl::Status BatchTranslator::Apply(const Batch::DropQueue& op, Context& context) {
  for (size_t i = 0; i < new_run_count_; ++i) {
    if (new_runs_[i].queue == op.queue) new_runs_[i].purged = true;
  }
  if (TouchedQueue* touched = FindTouched(op.queue)) touched->open = nullptr;
  ForgetBelow(op.queue, Sequence(~uint64_t{0}));
  const Key begin = Key::Queue(op.queue);
  const Key after = Key::AfterQueue(op.queue);
  for (Family family : {Family::kMessages, Family::kState, Family::kDelayed, Family::kExpiry}) {
    context.sink->DeleteRange(family, begin, after);
  }
  context.sink->Delete(Family::kMeta, Key::Definition(op.queue));
  context.sink->Delete(Family::kMeta, Key::Counters(op.queue));
  return absl::OkStatus();
}

BatchTranslator::TouchedQueue* BatchTranslator::FindTouched(QueueId queue) {
  if (touched_.empty()) return nullptr;
  if (cached_touched_ != nullptr && cached_queue_ == queue) return cached_touched_;
  const auto it = touched_.find(queue);
  return it == touched_.end() ? nullptr : &it->second;
}

BatchTranslator::NewRun* BatchTranslator::FindNewRun(QueueId queue, Sequence sequence) {
  const TouchedQueue* touched = FindTouched(queue);
  if (touched == nullptr || sequence < touched->first_new) return nullptr;
  for (size_t i = new_run_count_; i > 0; --i) {
    NewRun& run = new_runs_[i - 1];
    if (run.queue == queue && run.first <= sequence && sequence < run.end()) return &run;
  }
  return nullptr;
}

BatchTranslator::NewRun* BatchTranslator::StartRun(QueueId queue, Sequence first) {
  if (new_run_count_ == new_runs_.size()) new_runs_.emplace_back();
  NewRun& run = new_runs_[new_run_count_++];
  run.queue = queue;
  run.first = first;
  run.bytes = 0;
  run.purged = false;
  run.messages.clear();
  run.refs.clear();
  run.state = RunState();
  return &run;
}

absl::StatusOr<RunTable::Entry*> BatchTranslator::Touch(QueueId queue, const RecordRef& ref,
                                                        Context& context) {
  const Sequence first = FirstOf(ref);
  if (cached_entry_ != nullptr && cached_entry_->queue == queue && cached_entry_->first == first) {
    return cached_entry_;
  }
  RunTable::Entry* entry = table_.Find(queue, first);
  if (entry == nullptr) {
    RunState state;
    state.count = ref.count;
    bool has_row = ref.has_state;
    if (ref.count == 1) {
      leased_singles_ = true;
    } else {
      absl::StatusOr<std::optional<RunState>> row = context.reader.ReadState(queue, first);
      if (!row.ok()) return row.status();
      has_row = row->has_value();
      if (has_row) state = *std::move(*row);
      if (state.count != ref.count) {
        return CorruptError(
            "row of message states",
            absl::StrCat("queue ", queue.value(), ", sequence ", first.value(), ": it counts ",
                         state.count, " messages instead of ", ref.count));
      }
    }
    entry = table_.Insert(queue, first, std::move(state), has_row);
  }
  if (!entry->dirty) {
    entry->dirty = true;
    dirty_.push_back(entry);
  }
  cached_entry_ = entry;
  return entry;
}

void BatchTranslator::ForgetBelow(QueueId queue, Sequence end) {
  dirty_.erase(std::remove_if(dirty_.begin(), dirty_.end(),
                              [&](const RunTable::Entry* entry) {
                                return entry->queue == queue && entry->first < end;
                              }),
               dirty_.end());
  table_.EraseBelow(queue, end);
  cached_entry_ = nullptr;
}

void BatchTranslator::FinishStoredRuns(RowSink* sink) {
  for (RunTable::Entry* entry : dirty_) {
    const Key key = Key::Message(entry->queue, entry->first);
    entry->dirty = false;
    if (entry->state.AllDead()) {
      sink->RemoveRun(key);
      if (entry->has_row) sink->Delete(Family::kState, key);
      table_.Erase(entry);
      continue;
    }
    if (!entry->state.IsInitial()) {
      EncodeRunState(entry->state, &scratch_);
      sink->Put(Family::kState, key, scratch_);
      entry->has_row = true;
    } else if (entry->has_row) {
      sink->Delete(Family::kState, key);
      entry->has_row = false;
    }
    if (entry->state.count == 1) {
      table_.Erase(entry);  // A message of its own carries all there is to know in its RecordRef.
    } else {
      table_.Settle(entry);
    }
  }
  cached_entry_ = nullptr;
}

void BatchTranslator::FinishNewRuns(RowSink* sink) {
  for (size_t i = 0; i < new_run_count_; ++i) {
    NewRun& run = new_runs_[i];
    const uint8_t count = static_cast<uint8_t>(run.messages.size());
    for (RecordRef* ref : run.refs) ref->count = count;
    run.state.count = count;
    if (run.purged || run.state.AllDead()) continue;
    const Key key = Key::Message(run.queue, run.first);
    EncodeRunHeader(run.messages, &scratch_);
    parts_.assign(1, scratch_);
    parts_.insert(parts_.end(), run.messages.begin(), run.messages.end());
    sink->PutRun(key, parts_);
    const bool has_row = !run.state.IsInitial();
    if (has_row) {
      EncodeRunState(run.state, &scratch_);
      sink->Put(Family::kState, key, scratch_);
    }
    if (count > 1) table_.Insert(run.queue, run.first, std::move(run.state), has_row);
  }
}

}  // namespace barista::storage
