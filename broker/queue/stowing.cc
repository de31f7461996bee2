// Messages in flight that memory has no room for: out, and back when their leases are over.
//
//   Stow          slot of a message whose lease is in the store -> free; Stowed knows it
//   LookAtLeases  (timer, pager) which leases are over? -> SettleLeasesOp -> visible
//   ReadReturned  (pager) the messages that are visible -> InstallReturnedOp -> slots, lane

#include <algorithm>
#include <utility>

#include "broker/core/life_cycle.h"
#include "broker/queue/operations.h"
#include "broker/queue/standard_queue.h"
#include "storage/errors.h"

namespace barista::internal {

using core::MsgId;
using core::Slot;
using core::State;

namespace {

// Segments whose leases are looked at together.
constexpr size_t kLookSegments = 64;
// After leases could not be read.
constexpr int64_t kRetryMs = 10'000;
// What a message in flight takes beside its body: its slot, and its part of a timer and of the
// order.
constexpr int64_t kInFlightBytes = 128;

}  // namespace

// ---- Out ----

void InFlightOrder::Add(std::shared_ptr<StandardQueue> queue, std::vector<Leased> messages) {
  size_ += messages.size();
  groups_.push_back({std::move(queue), std::move(messages)});
  if (size_ > 2 * trimmed_size_ + 8192) Trim();
}

InFlightOrder::Group InFlightOrder::TakeFirst() {
  Group group = std::move(groups_.front());
  groups_.pop_front();
  size_ -= group.messages.size();
  return group;
}

void InFlightOrder::Trim() {
  size_ = 0;
  for (Group& group : groups_) {
    auto& messages = group.messages;
    messages.erase(
        std::remove_if(messages.begin(), messages.end(),
                       [&](const Leased& leased) { return !group.queue->IsLeasedAs(leased); }),
        messages.end());
    messages.shrink_to_fit();
    size_ += messages.size();
  }
  groups_.erase(std::remove_if(groups_.begin(), groups_.end(),
                               [](const Group& group) { return group.messages.empty(); }),
                groups_.end());
  trimmed_size_ = size_;
}

void InFlightOrder::Clear() {
  groups_.clear();
  size_ = trimmed_size_ = 0;
}

bool StandardQueue::IsLeasedAs(const InFlightOrder::Leased& leased) const {
  const Slot& slot = engine_->slab.At(leased.id);
  const core::Word word = LoadUnlocked(slot);
  return word.generation() == leased.id.generation() && word.state() == State::kInFlight &&
         word.receives() == leased.receives && slot.leases == leased.number &&
         slot.visible_at_ns.load(std::memory_order_relaxed) == leased.visible_at_ns;
}

void StandardQueue::StowExcess(Engine& engine) {
  const auto note = [&] {
    engine.in_flight_overhead.store(
        static_cast<int64_t>(engine.in_flight_order.size()) * kInFlightBytes,
        std::memory_order_relaxed);
  };
  note();
  if (!engine.InFlightExcess()) return;
  engine.in_flight_order.TrimIfStale();
  note();
  while (!engine.in_flight_order.empty() && engine.InFlightExcess()) {
    const InFlightOrder::Group group = engine.in_flight_order.TakeFirst();
    group.queue->Stow(group.messages);
    note();
  }
}

void StandardQueue::Stow(absl::Span<const InFlightOrder::Leased> messages) {
  // Before a slot is free: whoever finds it free looks for the message elsewhere.
  may_be_stowed_.store(true, std::memory_order_relaxed);
  Freeing freeing(this, messages.size());
  for (const InFlightOrder::Leased& leased : messages) {
    Slot& slot = engine_->slab.At(leased.id);
    // (Only while it is leased like that is the rest of the slot ours to read.)
    if (!IsLeasedAs(leased) || slot.acked ||
        !core::Stow(slot, leased.id, leased.receives, leased.visible_at_ns))
      continue;
    const Sequence sequence(slot.sequence.load(std::memory_order_relaxed));
    if (slot.by_sequence) by_sequence_.erase(sequence.value());
    stowed_.Hide(sequence, LeaseMs(leased.visible_at_ns));
    freeing.Add(leased.id, State::kDeleting);  // It is in flight, as it was.
  }
  ArmLeases(stowed_.first_over_ms());
}

void StandardQueue::StowHidden(absl::Span<const storage::HiddenMessage> messages) {
  if (messages.empty()) return;
  may_be_stowed_.store(true, std::memory_order_relaxed);
  stowed_.HideAll(messages);
  CountInFlight(static_cast<int64_t>(messages.size()));
  ArmLeases(stowed_.first_over_ms());
}

bool StandardQueue::LeftMemory(MsgId id) const {
  const core::Word word = LoadUnlocked(engine_->slab.At(id));
  return (word.generation() != id.generation() || word.state() == State::kFree) &&
         may_be_stowed_.load(std::memory_order_relaxed);
}

// ---- Looking at leases ----

// Takes note of what a look at leases has found.
class SettleLeasesOp final : public commit::Operation {
 public:
  struct Looked {
    Stowed::Segment segment;
    absl::StatusOr<std::vector<storage::HiddenMessage>> hidden;
  };

  SettleLeasesOp(std::shared_ptr<StandardQueue> queue, std::vector<Looked> looked)
      : Operation(queue->durability(), 0), queue_(std::move(queue)), looked_(std::move(looked)) {}

  bool changes_store() const override { return false; }
  absl::Status Prepare(commit::Turn& turn) override {
    now_ms_ = queue_->engine_->SteadyWallMs(turn.mono_ns());
    return absl::OkStatus();
  }

  void Publish() override {
    int64_t visible = 0;
    for (const Looked& looked : looked_) {
      if (looked.hidden.ok()) {
        visible += queue_->stowed_.Settle(looked.segment, *looked.hidden);
      } else {
        // The others go on; this one is tried again later.
        damage_.Update(looked.hidden.status());
        queue_->stowed_.PutOff(looked.segment, now_ms_ + kRetryMs);
      }
    }
    queue_->in_flight_.fetch_sub(visible);
  }

  void Complete(const absl::Status&) override {
    StandardQueue& queue = *queue_;
    queue.look_requested_.store(false);
    const int64_t over_ms = queue.stowed_.first_over_ms();
    if (over_ms <= now_ms_) {
      queue.RequestLook();
    } else {
      queue.ArmLeases(over_ms);
    }
    if (!damage_.ok()) queue.EndReceives(damage_);
    queue.WakeIfLimited();
    queue.RequestPageIfLow();
    delete this;
  }

 private:
  const std::shared_ptr<StandardQueue> queue_;
  const std::vector<Looked> looked_;
  absl::Status damage_;
  int64_t now_ms_ = 0;
};

void StandardQueue::RequestLook() {
  if (!look_requested_.exchange(true)) engine_->ask_pager(shared_from_this(), PagerTask::kLeases);
}

void StandardQueue::LookAtLeases() {
  const int64_t now_ms = engine_->SteadyWallMs(engine_->MonoNs());
  std::vector<SettleLeasesOp::Looked> looked;
  // The look begins before it reads: what changes from then on is left for the next one.
  for (const Stowed::Segment& segment : stowed_.BeginLook(now_ms, kLookSegments)) {
    looked.push_back({segment, engine_->store->ScanHidden(id_, segment.from, segment.end, now_ms)});
  }
  engine_->log->Submit(new SettleLeasesOp(shared_from_this(), std::move(looked)));
}

void StandardQueue::ArmLeases(int64_t over_ms) {
  if (over_ms == Stowed::kNoTime) return;
  SetAlarm(&StandardQueue::lease_alarm_, engine_->MonoAt(over_ms), &StandardQueue::RequestLook);
}

// ---- Back ----

// Installs messages whose leases are over. Their handles know nothing of the slots that they get:
// by_sequence_ does.
class InstallReturnedOp final : public PageOp {
 public:
  InstallReturnedOp(std::shared_ptr<StandardQueue> queue, const Stowed::Visible& visible,
                    const absl::StatusOr<storage::Page>& page)
      : PageOp(std::move(queue), page.status()), visible_(visible) {
    if (!page.ok()) return;
    end_ = page->end ? visible.end() : page->next;
    arrivals_ = this->queue().ToArrivals(
        *page, [&](Sequence sequence) { return visible.Contains(sequence); });
    for (StandardQueue::Arrival& arrival : arrivals_) arrival.by_sequence = true;
  }

  void Publish() override {
    StandardQueue& queue = this->queue();
    if (queue.dropped_) return;
    // What was deleted or hidden again since it was read is not visible any more.
    const auto gone = std::stable_partition(arrivals_.begin(), arrivals_.end(),
                                            [&](const StandardQueue::Arrival& arrival) {
                                              return queue.stowed_.TakeVisible(arrival.sequence);
                                            });
    const auto returned = static_cast<size_t>(gone - arrivals_.begin());
    queue.Admit(absl::MakeSpan(arrivals_).subspan(0, returned), queue.returned_);
    arrivals_.erase(arrivals_.begin(), gone);
    // What is visible still should have been on the page. It is never skipped in silence, and keeps
    // nobody from the others: the next page begins behind it.
    for (Sequence at = visible_.from(); at < end_; at = Sequence(at.value() + 1)) {
      if (!visible_.Contains(at) || queue.stowed_.Find(at) != Stowed::Place::kVisible) continue;
      SetDamage(storage::CorruptMessage(queue.id_, at, "it was received, and is not there"));
    }
  }

 private:
  const Stowed::Visible visible_;
  Sequence end_{0};  // of what the page covers
};

void StandardQueue::ReadReturned(const Stowed::Visible& visible) {
  storage::ScanLimits limits;
  limits.max_messages = Stowed::kSegmentMessages;
  limits.max_bytes = engine_->page_bytes;
  limits.end = visible.end();
  limits.hidden_after_ms = engine_->SteadyWallMs(engine_->MonoNs());
  const absl::StatusOr<storage::Page> page = engine_->store->Scan(id_, visible.from(), limits);
  // All in turn: else those in front, received and back again, would hold up the others for ever.
  if (page.ok()) returned_from_.store((page->end ? visible.end() : page->next).value());
  engine_->log->Submit(new InstallReturnedOp(shared_from_this(), visible, page));
}

// ---- Alarms ----

class AlarmTimer final : public core::TimerNode {
 public:
  AlarmTimer(std::shared_ptr<StandardQueue> queue, StandardQueue::Alarm StandardQueue::*alarm,
             uint64_t serial, void (StandardQueue::*ring)())
      : queue_(std::move(queue)), alarm_(alarm), serial_(serial), ring_(ring) {}

  int64_t Fire(int64_t) override {
    if (!queue_->deleted() && queue_->TakeAlarm(alarm_, serial_)) (queue_.get()->*ring_)();
    return core::kNever;
  }
  bool Dead() const override {
    return queue_->deleted() || (queue_.get()->*alarm_).serial.load() != serial_;
  }

 private:
  const std::shared_ptr<StandardQueue> queue_;
  StandardQueue::Alarm StandardQueue::*const alarm_;
  const uint64_t serial_;
  void (StandardQueue::*const ring_)();
};

void StandardQueue::SetAlarm(Alarm StandardQueue::*alarm, int64_t deadline_ns,
                             void (StandardQueue::*ring)()) {
  uint64_t serial;
  {
    MutexLock lock(&alarm_mutex_);
    Alarm& mine = this->*alarm;
    if (deadline_ns >= mine.deadline_ns) return;
    mine.deadline_ns = deadline_ns;
    serial = mine.serial.fetch_add(1) + 1;
  }
  engine_->timer->Arm(deadline_ns,
                      std::make_unique<AlarmTimer>(shared_from_this(), alarm, serial, ring));
}

bool StandardQueue::TakeAlarm(Alarm StandardQueue::*alarm, uint64_t serial) {
  MutexLock lock(&alarm_mutex_);
  Alarm& mine = this->*alarm;
  if (mine.serial.load() != serial) return false;
  mine.deadline_ns = core::kNever;
  return true;
}

}  // namespace barista::internal
