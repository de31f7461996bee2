// Deleting messages and changing their visibility.

#include <algorithm>
#include <utility>

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

absl::Status NotAvailable() {
  return InvalidParameter(
      "ReceiptHandle", "",
      "Message does not exist or is not available for visibility timeout change.",
      "the handle of a stored message");
}

}  // namespace

bool StandardQueue::Claim(MsgId id) {
  Slot& slot = engine_->slab.At(id);
  const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
  const std::optional<State> was = core::Claim(slot, id);
  if (!was.has_value()) return false;
  if (*was == State::kReady) {
    CountReady(-1, -bytes);
  } else {
    in_flight_.fetch_sub(1);
  }
  return true;
}

void StandardQueue::Restore(MsgId id) {
  Slot& slot = engine_->slab.At(id);
  const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
  const std::optional<core::Restored> restored = core::Restore(slot, id, engine_->MonoNs());
  if (!restored.has_value()) return;
  if (restored->in_flight) {
    CountInFlight(1);
    ArmVisibility(absl::MakeConstSpan(&id, 1), restored->visible_at_ns);
    return;
  }
  CountReady(1, bytes);
  if (restored->push) returned_.Push(absl::MakeConstSpan(&id, 1));
}

bool StandardQueue::AckSlot(commit::Turn& turn, MsgId id) {
  Slot& slot = engine_->slab.At(id);
  const Word word = LoadUnlocked(slot);
  if (word.generation() != id.generation() || word.state() == State::kFree || slot.acked)
    return false;
  if (!durable()) {
    slot.acked = true;
    return true;
  }
  const storage::RecordRef ref = RefOf(slot);
  if (ref.sequence.value() < counters_.purge_sequence) return false;
  slot.acked = true;
  turn.batch().Add(storage::Batch::Ack{id_, ref});
  ++counters_.deleted;
  low_watermark_stale_ = true;
  turn.Touch(this);
  return true;
}

absl::StatusOr<std::optional<StandardQueue::OnDisk>> StandardQueue::FindOnDisk(Sequence sequence) {
  if (sequence.value() < counters_.purge_sequence || unpublished_purges_ > 0) return std::nullopt;
  if (const Stowed::Place place = stowed_.Find(sequence); place != Stowed::Place::kNowhere) {
    absl::StatusOr<std::optional<storage::LeasedMessage>> leased =
        engine_->store->FindLease(id_, sequence);
    if (!leased.ok()) return leased.status();
    if (!leased->has_value()) return std::nullopt;
    return OnDisk{**leased, place};
  }
  if (!spilled_.load(std::memory_order_relaxed) || sequence < cursor_ ||
      sequence >= published_next_ ||
      std::find(disk_acks_.begin(), disk_acks_.end(), sequence.value()) != disk_acks_.end())
    return std::nullopt;
  absl::StatusOr<std::optional<storage::Page>> page = engine_->store->Lookup(id_, sequence);
  if (!page.ok()) return page.status();
  if (!page->has_value()) return std::nullopt;
  const storage::ScannedMessage& message = (*page)->messages.front();
  return OnDisk{{message.ref, message.lease}, Stowed::Place::kNowhere};
}

absl::StatusOr<StandardQueue::Acked> StandardQueue::AckSequence(commit::Turn& turn,
                                                                Sequence sequence) {
  if (const auto it = by_sequence_.find(sequence.value()); it != by_sequence_.end())
    return Acked{AckSlot(turn, it->second), it->second};
  const absl::StatusOr<std::optional<OnDisk>> found = FindOnDisk(sequence);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return Acked{};
  turn.batch().Add(storage::Batch::Ack{id_, (*found)->message.ref});
  ++counters_.deleted;
  low_watermark_stale_ = true;
  if ((*found)->stowed == Stowed::Place::kNowhere) {
    BeginPageEpoch();
    disk_acks_.push_back(sequence.value());
  } else {
    stowed_.Remove(sequence);
  }
  turn.Touch(this);
  return Acked{true, MsgId(), (*found)->stowed == Stowed::Place::kHidden,
               (*found)->stowed == Stowed::Place::kNowhere};
}

void StandardQueue::FreeAcked(absl::Span<const MsgId> ids) {
  Freeing freeing(this, ids.size());
  for (MsgId id : ids) {
    const Slot& slot = engine_->slab.At(id);
    if (durable() && slot.by_sequence && !by_sequence_.empty())
      by_sequence_.erase(slot.sequence.load(std::memory_order_relaxed));
    TryFree(id, &freeing);
  }
}

// Removes messages for good: deleted by a consumer, or expired.
class DeleteOp final : public commit::Operation {
 public:
  struct Entry {
    MsgId id;           // where it was in memory; empty if nobody knows
    Sequence sequence;  // 0: it is in memory
    size_t result = 0;
  };

  DeleteOp(std::shared_ptr<StandardQueue> queue, std::vector<Entry> entries,
           std::vector<absl::Status> statuses, bool expired, Queue::StatusesCallback done)
      : Operation(queue->durability(), 32 * entries.size()),
        queue_(std::move(queue)),
        entries_(std::move(entries)),
        statuses_(std::move(statuses)),
        expired_(expired),
        done_(std::move(done)) {}

  absl::Status Prepare(commit::Turn& turn) override {
    StandardQueue& queue = *queue_;
    if (queue.dropped_) return QueueDoesNotExist(queue.name_);
    for (Entry& entry : entries_) {
      if (entry.id.bits != 0 && queue.AckSlot(turn, entry.id)) {
        acked_.push_back(entry.id);
        continue;
      }
      if (entry.sequence == Sequence(0)) continue;
      const absl::StatusOr<StandardQueue::Acked> acked = queue.AckSequence(turn, entry.sequence);
      if (!acked.ok()) {
        statuses_[entry.result] = acked.status();
      } else if (acked->any && acked->id.bits != 0) {
        acked_.push_back(acked->id);
      } else if (acked->any) {
        ++on_disk_;
        in_flight_ += acked->in_flight;
        behind_cursor_ |= acked->behind_cursor;
      }
    }
    return absl::OkStatus();
  }

  void Publish() override {
    StandardQueue& queue = *queue_;
    queue.FreeAcked(acked_);
    queue.in_flight_.fetch_sub(in_flight_);
    if (behind_cursor_) {
      queue.disk_acks_.clear();
      queue.BeginPageEpoch();
    }
    queue.PublishCounters();
    (expired_ ? queue.engine_->expired : queue.engine_->deleted)
        .fetch_add(acked_.size() + on_disk_, std::memory_order_relaxed);
  }

  void Complete(const absl::Status& status) override {
    if (status.ok()) {
      queue_->TrimLanes();
      queue_->WakeIfLimited();
    } else {
      for (const Entry& entry : entries_) {
        if (entry.id.bits != 0) queue_->Restore(entry.id);
        if (!statuses_.empty()) statuses_[entry.result] = status;
      }
      queue_->WakeIfLimited();
      queue_->WakeReceives();
    }
    if (done_ != nullptr) done_(std::move(statuses_));
    delete this;
  }

 private:
  const std::shared_ptr<StandardQueue> queue_;
  std::vector<Entry> entries_;
  std::vector<absl::Status> statuses_;
  const bool expired_;
  Queue::StatusesCallback done_;
  std::vector<MsgId> acked_;
  size_t on_disk_ = 0;
  int64_t in_flight_ = 0;       // of on_disk_
  bool behind_cursor_ = false;  // some of on_disk_
};

void StandardQueue::DeleteBatch(absl::Span<const ReceiptHandle> handles, Wait wait,
                                Queue::StatusesCallback done) {
  absl::Status whole = CheckOpen();
  if (whole.ok()) whole = ValidateBatch(handles.size(), "DeleteMessageBatchRequestEntry");
  if (!whole.ok()) {
    done(std::vector<absl::Status>(std::max<size_t>(handles.size(), 1), whole));
    return;
  }
  std::vector<absl::Status> statuses(handles.size());
  std::vector<DeleteOp::Entry> entries;
  std::optional<Freeing> freeing;
  if (!durable()) freeing.emplace(this, handles.size());
  for (size_t i = 0; i < handles.size(); ++i) {
    const absl::StatusOr<Receipt> receipt = Open(handles[i]);
    if (!receipt.ok()) {
      statuses[i] = receipt.status();
      continue;
    }
    if (receipt->boot != engine_->boot) {
      if (durable()) entries.push_back({MsgId(), receipt->sequence, i});
      continue;
    }
    const MsgId id = receipt->message;
    if (!engine_->slab.Contains(id)) continue;
    if (!durable()) {
      const std::optional<State> was = core::Claim(engine_->slab.At(id), id, State::kFree);
      if (was.has_value()) freeing->Add(id, *was);
      continue;
    }
    // Whether or not this call wins the claim, it answers after the deletion is durable: an
    // operation that finds the message acknowledged by an earlier one completes after that one.
    Claim(id);
    if (Word(engine_->slab.At(id).word.load(std::memory_order_acquire)).generation() ==
            id.generation() ||
        LeftMemory(id)) {
      entries.push_back({id, receipt->sequence, i});
    }
  }
  if (const size_t freed = freeing.has_value() ? freeing->size() : 0; freed > 0) {
    engine_->deleted.fetch_add(freed, std::memory_order_relaxed);
    freeing.reset();
    TrimLanes();
    WakeIfLimited();
  }
  if (entries.empty()) {
    done(std::move(statuses));
    return;
  }
  Notification finished;
  if (wait == Wait::kYes) {
    done = [&finished, done = std::move(done)](std::vector<absl::Status> s) mutable {
      done(std::move(s));
      finished.Notify();
    };
  }
  Submit(new DeleteOp(shared_from_this(), std::move(entries), std::move(statuses),
                      /*expired=*/false, std::move(done)),
         wait, &finished);
}

void StandardQueue::Expire(absl::Span<const MsgId> ids) {
  if (!durable()) {
    engine_->expired.fetch_add(ids.size(), std::memory_order_relaxed);
    Freeing freeing(this);
    for (MsgId id : ids) TryFree(id, &freeing);
    return;
  }
  std::vector<DeleteOp::Entry> entries;
  entries.reserve(ids.size());
  for (MsgId id : ids) entries.push_back({id, Sequence(0), 0});
  engine_->log->Submit(
      new DeleteOp(shared_from_this(), std::move(entries), {}, /*expired=*/true, nullptr));
}

absl::Status StandardQueue::ChangeVisibility(MsgId id, uint32_t receives, int64_t timeout_ns,
                                             int64_t now_ns) {
  Slot& slot = engine_->slab.At(id);
  if (timeout_ns == 0) {
    const auto is_ready = [&] {
      const Word word = LoadUnlocked(slot);
      return word.generation() == id.generation() && word.state() == State::kReady &&
             core::IsReceive(word, receives);
    };
    return Release(id, receives) || is_ready() ? absl::OkStatus() : NotAvailable();
  }
  const int64_t bytes = slot.payload_bytes.load(std::memory_order_relaxed);
  const std::optional<State> was = core::Hide(slot, id, now_ns + timeout_ns, receives);
  if (!was.has_value()) return NotAvailable();
  if (*was == State::kReady) {
    CountReady(-1, -bytes);
    CountInFlight(1);
  }
  ArmVisibility(absl::MakeConstSpan(&id, 1), now_ns + timeout_ns);
  return absl::OkStatus();
}

// Changes of visibility that have to be in the log, or that concern messages of an earlier boot.
class VisibilityOp final : public commit::Operation {
 public:
  struct Entry {
    Sequence sequence;
    int64_t timeout_ns;
    size_t result;
    // Not 0: only if that receive is the last one still, of `boot`.
    uint32_t receives = 0;
    uint32_t boot = 0;
    bool untake = false;  // take it back
  };

  VisibilityOp(std::shared_ptr<StandardQueue> queue, std::vector<MsgId> changed,
               std::vector<Entry> entries, std::vector<absl::Status> statuses,
               Queue::StatusesCallback done)
      : Operation(queue->durability(), 64 * (changed.size() + entries.size())),
        queue_(std::move(queue)),
        changed_(std::move(changed)),
        entries_(std::move(entries)),
        statuses_(std::move(statuses)),
        done_(std::move(done)) {}

  absl::Status Prepare(commit::Turn& turn) override {
    StandardQueue& queue = *queue_;
    if (queue.dropped_) return QueueDoesNotExist(queue.name_);
    on_disk_.reserve(entries_.size());
    for (const Entry& entry : entries_) {
      absl::Status status = Change(turn, entry);
      if (!statuses_.empty()) statuses_[entry.result] = std::move(status);
    }
    leases_.Reserve(changed_.size());
    for (MsgId id : changed_) leases_.Add(turn, id, /*in_flight_only=*/false);
    return absl::OkStatus();
  }

  void Publish() override {
    if (epoch_) queue_->BeginPageEpoch();
    // The store shows the new leases from now on.
    for (const auto& [sequence, until_ms] : hidden_) queue_->stowed_.Touch(sequence, until_ms);
    queue_->ArmLeases(queue_->stowed_.first_over_ms());
    leases_.Publish();
  }

  void Complete(const absl::Status& status) override {
    if (!status.ok()) {
      for (absl::Status& s : statuses_) {
        if (s.ok()) s = status;
      }
    }
    queue_->WakeReceives();
    if (done_ != nullptr) done_(std::move(statuses_));
    delete this;
  }

 private:
  // Changes a message that its handle does not find in memory.
  absl::Status Change(commit::Turn& turn, const Entry& entry) {
    StandardQueue& queue = *queue_;
    if (const auto it = queue.by_sequence_.find(entry.sequence.value());
        it != queue.by_sequence_.end()) {
      if (entry.untake) {
        queue.Untake(it->second, entry.receives);
      } else if (absl::Status status = queue.ChangeVisibility(it->second, entry.receives,
                                                              entry.timeout_ns, turn.mono_ns());
                 !status.ok()) {
        return status;
      }
      changed_.push_back(it->second);
      return absl::OkStatus();
    }
    const absl::StatusOr<std::optional<StandardQueue::OnDisk>> found =
        queue.FindOnDisk(entry.sequence);
    if (!found.ok()) return found.status();
    if (!found->has_value()) return NotAvailable();
    storage::Lease lease = (*found)->message.lease;
    if (entry.receives != 0 && (lease.receives != entry.receives || lease.boot != entry.boot))
      return NotAvailable();
    if (entry.untake) --lease.receives;
    const int64_t now_ms = queue.engine_->SteadyWallMs(turn.mono_ns());
    lease.visible_at_ms =
        entry.timeout_ns == 0 ? 0 : queue.LeaseMs(turn.mono_ns() + entry.timeout_ns);
    on_disk_.push_back((*found)->message.ref);
    turn.batch().Add(storage::Batch::SetLease{queue.id_, &on_disk_.back(), lease});
    switch ((*found)->stowed) {
      case Stowed::Place::kNowhere:
        epoch_ = true;
        queue.BeginPageEpoch();
        break;
      case Stowed::Place::kVisible:
        if (entry.timeout_ns == 0) break;
        queue.CountInFlight(1);
        [[fallthrough]];
      case Stowed::Place::kHidden:
        // Visible at once means: as soon as somebody looks at its lease.
        hidden_.push_back({entry.sequence, std::max(lease.visible_at_ms, now_ms)});
        queue.stowed_.Hide(entry.sequence, hidden_.back().visible_at_ms);
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<StandardQueue> queue_;
  std::vector<MsgId> changed_;
  std::vector<Entry> entries_;
  std::vector<absl::Status> statuses_;
  Queue::StatusesCallback done_;
  std::vector<storage::RecordRef> on_disk_;
  std::vector<storage::HiddenMessage> hidden_;  // of on_disk_, the stowed ones
  LeaseWrites leases_{queue_.get()};
  bool epoch_ = false;  // a message at or behind the cursor was changed
};

void StandardQueue::UntakeStowed(const Receipt& receipt) {
  engine_->log->Submit(new VisibilityOp(
      shared_from_this(), {}, {{receipt.sequence, 0, 0, receipt.receives, receipt.boot, true}}, {},
      nullptr));
}

void StandardQueue::ChangeVisibilityBatch(absl::Span<const VisibilityChange> changes, Wait wait,
                                          Queue::StatusesCallback done) {
  absl::Status whole = CheckOpen();
  if (whole.ok()) whole = ValidateBatch(changes.size(), "ChangeMessageVisibilityBatchRequestEntry");
  if (!whole.ok()) {
    done(std::vector<absl::Status>(std::max<size_t>(changes.size(), 1), whole));
    return;
  }
  std::vector<absl::Status> statuses(changes.size());
  std::vector<MsgId> changed;
  std::vector<VisibilityOp::Entry> entries;
  const int64_t now_ns = engine_->MonoNs();
  for (size_t i = 0; i < changes.size(); ++i) {
    statuses[i] = ValidateVisibilityTimeout(changes[i].visibility_timeout);
    if (!statuses[i].ok()) continue;
    const absl::StatusOr<Receipt> receipt = Open(changes[i].receipt_handle);
    if (!receipt.ok()) {
      statuses[i] = receipt.status();
      continue;
    }
    const int64_t timeout_ns = absl::ToInt64Nanoseconds(changes[i].visibility_timeout);
    const uint32_t receives = changes[i].last_receive_only ? receipt->receives : 0;
    if (receipt->boot != engine_->boot) {
      if (durable()) {
        entries.push_back({receipt->sequence, timeout_ns, i, receives, receipt->boot});
      } else {
        statuses[i] = NotAvailable();
      }
      continue;
    }
    if (!engine_->slab.Contains(receipt->message)) {
      statuses[i] = NotAvailable();
      continue;
    }
    statuses[i] = ChangeVisibility(receipt->message, receives, timeout_ns, now_ns);
    if (statuses[i].ok()) {
      changed.push_back(receipt->message);
    } else if (durable() && LeftMemory(receipt->message)) {
      entries.push_back({receipt->sequence, timeout_ns, i, receives, receipt->boot});
    }
  }
  const bool logged =
      durable() && max_receive_count_.load(std::memory_order_relaxed) > 0 && !changed.empty();
  if (!logged && entries.empty()) {
    if (durable() && !changed.empty()) {
      engine_->log->SubmitLazy(
          new LeaseOp(shared_from_this(), std::move(changed), /*in_flight_only=*/false, nullptr));
    }
    WakeReceives();
    done(std::move(statuses));
    return;
  }
  Notification finished;
  if (wait == Wait::kYes) {
    done = [&finished, done = std::move(done)](std::vector<absl::Status> s) mutable {
      done(std::move(s));
      finished.Notify();
    };
  }
  Submit(new VisibilityOp(shared_from_this(), std::move(changed), std::move(entries),
                          std::move(statuses), std::move(done)),
         wait, &finished);
}

}  // namespace barista::internal
