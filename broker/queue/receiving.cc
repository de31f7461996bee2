// From the lanes to the receivers, and back when a visibility timeout ends.

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"
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

// Exhausted messages that one receive moves to the dead-letter queue.
constexpr size_t kMaxExhausted = 1000;
constexpr size_t kMaxExhaustedBytes = 1 << 20;

}  // namespace

// Returns messages that became hidden until the same moment when that moment has come. A message
// whose deadline was changed since has another timer: this one leaves it alone.
class VisibilityTimer final : public core::TimerNode {
 public:
  VisibilityTimer(std::shared_ptr<StandardQueue> queue, absl::Span<const MsgId> ids,
                  int64_t deadline_ns)
      : queue_(std::move(queue)), deadline_ns_(deadline_ns), ids_(ids.begin(), ids.end()) {}

  int64_t Fire(int64_t now_ns) override {
    bool any = false;
    for (MsgId id : ids_) any |= queue_->MakeReadyIfDue(id, now_ns);
    if (any) queue_->WakeReceives();
    return core::kNever;
  }

  bool Dead() const override {
    return std::none_of(ids_.begin(), ids_.end(), [this](MsgId id) { return WaitsForUs(id); });
  }

 private:
  // (A message on its way out gets a timer again if it comes back: see Restore.)
  bool WaitsForUs(MsgId id) const {
    const Slot& slot = queue_->engine_->slab.At(id);
    const Word word = LoadUnlocked(slot);
    return word.generation() == id.generation() && word.state() == State::kInFlight &&
           slot.visible_at_ns.load(std::memory_order_relaxed) == deadline_ns_;
  }

  const std::shared_ptr<StandardQueue> queue_;
  const int64_t deadline_ns_;
  const absl::InlinedVector<MsgId, 10> ids_;
};

void StandardQueue::ArmVisibility(absl::Span<const MsgId> ids, int64_t deadline_ns) {
  engine_->timer->Arm(deadline_ns,
                      std::make_unique<VisibilityTimer>(shared_from_this(), ids, deadline_ns));
}

int64_t StandardQueue::ReserveInFlight(int64_t wanted) {
  if (wanted <= 0) return 0;
  const int64_t limit = max_in_flight_.load(std::memory_order_relaxed);
  int64_t in_flight = in_flight_.load();
  for (;;) {
    const int64_t granted = std::clamp<int64_t>(limit - in_flight, 0, wanted);
    if (granted == 0 || in_flight_.compare_exchange_weak(in_flight, in_flight + granted)) {
      return granted;
    }
  }
}

StandardQueue::TakeLimits StandardQueue::LimitsOf(const ReceiveOptions& options) const {
  return {static_cast<size_t>(options.max_messages), options.max_bytes, VisibilityNs(options)};
}

size_t StandardQueue::ApproximateFit(int64_t bytes) const {
  if (bytes >= kWindowBytes) return kMaxReceiveMessages;
  const int64_t messages = std::max<int64_t>(ready_count_.load(std::memory_order_relaxed), 1);
  const int64_t average =
      std::max<int64_t>(ready_bytes_.load(std::memory_order_relaxed) / messages, 1);
  return static_cast<size_t>(std::max<int64_t>(bytes, 0) / average + 1);
}

void StandardQueue::Take(const TakeLimits& limits, Taken* taken) {
  const int64_t visibility_ns = limits.visibility_ns;
  const int64_t now_ns = engine_->MonoNs();
  const int64_t retention_ms = retention_ms_.load(std::memory_order_relaxed);
  const int64_t wall_ms = engine_->WallMs();
  const uint32_t max_receives = max_receive_count_.load(std::memory_order_relaxed);
  const bool dead_letters = max_receives > 0 && DeadLetterQueue() != nullptr;
  // Returned messages come first one time in four, and always while they are many.
  const bool returned_first =
      polls_.fetch_add(1, std::memory_order_relaxed) % 4 == 0 ||
      returned_.ApproximateSize() > static_cast<size_t>(kWindowMessages / 2);
  core::Lane& first = returned_first ? returned_ : ready_;
  core::Lane& second = returned_first ? ready_ : returned_;

  const size_t wanted = limits.messages;
  std::vector<MsgId> expired;
  absl::InlinedVector<MsgId, 16> popped(wanted);
  const size_t expected = std::min(wanted, LaneSize());
  taken->messages.reserve(expected);
  taken->ids.reserve(expected);
  taken->receives.reserve(expected);
  Engine::ReceiveLatency::Recorder latency_ms(&engine_->receive_latency_ms);
  int64_t reserved = 0;
  int64_t ready_messages = 0;
  int64_t ready_bytes = 0;
  int64_t taken_bytes = 0;
  // What is popped and cannot be received goes back; how many of `ids` that were.
  const auto put_back = [&](absl::Span<MsgId> ids) {
    size_t back = 0;
    for (MsgId id : ids) {
      const bool ready =
          core::KeepPopped(engine_->slab.At(id), id, [](const Slot&) { return true; });
      if (ready) ids[back++] = id;
    }
    returned_.Push(ids.subspan(0, back));
    return back;
  };
  bool full = false;
  while (!full && taken->ids.size() < wanted && taken->exhausted.size() < kMaxExhausted &&
         taken->exhausted_bytes < kMaxExhaustedBytes) {
    const size_t want =
        std::min(wanted - taken->ids.size(), ApproximateFit(limits.bytes - taken_bytes));
    size_t n = first.Pop(absl::MakeSpan(popped).subspan(0, want));
    if (n < want) n += second.Pop(absl::MakeSpan(popped).subspan(n, want - n));
    if (n == 0) break;
    // Room is reserved for ids in hand, so an empty queue never looks full; what is over goes back.
    const int64_t free = reserved - static_cast<int64_t>(taken->ids.size());
    reserved += ReserveInFlight(static_cast<int64_t>(n) - free);
    const size_t room = static_cast<size_t>(reserved) - taken->ids.size();
    if (room < n) {
      // Only what could be received is over the limit.
      taken->over_limit = put_back(absl::MakeSpan(popped).subspan(room, n - room)) > 0;
      n = room;
    }
    for (size_t i = 0; i < n; ++i) {
      const MsgId id = popped[i];
      Slot& slot = engine_->slab.At(id);
      if (taken_bytes > 0 &&
          slot.payload_bytes.load(std::memory_order_relaxed) > limits.bytes - taken_bytes) {
        put_back(absl::MakeSpan(popped).subspan(i, n - i));
        full = true;
        break;
      }
      Word mine;
      const core::PoppedAs popped_as =
          core::TakePopped(slot, id, dead_letters ? max_receives : 0, &mine);
      if (popped_as == core::PoppedAs::kNothing) continue;
      const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
      ++ready_messages;
      ready_bytes += bytes;
      if (popped_as == core::PoppedAs::kExhausted) {
        taken->exhausted.push_back(id);
        taken->exhausted_bytes += static_cast<size_t>(bytes);
        continue;
      }
      Payload* payload = slot.payload;
      if (payload->sent_ms() + retention_ms <= wall_ms) {
        Unlock(slot, mine.With(State::kDeleting).Unlocked());
        expired.push_back(id);
        continue;
      }
      slot.visible_at_ns.store(now_ns + visibility_ns, std::memory_order_relaxed);
      int64_t first_receive_ms = slot.first_receive_ms.load(std::memory_order_relaxed);
      if (first_receive_ms == 0) {
        first_receive_ms = wall_ms;
        latency_ms.Record(wall_ms - payload->sent_ms());
        slot.first_receive_ms.store(wall_ms, std::memory_order_relaxed);
      }
      const Sequence sequence(slot.sequence.load(std::memory_order_relaxed));
      payload->Ref();
      Unlock(slot, mine.Unlocked());
      taken_bytes += bytes;

      ReceivedMessage& message = taken->messages.emplace_back();
      message.payload = PayloadRef(payload);
      message.message_id = payload->message_id();
      message.body = payload->body();
      message.sent_at = absl::FromUnixMillis(payload->sent_ms());
      message.receive_count = static_cast<int>(mine.receives() + BaseReceives(*payload));
      message.first_received_at = absl::FromUnixMillis(first_receive_ms);
      message.receipt_handle =
          SealReceipt({engine_->boot, id_, sequence, id, mine.receives()}, engine_->receipt_key);
      taken->ids.push_back(id);
      taken->receives.push_back(mine.receives());
    }
    if (taken->over_limit) break;
  }
  if (ready_messages > 0) CountReady(-ready_messages, -ready_bytes);
  if (const int64_t unused = reserved - static_cast<int64_t>(taken->ids.size()); unused > 0) {
    in_flight_.fetch_sub(unused);
    WakeIfLimited();
  }
  if (taken->over_limit) {
    // A receive that parked while the ids were in our hands knows nothing of the limit: the next
    // release wakes it, or we do, if that release has been.
    limited_.store(true);
    if (in_flight_.load() < max_in_flight_.load()) WakeIfLimited();
  }
  if (!expired.empty()) Expire(expired);
  RequestPageIfLow();
  engine_->received.fetch_add(taken->ids.size(), std::memory_order_relaxed);

  taken->must_commit =
      !taken->exhausted.empty() || (max_receives > 0 && durable() && !taken->ids.empty());
  if (taken->ids.empty()) return;
  if (visibility_ns == 0) {
    // Visible again at once. The caller wakes others when it has delivered.
    for (MsgId id : taken->ids) Release(id);
    return;
  }
  ArmVisibility(taken->ids, now_ns + visibility_ns);
  if (durable() && !taken->must_commit) {
    // What is deleted until then costs nothing; but memory that is short does not wait.
    auto* lease = new LeaseOp(shared_from_this(), taken->ids, /*in_flight_only=*/true, nullptr);
    if (engine_->InFlightExcess()) {
      engine_->log->Submit(lease);
    } else {
      engine_->log->SubmitLazy(lease);
    }
  }
}

uint32_t StandardQueue::BaseReceives(const Payload& payload) {
  if (!payload.has_fields()) return 0;
  const absl::StatusOr<MessageRecord> record = DecodeRecord(payload.record());
  return record.ok() ? record->receive_count : 0;
}

void StandardQueue::Untake(MsgId id, uint32_t receives) {
  Slot& slot = engine_->slab.At(id);
  const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
  const std::optional<bool> push = core::Untake(slot, id, receives);
  if (!push.has_value()) return;
  if (*push) returned_.Push(absl::MakeConstSpan(&id, 1));
  CountReady(1, bytes);
  in_flight_.fetch_sub(1);
}

std::shared_ptr<ReceiveCall> StandardQueue::MakeCall(const ReceiveOptions& options,
                                                     Queue::ReceiveCallback done) {
  const int64_t wait_ns = options.wait.has_value() ? absl::ToInt64Nanoseconds(*options.wait)
                                                   : wait_ns_.load(std::memory_order_relaxed);
  return std::make_shared<ReceiveCall>(shared_from_this(), LimitsOf(options),
                                       wait_ns > 0 ? engine_->MonoNs() + wait_ns : 0,
                                       std::move(done));
}

absl::StatusOr<std::vector<ReceivedMessage>> StandardQueue::Receive(const ReceiveOptions& options) {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (absl::Status status = ValidateReceive(options); !status.ok()) return status;
  Taken taken;
  // The common case needs no ReceiveCall: messages are there, and nothing has to be committed
  // first.
  if (max_receive_count_.load(std::memory_order_relaxed) == 0) {
    const TakeLimits limits = LimitsOf(options);
    Take(limits, &taken);
    if (!taken.must_commit && !taken.messages.empty()) {
      if (limits.MayLeave()) WakeReceives();
      return std::move(taken.messages);
    }
  }
  Notification finished;
  absl::StatusOr<std::vector<ReceivedMessage>> result;
  std::shared_ptr<ReceiveCall> call =
      MakeCall(options, [&](absl::StatusOr<std::vector<ReceivedMessage>> r) {
        result = std::move(r);
        finished.Notify();
      });
  // (What was taken although a redrive policy was set meanwhile goes through the log after all.)
  call->Start(std::move(taken));
  if (engine_->options.manual) {
    // Time stands still while we wait: what is not there when all work is done will not come.
    while (!finished.HasBeenNotified()) {
      if (!engine_->run_once() && !finished.HasBeenNotified()) call->TimeOut();
    }
  }
  finished.Wait();
  return result;
}

std::shared_ptr<PendingReceive> StandardQueue::ReceiveAsync(const ReceiveOptions& options,
                                                            Queue::ReceiveCallback done) {
  std::shared_ptr<ReceiveCall> call = MakeCall(options, std::move(done));
  if (absl::Status status = ValidateReceive(options); !status.ok()) {
    call->Finish(status);
  } else {
    call->Start(Taken());
  }
  return call;
}

absl::StatusOr<std::shared_ptr<ConsumerState>> StandardQueue::Consume(
    const ConsumeOptions& options) {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  ConsumeOptions given = options;
  if (!given.visibility_timeout.has_value())
    given.visibility_timeout = absl::Nanoseconds(visibility_ns_.load(std::memory_order_relaxed));
  if (absl::Status status = ValidateConsume(given); !status.ok()) return status;
  auto consumer = std::make_shared<QueueConsumer>(shared_from_this(), given);
  consumers_.Add(consumer);
  // (Whoever ended the queue before has not told this one.)
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  consumer->Begin();
  return consumer;
}

void StandardQueue::ReturnUndelivered(absl::Span<const ReceiptHandle> handles) {
  std::vector<MsgId> leased;
  for (const ReceiptHandle& handle : handles) {
    const absl::StatusOr<Receipt> receipt = Open(handle);
    if (!receipt.ok() || receipt->boot != engine_->boot ||
        !engine_->slab.Contains(receipt->message))
      continue;
    Untake(receipt->message, receipt->receives);
    if (LeftMemory(receipt->message)) {
      UntakeStowed(*receipt);
    } else {
      leased.push_back(receipt->message);
    }
  }
  if (leased.empty()) return;
  if (durable()) {
    // The lease that is in the log, or on its way there, would hide the message after a restart.
    auto* lease =
        new LeaseOp(shared_from_this(), std::move(leased), /*in_flight_only=*/false, nullptr);
    if (max_receive_count_.load() > 0) {
      engine_->log->Submit(lease);
    } else {
      engine_->log->SubmitLazy(lease);
    }
  }
  WakeReceives();
}

std::shared_ptr<ReceiveCall> StandardQueue::Unparked(std::shared_ptr<ReceiveCall> call) {
  if (call != nullptr) engine_->parked.fetch_sub(1, std::memory_order_relaxed);
  return call;
}

void StandardQueue::WakeReceives() {
  while (parked_.Any() && !LanesEmpty()) {
    const std::shared_ptr<ReceiveCall> call = Unparked(parked_.Wake());
    if (call == nullptr || call->Run() == ReceiveCall::Ran::kParkedAtLimit) return;
  }
}

void StandardQueue::WakePageWaiters() {
  parked_.Any();  // Whoever parks behind it finds the page.
  // Taken aside: some may wait for another page.
  std::vector<std::shared_ptr<ReceiveCall>> calls;
  while (std::shared_ptr<ReceiveCall> call = Unparked(parked_.WakeTogether())) {
    calls.push_back(std::move(call));
  }
  for (const std::shared_ptr<ReceiveCall>& call : calls) call->Run();
  if (!calls.empty()) WakeReceives();
}

void StandardQueue::LookAfterParked() {
  if (const absl::Status status = CheckOpen(); !status.ok()) return EndReceives(status);
  if (!MoreOnDisk()) WakePageWaiters();
}

// ---- ReceiveOp ----

// A move is published in the order of its target's sends, so it takes the target's durability,
// which is at least the source's.
ReceiveOp::ReceiveOp(std::shared_ptr<StandardQueue> queue, std::shared_ptr<StandardQueue> target,
                     StandardQueue::Taken taken, std::shared_ptr<ReceiveCall> call)
    : Operation(target == nullptr ? Durability::kOs : target->durability(),
                128 * (taken.ids.size() + taken.exhausted.size()) + taken.exhausted_bytes),
      queue_(std::move(queue)),
      target_(std::move(target)),
      taken_(std::move(taken)),
      call_(std::move(call)) {}

absl::Status ReceiveOp::Prepare(commit::Turn& turn) {
  StandardQueue& queue = *queue_;
  if (queue.dropped_) return QueueDoesNotExist(queue.name_);
  if (queue.durable()) {
    leases_.Reserve(taken_.ids.size());
    for (MsgId id : taken_.ids) leases_.Add(turn, id, /*in_flight_only=*/false);
  }
  StandardQueue* const target = target_.get();
  for (MsgId id : taken_.exhausted) {
    if (target == nullptr || target->dropped_) {
      stay_.push_back(id);
      continue;
    }
    Slot& slot = queue.engine_->slab.At(id);
    // The message may have been deleted or purged since it was taken: look at it under its lock.
    Word word;
    if (!TryLock(slot, id, &word)) continue;
    PayloadRef payload;
    if (word.state() == State::kMoving && !slot.acked) {
      slot.payload->Ref();
      payload = PayloadRef(slot.payload);
      if (!queue.durable()) slot.acked = true;
    }
    const int64_t first_receive_ms = slot.first_receive_ms.load(std::memory_order_relaxed);
    Unlock(slot, word);
    if (payload.get() == nullptr || (queue.durable() && !queue.AckSlot(turn, id))) continue;
    absl::StatusOr<MessageRecord> record = DecodeRecord(payload.get()->record());
    if (!record.ok()) return record.status();  // Cannot be: it was checked when it came to memory.
    record->dead_letter_source = queue.name_;
    record->receive_count += word.receives();
    record->first_receive_ms = first_receive_ms;
    Move& move = moves_.emplace_back();
    move.id = id;
    move.arrival.payload = Payload::Encode(queue.engine_->payloads, *record);
    move.arrival.lease.first_receive_ms = first_receive_ms;
  }
  if (target != nullptr && !moves_.empty()) {
    for (Move& move : moves_) {
      if (target->durable()) {
        move.arrival.sequence = Sequence(target->counters_.next_sequence++);
        ++target->counters_.enqueued;
        turn.batch().Add(storage::Batch::Append{target->id_, move.arrival.sequence,
                                                move.arrival.payload->record(), &move.arrival.ref});
      } else {
        move.arrival.sequence = Sequence(target->memory_sequence_.fetch_add(1));
      }
    }
    turn.Touch(target);
  }
  return absl::OkStatus();
}

void ReceiveOp::Publish() {
  leases_.Publish();
  if (moves_.empty()) return;
  std::vector<StandardQueue::Arrival> arrivals;
  for (Move& move : moves_) {
    queue_->FreeAcked(absl::MakeConstSpan(&move.id, 1));
    arrivals.push_back(move.arrival);
  }
  if (target_->durable()) {
    target_->AdmitNew(absl::MakeSpan(arrivals));
  } else {
    target_->Admit(absl::MakeSpan(arrivals), target_->ready_);
  }
  target_->PublishCounters();
  queue_->PublishCounters();
  queue_->engine_->dead_lettered.fetch_add(moves_.size(), std::memory_order_relaxed);
}

void ReceiveOp::Complete(const absl::Status& status) {
  StandardQueue& queue = *queue_;
  if (status.ok()) {
    for (MsgId id : stay_) queue.Restore(id);
    if (!stay_.empty()) queue.WakeReceives();
    if (target_ != nullptr) target_->WakeReceives();
  } else {
    for (Move& move : moves_) move.arrival.payload->Unref();
    for (MsgId id : taken_.exhausted) queue.Restore(id);
    for (size_t i = 0; i < taken_.ids.size(); ++i) queue.Untake(taken_.ids[i], taken_.receives[i]);
    queue.WakeIfLimited();
    queue.WakeReceives();
    taken_.messages.clear();
  }
  call_->Committed(status, std::move(taken_));
  delete this;
}

// ---- LeaseOp ----

LeaseOp::LeaseOp(std::shared_ptr<StandardQueue> queue, std::vector<MsgId> ids, bool in_flight_only,
                 absl::AnyInvocable<void(const absl::Status&)> done)
    : Operation(Durability::kOs, 64 * ids.size()),
      queue_(std::move(queue)),
      ids_(std::move(ids)),
      in_flight_only_(in_flight_only),
      done_(std::move(done)) {}

absl::Status LeaseOp::Prepare(commit::Turn& turn) {
  if (queue_->dropped_) return QueueDoesNotExist(queue_->name_);
  leases_.Reserve(ids_.size());
  for (MsgId id : ids_) leases_.Add(turn, id, in_flight_only_);
  return absl::OkStatus();
}

void LeaseOp::Publish() { leases_.Publish(); }

void LeaseOp::Complete(const absl::Status& status) {
  if (done_ != nullptr) done_(status);
  delete this;
}

// ---- LeaseWrites ----

void LeaseWrites::Add(commit::Turn& turn, MsgId id, bool in_flight_only) {
  Slot& slot = queue_.engine_->slab.At(id);
  const Word word = LoadUnlocked(slot);
  if (word.generation() != id.generation() || slot.acked ||
      slot.sequence.load(std::memory_order_relaxed) < queue_.counters_.purge_sequence)
    return;
  if (word.state() != State::kInFlight && (in_flight_only || word.state() != State::kReady)) return;
  storage::Lease lease;
  lease.receives = word.receives();
  lease.boot = queue_.engine_->boot;
  lease.first_receive_ms = slot.first_receive_ms.load(std::memory_order_relaxed);
  if (word.state() == State::kInFlight) {
    const int64_t visible_at_ns = slot.visible_at_ns.load(std::memory_order_relaxed);
    lease.visible_at_ms = queue_.LeaseMs(visible_at_ns);
    leased_.push_back({id, visible_at_ns, word.receives(), ++slot.leases});
  }
  ids_.push_back(id);
  refs_.push_back(StandardQueue::RefOf(slot));
  turn.batch().Add(storage::Batch::SetLease{queue_.id_, &refs_.back(), lease});
}

void LeaseWrites::Publish() {
  // The store has told whether a record has a row of states now. (Unless an operation before us in
  // the turn has ended the message's life.)
  for (size_t i = 0; i < refs_.size(); ++i) {
    Slot& slot = queue_.engine_->slab.At(ids_[i]);
    if (refs_[i].has_state && LoadUnlocked(slot).generation() == ids_[i].generation())
      slot.has_state.store(true, std::memory_order_relaxed);
  }
  if (leased_.empty()) return;
  Engine& engine = *queue_.engine_;
  engine.in_flight_order.Add(queue_.shared_from_this(), std::move(leased_));
  StandardQueue::StowExcess(engine);
}

}  // namespace barista::internal
