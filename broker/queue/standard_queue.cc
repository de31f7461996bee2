#include "broker/queue/standard_queue.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/message/attributes.h"
#include "broker/queue/receive_call.h"

namespace barista::internal {

using core::MsgId;
using core::Slot;
using core::State;

namespace {

// Sequences of one boot are above those of all boots before it, also of those that were lost with
// an unsynced log: a receipt handle for a lost message fits no other (I6).
storage::QueueCounters StartBoot(storage::QueueCounters counters, uint32_t boot) {
  constexpr int kSequenceBits = 40;
  counters.next_sequence = std::max(counters.next_sequence, uint64_t{boot} << kSequenceBits);
  return counters;
}

}  // namespace

StandardQueue::StandardQueue(Engine* engine, QueueId id, Definition definition,
                             const storage::QueueCounters& counters)
    : engine_(engine),
      id_(id),
      name_(definition->name),
      durability_(*definition->attributes.durability),
      counters_(StartBoot(counters, engine->boot)),
      first_sequence_of_boot_(counters_.next_sequence) {
  ApplyDefinition(definition);
  pending_definition_ = std::move(definition);
  cursor_ = Sequence(counters_.low_watermark);
  published_next_ = Sequence(counters_.next_sequence);
  published_shown_.store(counters_.next_sequence);
  cursor_shown_.store(cursor_.value());
  spilled_.store(counters_.enqueued - counters_.deleted > counters_.delayed);
  low_watermark_stale_ = counters_.low_watermark < counters_.next_sequence;
  PublishCounters();
}

StandardQueue::~StandardQueue() = default;

absl::Status StandardQueue::CheckOpen() const {
  if (engine_->closed.load(std::memory_order_acquire)) return BrokerClosed();
  if (deleted()) return QueueDoesNotExist(name_);
  return absl::OkStatus();
}

absl::StatusOr<Receipt> StandardQueue::Open(const ReceiptHandle& handle) const {
  const std::optional<Receipt> receipt = OpenReceipt(handle, engine_->receipt_key);
  if (receipt.has_value() && receipt->queue == id_) return *receipt;
  const std::string text = handle.ToString();
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      absl::StrCat("The input receipt handle \"", text, "\" is not a valid receipt handle."),
      {.reason = "ReceiptHandleIsInvalid",
       .field = "ReceiptHandle",
       .value = text,
       .limit = "a handle of this queue"});
}

void StandardQueue::Submit(commit::Operation* operation, Wait wait, Notification* done) {
  if (wait == Wait::kYes) {
    engine_->log->SubmitAndWait(operation, done);
  } else {
    engine_->log->Submit(operation);
  }
}

void StandardQueue::ApplyDefinition(Definition definition) {
  const QueueAttributes& a = definition->attributes;
  visibility_ns_.store(absl::ToInt64Nanoseconds(*a.visibility_timeout));
  delay_ns_.store(absl::ToInt64Nanoseconds(*a.delay));
  retention_ms_.store(absl::ToInt64Milliseconds(*a.retention));
  wait_ns_.store(absl::ToInt64Nanoseconds(*a.receive_wait));
  max_size_.store(*a.maximum_message_size);
  max_in_flight_.store(*a.maximum_in_flight);
  body_charset_.store(*a.body_charset);
  max_receive_count_.store(a.redrive_policy.has_value()
                               ? static_cast<uint32_t>(a.redrive_policy->max_receive_count)
                               : 0);
  MutexLock lock(&definition_mutex_);
  definition_ = std::move(definition);
  dead_letter_.reset();
}

std::shared_ptr<StandardQueue> StandardQueue::DeadLetterQueue() const {
  std::string name;
  {
    MutexLock lock(&definition_mutex_);
    std::shared_ptr<StandardQueue> queue = dead_letter_.lock();
    if (queue != nullptr && !queue->deleted()) return queue;
    if (!definition_->attributes.redrive_policy.has_value()) return nullptr;
    name = definition_->attributes.redrive_policy->dead_letter_queue;
  }
  std::shared_ptr<StandardQueue> queue = engine_->find_queue(name);
  // Created again since the policy was set, and weaker than what a move promises: as good as
  // missing.
  if (queue == nullptr || queue->durability() < durability_) return nullptr;
  MutexLock lock(&definition_mutex_);
  dead_letter_ = queue;
  return queue;
}

absl::StatusOr<QueueDescription> StandardQueue::Describe() {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  QueueDescription description;
  {
    MutexLock lock(&definition_mutex_);
    description = *definition_;
  }
  description.arn = absl::StrCat(engine_->arn_prefix, name_);
  const MessageCounts counts = Counts(engine_->WallMs());
  description.visible = counts.visible;
  description.in_flight = counts.in_flight;
  description.delayed = counts.delayed;
  description.oldest_message_age = counts.oldest_message_age;
  return description;
}

MessageCounts StandardQueue::Counts(int64_t wall_ms) const {
  MessageCounts counts;
  counts.in_flight = std::max<int64_t>(in_flight_.load(), 0);
  if (durable()) {
    counts.delayed = delayed_shown_.load();
    counts.visible = std::max<int64_t>(depth_shown_.load() - counts.delayed - counts.in_flight, 0);
  } else {
    counts.delayed = std::max<int64_t>(delayed_in_memory_.load(), 0);
    counts.visible = std::max<int64_t>(ready_count_.load(), 0);
  }
  const int64_t oldest_ms = oldest_sent_ms_.load(std::memory_order_relaxed);
  if (oldest_ms > 0 && counts.visible + counts.in_flight > 0) {
    counts.oldest_message_age = absl::Milliseconds(std::max<int64_t>(wall_ms - oldest_ms, 0));
  }
  return counts;
}

absl::Status StandardQueue::SetAttributes(const QueueAttributes& attributes) {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (absl::Status status = ValidateQueueAttributes(attributes); !status.ok()) return status;
  return engine_->redefine(this, attributes, nullptr, {});
}

absl::Status StandardQueue::Tag(const QueueTags& tags) {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (absl::Status status = ValidateTags(tags); !status.ok()) return status;
  return engine_->redefine(this, {}, &tags, {});
}

absl::Status StandardQueue::Untag(absl::Span<const std::string> keys) {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  return engine_->redefine(this, {}, nullptr, keys);
}

// ---- Slots ----

void StandardQueue::CountReady(int64_t messages, int64_t bytes) {
  ready_count_.fetch_add(messages, std::memory_order_relaxed);
  ready_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (durable()) engine_->window_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

StandardQueue::Freeing::~Freeing() {
  if (slots_.empty()) return;
  Engine& engine = *queue_.engine_;
  engine.resident.fetch_sub(static_cast<int64_t>(slots_.size()), std::memory_order_relaxed);
  engine.resident_bytes.fetch_sub(bytes_, std::memory_order_relaxed);
  if (!queue_.durable()) engine.memory_queue_bytes.fetch_sub(bytes_, std::memory_order_relaxed);
  if (ready_ > 0) queue_.CountReady(-ready_, -ready_bytes_);
  if (in_flight_ > 0) queue_.in_flight_.fetch_sub(in_flight_);
  if (delayed_ > 0) queue_.delayed_in_memory_.fetch_sub(delayed_);
  engine.slab.Free(slots_);
}

void StandardQueue::Freeing::Add(MsgId id, State was) {
  Slot& slot = queue_.engine_->slab.At(id);
  const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
  std::exchange(slot.payload, nullptr)->Unref();
  slots_.push_back(id);
  bytes_ += bytes;
  if (was == State::kReady) {
    ++ready_;
    ready_bytes_ += bytes;
  }
  in_flight_ += was == State::kInFlight;
  delayed_ += was == State::kDelayed;
}

bool StandardQueue::MakeReadyIfDue(MsgId id, int64_t now_ns) {
  Slot& slot = engine_->slab.At(id);
  const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
  return NoteReady(id, bytes, core::MakeReadyIfDue(slot, id, now_ns));
}

bool StandardQueue::Release(MsgId id, uint32_t receives) {
  Slot& slot = engine_->slab.At(id);
  const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
  return NoteReady(id, bytes, core::Release(slot, id, receives));
}

bool StandardQueue::NoteReady(MsgId id, int64_t bytes, const std::optional<core::MadeReady>& made) {
  if (!made.has_value()) return false;
  if (made->push) (made->was_in_flight ? returned_ : ready_).Push(absl::MakeConstSpan(&id, 1));
  // Counted last: what Describe shows as visible can be received.
  CountReady(1, bytes);
  (made->was_in_flight ? in_flight_ : delayed_in_memory_).fetch_sub(1);
  return true;
}

bool StandardQueue::TryFree(MsgId id, Freeing* freeing) {
  const std::optional<State> was = core::MakeFree(engine_->slab.At(id), id);
  if (was.has_value()) freeing->Add(id, *was);
  return was.has_value();
}

// ---- Committer ----

void StandardQueue::AddTo(storage::Batch& batch) {
  if (durable() && !dropped_) batch.Add(storage::Batch::PutCounters{id_, counters_});
}

void StandardQueue::PublishCounters() {
  const int64_t depth = static_cast<int64_t>(counters_.enqueued - counters_.deleted);
  // The next sweep looks at the message itself; until then its arrival will do.
  if (depth_shown_.load() == 0 && depth > 0)
    oldest_sent_ms_.store(engine_->WallMs(), std::memory_order_relaxed);
  next_sequence_shown_.store(counters_.next_sequence);
  depth_shown_.store(depth);
  delayed_shown_.store(static_cast<int64_t>(counters_.delayed));
  low_watermark_shown_.store(counters_.low_watermark);
}

void StandardQueue::Drop() {
  deleted_.exchange(1);
  {
    Freeing freeing(this);
    VisitSlots([&](MsgId id) { TryFree(id, &freeing); });
  }
  in_flight_.fetch_sub(stowed_.RemoveBelow(Sequence(~uint64_t{0})));
  ReleaseLanes();
}

void StandardQueue::ReleaseLanes() {
  for (core::Lane* lane : {&ready_, &returned_}) {
    std::array<MsgId, 64> dead;
    while (lane->Pop(absl::MakeSpan(dead)) > 0) {
    }
    lane->Release();
  }
}

void StandardQueue::EndReceives(const absl::Status& status) {
  consumers_.End(status);
  parked_.Any();  // Whoever parks behind it finds why it has to end.
  for (bool trimmed = false;; trimmed = true) {
    // Taken aside: a callback may ask for messages again.
    std::vector<std::shared_ptr<ReceiveCall>> calls;
    while (std::shared_ptr<ReceiveCall> call = Unparked(parked_.Wake())) {
      calls.push_back(std::move(call));
    }
    for (const std::shared_ptr<ReceiveCall>& call : calls) call->Finish(status);
    if (trimmed || !deleted()) return;
    parked_.Trim();
  }
}

}  // namespace barista::internal
