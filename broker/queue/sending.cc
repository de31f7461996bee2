// The way of a message into a standard queue.

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/message/validation.h"
#include "broker/queue/operations.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

using core::MsgId;
using core::Slot;
using core::State;
using core::Word;

namespace {

// Rounded up: a deadline never fires early (I3).
int64_t CeilMs(int64_t ns) { return (ns + 999'999) / 1'000'000; }

}  // namespace

// Appends the accepted messages of one call.
class SendOp final : public commit::Operation {
 public:
  struct Entry {
    Payload* payload;
    int64_t delay_ns;
    size_t result;  // index into `results`
    Sequence sequence;
    storage::RecordRef ref;
  };

  SendOp(std::shared_ptr<StandardQueue> queue, std::vector<absl::StatusOr<SendResult>> results,
         std::vector<Entry> entries, size_t bytes, Queue::SendCallback done)
      : Operation(queue->durability(), bytes),
        queue_(std::move(queue)),
        results_(std::move(results)),
        entries_(std::move(entries)),
        done_(std::move(done)) {}

  ~SendOp() override {
    for (Entry& entry : entries_) {
      if (entry.payload != nullptr) entry.payload->Unref();
    }
  }

  absl::Status Prepare(commit::Turn& turn) override {
    StandardQueue& queue = *queue_;
    if (queue.dropped_) return QueueDoesNotExist(queue.name_);
    const int64_t steady_ms = queue.engine_->SteadyWallMs(turn.mono_ns());
    storage::QueueCounters& counters = queue.counters_;
    for (Entry& entry : entries_) {
      entry.sequence = Sequence(counters.next_sequence++);
      ++counters.enqueued;
      if (entry.delay_ns > 0) {
        const int64_t due_ms =
            steady_ms + CeilMs(entry.delay_ns) + 1;  // + 1: steady_ms is rounded down
        first_due_ms_ = std::min(first_due_ms_, due_ms);
        ++counters.delayed;
        turn.batch().Add(storage::Batch::PutDelayed{queue.id_, due_ms, entry.sequence.value(),
                                                    entry.payload->record()});
      } else {
        turn.batch().Add(
            storage::Batch::Append{queue.id_, entry.sequence, entry.payload->record(), &entry.ref});
      }
    }
    turn.Touch(&queue);
    return absl::OkStatus();
  }

  void Publish() override {
    std::vector<StandardQueue::Arrival> arrivals;
    arrivals.reserve(entries_.size());
    for (Entry& entry : entries_) {
      if (entry.delay_ns > 0) continue;
      arrivals.push_back({entry.sequence, std::exchange(entry.payload, nullptr), entry.ref, {}});
    }
    queue_->AdmitNew(absl::MakeSpan(arrivals));
    queue_->PublishCounters();
    queue_->engine_->sent.fetch_add(entries_.size(), std::memory_order_relaxed);
    queue_->engine_->bytes_sent.fetch_add(bytes(), std::memory_order_relaxed);
  }

  void Complete(const absl::Status& status) override {
    if (status.ok()) {
      if (first_due_ms_ != kNoDue) queue_->ArmDelay(first_due_ms_);
      queue_->WakeReceives();
    } else {
      for (const Entry& entry : entries_) results_[entry.result] = status;
    }
    done_(std::move(results_));
    delete this;
  }

 private:
  static constexpr int64_t kNoDue = std::numeric_limits<int64_t>::max();

  const std::shared_ptr<StandardQueue> queue_;
  std::vector<absl::StatusOr<SendResult>> results_;
  std::vector<Entry> entries_;
  Queue::SendCallback done_;
  int64_t first_due_ms_ = kNoDue;
};

void StandardQueue::SendBatch(absl::Span<const OutgoingMessage> messages, Wait wait,
                              Queue::SendCallback done) {
  const auto refuse = [&](const absl::Status& status) {
    done(std::vector<absl::StatusOr<SendResult>>(std::max<size_t>(messages.size(), 1), status));
  };
  if (absl::Status status = CheckOpen(); !status.ok()) return refuse(status);
  if (absl::Status status = ValidateSendBatch(messages); !status.ok()) return refuse(status);

  const MessageRules rules{max_size_.load(std::memory_order_relaxed),
                           body_charset_.load(std::memory_order_relaxed)};
  const int64_t sent_ms = engine_->WallMs();
  const int64_t queue_delay_ns = delay_ns_.load(std::memory_order_relaxed);
  std::vector<absl::StatusOr<SendResult>> results;
  results.reserve(messages.size());
  std::vector<SendOp::Entry> entries;
  entries.reserve(messages.size());
  size_t bytes = 0;
  std::string attributes;
  for (const OutgoingMessage& message : messages) {
    if (absl::Status status = ValidateMessage(message, rules); !status.ok()) {
      results.push_back(std::move(status));
      continue;
    }
    MessageRecord record;
    record.sent_ms = sent_ms;
    record.message_id = engine_->NewMessageId();
    record.group_id = message.group_id;
    record.trace_header = message.trace_header;
    record.sender_id = message.sender_id;
    record.body = message.body;
    if (!message.attributes.empty()) {
      attributes.clear();
      EncodeAttributes(message.attributes, &attributes);
      record.attribute_count = static_cast<uint16_t>(message.attributes.size());
      record.attributes = attributes;
    }
    const int64_t delay_ns =
        message.delay.has_value() ? absl::ToInt64Nanoseconds(*message.delay) : queue_delay_ns;
    Payload* payload = Payload::Encode(engine_->payloads, record);
    bytes += payload->bytes();
    entries.push_back({payload, delay_ns, results.size(), Sequence(0), {}});
    results.push_back(SendResult{record.message_id, std::nullopt});
  }
  if (entries.empty()) {
    done(std::move(results));
    return;
  }

  if (!durable()) {
    absl::InlinedVector<Payload*, 16> payloads;
    absl::InlinedVector<int64_t, 16> due_ns;
    payloads.reserve(entries.size());
    due_ns.reserve(entries.size());
    for (SendOp::Entry& entry : entries) {
      payloads.push_back(entry.payload);
      due_ns.push_back(entry.delay_ns == 0 ? 0 : engine_->MonoNs() + entry.delay_ns);
    }
    // The budget is checked before anything changes; a race may pass it by one batch.
    if (engine_->memory_queue_bytes.load(std::memory_order_relaxed) + static_cast<int64_t>(bytes) >
            engine_->memory_queue_limit_bytes ||
        !SendInMemory(payloads, due_ns)) {
      const absl::Status status = MakeError(
          absl::StatusCode::kResourceExhausted,
          absl::StrCat("queues of durability memory hold ", engine_->memory_queue_bytes.load(),
                       " bytes; limit ", engine_->memory_queue_limit_bytes,
                       ": let consumers drain them or raise the memory limit"),
          {.reason = "MemoryFull",
           .field = "memory_limit",
           .limit = absl::StrCat(engine_->memory_queue_limit_bytes)});
      for (SendOp::Entry& entry : entries) {
        entry.payload->Unref();
        results[entry.result] = status;
      }
      done(std::move(results));
      return;
    }
    engine_->sent.fetch_add(payloads.size(), std::memory_order_relaxed);
    engine_->bytes_sent.fetch_add(bytes, std::memory_order_relaxed);
    done(std::move(results));
    WakeReceives();
    return;
  }

  Notification finished;
  if (wait == Wait::kYes) {
    done = [&finished, done = std::move(done)](std::vector<absl::StatusOr<SendResult>> r) mutable {
      done(std::move(r));
      finished.Notify();
    };
  }
  SendOp* operation = new SendOp(shared_from_this(), std::move(results), std::move(entries), bytes,
                                 std::move(done));
  if (absl::Status status = engine_->log->Reserve(operation, wait == Wait::kYes); !status.ok()) {
    operation->Complete(status);
    return;
  }
  Submit(operation, wait, &finished);
}

// Makes a message of a `memory` queue visible when its delay is over.
class DelayTimer final : public core::TimerNode {
 public:
  DelayTimer(std::shared_ptr<StandardQueue> queue, MsgId id) : queue_(std::move(queue)), id_(id) {}
  int64_t Fire(int64_t now_ns) override {
    if (queue_->MakeReadyIfDue(id_, now_ns)) queue_->WakeReceives();
    return core::kNever;
  }
  bool Dead() const override {
    const Word word(queue_->engine_->slab.At(id_).word.load(std::memory_order_acquire));
    return word.generation() != id_.generation() || word.state() != State::kDelayed;
  }

 private:
  const std::shared_ptr<StandardQueue> queue_;
  const MsgId id_;
};

bool StandardQueue::SendInMemory(absl::Span<Payload* const> payloads,
                                 absl::Span<const int64_t> due_ns) {
  absl::InlinedVector<MsgId, 16> ids(payloads.size());
  if (!engine_->slab.Allocate(absl::MakeSpan(ids))) return false;
  absl::InlinedVector<MsgId, 16> ready;
  ready.reserve(payloads.size());
  const uint64_t first = memory_sequence_.fetch_add(payloads.size(), std::memory_order_relaxed);
  int64_t total_bytes = 0;
  int64_t ready_bytes = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    Slot& slot = engine_->slab.At(ids[i]);
    const int64_t bytes = static_cast<int64_t>(payloads[i]->bytes());
    slot.sequence.store(first + i, std::memory_order_relaxed);
    slot.payload = payloads[i];
    slot.payload_bytes.store(static_cast<uint32_t>(bytes), std::memory_order_relaxed);
    slot.first_receive_ms.store(0, std::memory_order_relaxed);
    slot.visible_at_ns.store(due_ns[i], std::memory_order_relaxed);
    slot.queue.store(id_.value(), std::memory_order_relaxed);
    slot.acked = false;
    slot.by_sequence = false;
    total_bytes += bytes;
    const bool delayed = due_ns[i] != 0;
    if (delayed) {
      delayed_in_memory_.fetch_add(1);
    } else {
      ready.push_back(ids[i]);
      ready_bytes += bytes;
    }
  }
  engine_->memory_queue_bytes.fetch_add(total_bytes, std::memory_order_relaxed);
  engine_->resident.fetch_add(static_cast<int64_t>(ids.size()), std::memory_order_relaxed);
  engine_->resident_bytes.fetch_add(total_bytes, std::memory_order_relaxed);
  if (ready_count_.load(std::memory_order_relaxed) <= 0)
    oldest_sent_ms_.store(payloads.front()->sent_ms(), std::memory_order_relaxed);
  CountReady(static_cast<int64_t>(ready.size()), ready_bytes);
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool delayed = due_ns[i] != 0;
    const Word word = delayed ? Word(ids[i].generation(), State::kDelayed, 0)
                              : Word(ids[i].generation(), State::kReady, 0).Queued();
    engine_->slab.At(ids[i]).word.store(word.bits(), std::memory_order_release);
    if (delayed)
      engine_->timer->Arm(due_ns[i], std::make_unique<DelayTimer>(shared_from_this(), ids[i]));
  }
  ready_.Push(ready);
  // The queue may have been deleted meanwhile: either its Drop has seen these slots, or this look
  // sees the queue deleted.
  if (DeletedSinceSend()) {
    Freeing freeing(this);
    for (MsgId id : ids) TryFree(id, &freeing);
    ReleaseLanes();
  }
  return true;
}

void StandardQueue::AdmitNew(absl::Span<Arrival> arrivals) {
  size_t admitted = 0;
  if (!spilled_.load(std::memory_order_relaxed)) {
    // Receivers only make more room meanwhile.
    int64_t messages = kWindowMessages - ready_count_.load(std::memory_order_relaxed);
    int64_t bytes = std::min(
        kWindowBytes - ready_bytes_.load(std::memory_order_relaxed),
        engine_->window_limit_bytes - engine_->window_bytes.load(std::memory_order_relaxed));
    while (admitted < arrivals.size() && messages > 0 && bytes > 0) {
      --messages;
      bytes -= static_cast<int64_t>(arrivals[admitted++].payload->bytes());
    }
    if (admitted < arrivals.size()) {
      cursor_ = arrivals[admitted].sequence;
      cursor_shown_.store(cursor_.value());
      spilled_.store(true, std::memory_order_release);
    }
  }
  if (!arrivals.empty()) {
    published_next_ = Sequence(arrivals.back().sequence.value() + 1);
    published_shown_.store(published_next_.value());
  }
  Admit(arrivals.subspan(0, admitted), ready_);
  for (Arrival& arrival : arrivals.subspan(admitted)) arrival.payload->Unref();
}

void StandardQueue::Admit(absl::Span<Arrival> arrivals, core::Lane& lane) {
  absl::InlinedVector<MsgId, 64> ids(arrivals.size());
  engine_->slab.Allocate(absl::MakeSpan(ids));
  int64_t total_bytes = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    Arrival& arrival = arrivals[i];
    const MsgId id = ids[i];
    Slot& slot = engine_->slab.At(id);
    const int64_t bytes = static_cast<int64_t>(arrival.payload->bytes());
    total_bytes += bytes;
    slot.sequence.store(arrival.sequence.value(), std::memory_order_relaxed);
    slot.payload = arrival.payload;
    slot.payload_bytes.store(static_cast<uint32_t>(bytes), std::memory_order_relaxed);
    slot.first_receive_ms.store(arrival.lease.first_receive_ms, std::memory_order_relaxed);
    slot.visible_at_ns.store(0, std::memory_order_relaxed);
    slot.queue.store(id_.value(), std::memory_order_relaxed);
    slot.record_index = arrival.ref.index;
    slot.record_count = arrival.ref.count;
    slot.has_state.store(arrival.ref.has_state, std::memory_order_relaxed);
    slot.acked = false;
    slot.by_sequence = arrival.by_sequence;
    if (arrival.by_sequence) by_sequence_[arrival.sequence.value()] = id;
  }
  engine_->resident.fetch_add(static_cast<int64_t>(ids.size()), std::memory_order_relaxed);
  engine_->resident_bytes.fetch_add(total_bytes, std::memory_order_relaxed);
  if (!durable()) engine_->memory_queue_bytes.fetch_add(total_bytes, std::memory_order_relaxed);
  CountReady(static_cast<int64_t>(ids.size()), total_bytes);
  for (size_t i = 0; i < ids.size(); ++i) {
    const Word word = Word(ids[i].generation(), State::kReady, arrivals[i].lease.receives).Queued();
    engine_->slab.At(ids[i]).word.store(word.bits(), std::memory_order_release);
  }
  lane.Push(ids);
}

}  // namespace barista::internal
