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

namespace barista::internal {

using core::MsgId;
using core::Slot;
using core::State;

namespace {

// Segments whose leases are looked at together.
constexpr size_t kLookSegments = 64;
// After leases could not be read.
constexpr int64_t kRetryMs = 1000;
// What a message in flight takes beside its body: its slot, and its part of a timer and of the
// order.
constexpr int64_t kInFlightBytes = 128;

}  // namespace

// ---- Out ----

void InFlightOrder::Add(std::shared_ptr<StandardQueue> queue, std::vector<Leased> messages) {
  size_ += messages.size();
  groups_.push_back({std::move(queue), std::move(messages)});
  if (size_ > trim_at_) Trim();
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
    size_ += messages.size();
  }
  groups_.erase(std::remove_if(groups_.begin(), groups_.end(),
                               [](const Group& group) { return group.messages.empty(); }),
                groups_.end());
  trim_at_ = std::max<size_t>(2 * size_, 8192);
}

void InFlightOrder::Clear() {
  groups_.clear();
  size_ = 0;
}

bool StandardQueue::IsLeasedAs(const InFlightOrder::Leased& leased) const {
  const Slot& slot = engine_->slab.At(leased.id);
  const core::Word word = LoadUnlocked(slot);
  return word.generation() == leased.id.generation() && word.state() == State::kInFlight &&
         word.receives() == leased.receives &&
         slot.visible_at_ns.load(std::memory_order_relaxed) == leased.visible_at_ns;
}

void StandardQueue::StowExcess(Engine& engine) {
  const auto note = [&] {
    engine.in_flight_overhead.store(
        static_cast<int64_t>(engine.in_flight_order.size()) * kInFlightBytes,
        std::memory_order_relaxed);
  };
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
    const Sequence sequence(slot.sequence.load(std::memory_order_relaxed));
    if (slot.acked || !core::Stow(slot, leased.id, leased.receives, leased.visible_at_ns)) continue;
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
    std::vector<storage::HiddenMessage> hidden;
  };

  SettleLeasesOp(std::shared_ptr<StandardQueue> queue, std::vector<Looked> looked,
                 absl::Status status)
      : Operation(queue->durability(), 0),
        queue_(std::move(queue)),
        looked_(std::move(looked)),
        status_(std::move(status)) {}

  bool changes_store() const override { return false; }
  absl::Status Prepare(commit::Turn& turn) override {
    now_ms_ = queue_->engine_->SteadyWallMs(turn.mono_ns());
    return status_;
  }

  void Publish() override {
    int64_t visible = 0;
    for (const Looked& looked : looked_)
      visible += queue_->stowed_.Settle(looked.segment, looked.hidden);
    queue_->in_flight_.fetch_sub(visible);
  }

  void Complete(const absl::Status& status) override {
    StandardQueue& queue = *queue_;
    const int64_t over_ms = queue.stowed_.first_over_ms();
    if (!status.ok()) {
      queue.EndReceives(status);
      queue.ArmLeases(now_ms_ + kRetryMs);
    } else if (over_ms <= now_ms_) {
      queue.engine_->ask_pager(queue_, PagerTask::kLeases);
    } else {
      queue.ArmLeases(over_ms);
    }
    queue.WakeIfLimited();
    queue.RequestPageIfLow();
    delete this;
  }

 private:
  const std::shared_ptr<StandardQueue> queue_;
  const std::vector<Looked> looked_;
  const absl::Status status_;
  int64_t now_ms_ = 0;
};

void StandardQueue::LookAtLeases() {
  const int64_t now_ms = engine_->SteadyWallMs(engine_->MonoNs());
  std::vector<SettleLeasesOp::Looked> looked;
  absl::Status status;
  Sequence from(0);
  while (looked.size() < kLookSegments) {
    // The segment, with its version, first: what is read later is of that version or a later one.
    const std::optional<Stowed::Segment> segment = stowed_.NextOver(from, now_ms);
    if (!segment.has_value()) break;
    absl::StatusOr<std::vector<storage::HiddenMessage>> hidden =
        engine_->store->ScanHidden(id_, segment->from, segment->end, now_ms);
    status = hidden.status();
    if (!status.ok()) break;
    looked.push_back({*segment, *std::move(hidden)});
    from = Stowed::NextSegment(segment->from);
  }
  engine_->log->Submit(
      new SettleLeasesOp(shared_from_this(), std::move(looked), std::move(status)));
}

// Fires when the first lease of a stowed message is over.
class LeaseTimer final : public core::TimerNode {
 public:
  explicit LeaseTimer(std::shared_ptr<StandardQueue> queue) : queue_(std::move(queue)) {}
  int64_t Fire(int64_t) override {
    queue_->leases_armed_ns_.store(core::kNever);
    if (!queue_->deleted()) queue_->engine_->ask_pager(queue_, PagerTask::kLeases);
    return core::kNever;
  }
  bool Dead() const override { return queue_->deleted(); }

 private:
  const std::shared_ptr<StandardQueue> queue_;
};

void StandardQueue::ArmLeases(int64_t over_ms) {
  if (over_ms == Stowed::kNoTime) return;
  const int64_t deadline_ns = engine_->MonoAt(over_ms);
  int64_t armed = leases_armed_ns_.load();
  while (deadline_ns < armed) {
    if (leases_armed_ns_.compare_exchange_weak(armed, deadline_ns)) {
      engine_->timer->Arm(deadline_ns, std::make_unique<LeaseTimer>(shared_from_this()));
      return;
    }
  }
}

// ---- Back ----

// Installs messages whose leases are over. Their handles know nothing of the slots that they get:
// by_sequence_ does.
class InstallReturnedOp final : public PageOp {
 public:
  InstallReturnedOp(std::shared_ptr<StandardQueue> queue, const Stowed::Visible& visible,
                    const absl::StatusOr<storage::Page>& page)
      : PageOp(std::move(queue), page.status()) {
    if (!page.ok()) return;
    arrivals_ = this->queue().ToArrivals(
        *page, [&](Sequence sequence) { return visible.Contains(sequence); });
    for (StandardQueue::Arrival& arrival : arrivals_) arrival.by_sequence = true;
  }

  void Publish() override {
    if (queue().dropped_) return;
    // What was deleted or hidden again since it was read is not visible any more.
    const auto gone = std::stable_partition(arrivals_.begin(), arrivals_.end(),
                                            [&](const StandardQueue::Arrival& arrival) {
                                              return queue().stowed_.TakeVisible(arrival.sequence);
                                            });
    const auto returned = static_cast<size_t>(gone - arrivals_.begin());
    queue().Admit(absl::MakeSpan(arrivals_).subspan(0, returned), queue().returned_);
    arrivals_.erase(arrivals_.begin(), gone);
  }
};

void StandardQueue::ReadReturned(const Stowed::Visible& visible) {
  storage::ScanLimits limits;
  limits.max_messages = Stowed::kSegmentMessages;
  limits.max_bytes = kPageBytes;
  limits.end = visible.end();
  engine_->log->Submit(new InstallReturnedOp(shared_from_this(), visible,
                                             engine_->store->Scan(id_, visible.from(), limits)));
}

}  // namespace barista::internal
