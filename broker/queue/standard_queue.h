#ifndef BARISTA_BROKER_QUEUE_STANDARD_QUEUE_H_
#define BARISTA_BROKER_QUEUE_STANDARD_QUEUE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "broker/base/ids.h"
#include "broker/base/mutex.h"
#include "broker/commit/operation.h"
#include "broker/core/lane.h"
#include "broker/core/life_cycle.h"
#include "broker/core/slab.h"
#include "broker/message/payload.h"
#include "broker/message/queue_errors.h"
#include "broker/message/queue_state.h"
#include "broker/queue/engine.h"
#include "broker/queue/queue_consumer.h"
#include "broker/queue/receipt.h"
#include "broker/queue/stowed.h"
#include "storage/store.h"

namespace barista::internal {

// A queue's attributes and tags: immutable, and replaced as a whole.
using Definition = std::shared_ptr<const QueueDescription>;

// A standard queue: at least once, approximate order, many receivers at a time.
//
// Memory holds a window of the queue, the store holds the queue. A message in memory is a slot of
// the slab; its id travels through two lanes, `ready_` (new) and `returned_` (visible again). The
// window is either RESIDENT (everything committed and alive is in memory) or SPILLED (messages from
// `cursor_` on are on disk only; the pager brings them page by page).
//
//   Send     encode (caller) -> SendOp -> store -> slot, lane               sending.cc
//   Receive  lane -> INFLIGHT (caller) [-> ReceiveOp: lease, moves] -> out  receiving.cc,
//                                                                           receive_call.cc
//   Delete   DELETING (caller) -> DeleteOp -> store -> slot free            settling.cc
//   Timer    INFLIGHT -> READY -> returned lane                             receiving.cc
//   Pager    store -> slots, lane                                           paging.cc
//   Stow     slot of a leased message -> free; back when its lease is over  stowing.cc
//
// A queue of durability `memory` does the same without operations and store; its window is the
// queue.
//
// Threads: members marked "committer" are touched inside the commit log's turn only; slots and
// lanes from any thread by the rules of the message word. A slot of a durable queue becomes FREE
// inside the turn only, so there the fields of a slot of this queue are stable.
class StandardQueue final : public QueueState,
                            public commit::Participant,
                            public std::enable_shared_from_this<StandardQueue> {
 public:
  // Limits of the window: READY messages in memory.
  static constexpr int64_t kWindowMessages = 64 << 10;
  static constexpr int64_t kWindowBytes = 64 << 20;

  // `definition` as decoded or newly made, every attribute set. A queue with messages in the store
  // starts SPILLED at its low watermark.
  StandardQueue(Engine* engine, QueueId id, Definition definition,
                const storage::QueueCounters& counters);
  ~StandardQueue() override;

  // QueueState:
  const std::string& name() const override { return name_; }
  void SendBatch(absl::Span<const OutgoingMessage> messages, Wait wait,
                 Queue::SendCallback done) override;
  absl::StatusOr<std::vector<ReceivedMessage>> Receive(const ReceiveOptions& options) override;
  std::shared_ptr<PendingReceive> ReceiveAsync(const ReceiveOptions& options,
                                               Queue::ReceiveCallback done) override;
  void ReturnUndelivered(absl::Span<const ReceiptHandle> handles) override;
  absl::StatusOr<std::shared_ptr<ConsumerState>> Consume(const ConsumeOptions& options) override;
  void DeleteBatch(absl::Span<const ReceiptHandle> handles, Wait wait,
                   Queue::StatusesCallback done) override;
  void ChangeVisibilityBatch(absl::Span<const VisibilityChange> changes, Wait wait,
                             Queue::StatusesCallback done) override;
  absl::Status Purge() override;
  absl::StatusOr<std::vector<PeekedMessage>> Peek(const PeekOptions& options) override;
  absl::StatusOr<QueueDescription> Describe() override;
  size_t maximum_message_size() const override {
    return static_cast<size_t>(max_size_.load(std::memory_order_relaxed));
  }
  absl::Status SetAttributes(const QueueAttributes& attributes) override;
  absl::Status Tag(const QueueTags& tags) override;
  absl::Status Untag(absl::Span<const std::string> keys) override;

  // commit::Participant: the counters' row.
  void AddTo(storage::Batch& batch) override;

  QueueId id() const { return id_; }
  Engine& engine() const { return *engine_; }
  Durability durability() const { return durability_; }
  // What Describe tells of the messages at `wall_ms`. A few loads of one or two cache lines, for
  // which PrefetchCounts does not wait.
  MessageCounts Counts(int64_t wall_ms) const;
  void PrefetchCounts() const {
    __builtin_prefetch(&durability_);
    __builtin_prefetch(&oldest_sent_ms_);
  }
  size_t place_in_list = 0;  // QueueList's
  bool durable() const { return durability_ != Durability::kMemory; }
  bool deleted() const { return deleted_.load(std::memory_order_acquire) != 0; }
  // After a change of the definition: a raised limit lets parked receives go on.
  void WakeAfterRedefinition() { WakeIfLimited(); }

  // Committer: the definition as the latest prepared operation leaves it.
  const Definition& pending_definition() const { return pending_definition_; }
  void set_pending_definition(Definition definition) {
    pending_definition_ = std::move(definition);
  }
  // Committer: makes the definition count.
  void ApplyDefinition(Definition definition);
  // Committer: later operations of the batch find the queue gone.
  void PrepareDrop() { dropped_ = true; }
  // Committer: the queue is gone; frees what it holds. EndReceives follows outside the turn.
  void Drop();
  // Ends every parked receive and every consumer with `status`.
  void EndReceives(const absl::Status& status);

  // Durable queues with delayed messages: arms the timer for the first.
  void ArmNextDelay();
  // The pager's part: read and hand it to the committer. Any thread.
  void ReadPage();
  void LookAtLeases();
  // Submits the removal of what has outlived its retention, and lets the low watermark follow. Any
  // thread, about once a minute.
  void Sweep();

 private:
  friend class ReceiveCall;
  friend class SendOp;
  friend class ReceiveOp;
  friend class LeaseOp;
  friend class DeleteOp;
  friend class VisibilityOp;
  friend class PurgeOp;
  friend class ReleaseDelayedOp;
  friend class PageOp;
  friend class InstallPageOp;
  friend class InstallReturnedOp;
  friend class SettleLeasesOp;
  friend class LeaseWrites;
  friend class InFlightOrder;
  friend class AlarmTimer;
  friend class SweepOp;
  friend class VisibilityTimer;
  friend class DelayTimer;

  // A message on its way into memory.
  struct Arrival {
    Sequence sequence;
    Payload* payload;  // one reference, handed over
    storage::RecordRef ref;
    storage::Lease lease;      // over, if it ever hid the message
    bool by_sequence = false;  // handles may know its sequence alone: it came from disk
  };
  // What one attempt to receive may take.
  struct TakeLimits {
    size_t messages;
    int64_t bytes;  // of messages as stored; one is taken even if it has more
    int64_t visibility_ns;
    // Whether a Take may leave messages to others that it has had in its hands: they are to be
    // woken then.
    bool MayLeave() const {
      return visibility_ns == 0 || bytes != std::numeric_limits<int64_t>::max();
    }
  };
  // What one attempt to receive found.
  struct Taken {
    std::vector<ReceivedMessage> messages;
    std::vector<core::MsgId> ids;        // of `messages`
    std::vector<uint32_t> receives;      // of `ids`, this one included
    std::vector<core::MsgId> exhausted;  // MOVING: received too often
    size_t exhausted_bytes = 0;
    bool over_limit = false;   // the in-flight limit left no room
    bool must_commit = false;  // leases or moves go into the log before `messages` may leave
  };

  absl::Status CheckOpen() const;  // BrokerClosed, QueueDoesNotExist
  // kInvalidArgument/ReceiptHandleIsInvalid unless the handle is authentic and of this queue.
  absl::StatusOr<Receipt> Open(const ReceiptHandle& handle) const;
  void Submit(commit::Operation* operation, Wait wait, Notification* done);

  bool DeletedSinceSend() { return deleted_.fetch_add(0) != 0; }

  // ---- Slots: transitions and their bookkeeping ----
  void CountReady(int64_t messages, int64_t bytes);
  void CountInFlight(int64_t messages) { in_flight_.fetch_add(messages); }
  // Collects slots whose words this caller has moved to FREE, and gives them back together, with
  // their counts, when it dies.
  class Freeing {
   public:
    explicit Freeing(StandardQueue* queue, size_t expected = 0) : queue_(*queue) {
      slots_.reserve(expected);
    }
    ~Freeing();
    Freeing(const Freeing&) = delete;
    Freeing& operator=(const Freeing&) = delete;
    void Add(core::MsgId id, core::State was);
    size_t size() const { return slots_.size(); }

   private:
    StandardQueue& queue_;
    absl::InlinedVector<core::MsgId, 16> slots_;
    int64_t bytes_ = 0, ready_ = 0, ready_bytes_ = 0, in_flight_ = 0, delayed_ = 0;
  };
  // INFLIGHT|DELAYED -> READY and into a lane; false if somebody else moved the message, or its
  // deadline lies ahead. (The size of a message is read before it becomes READY: then it may be
  // gone at any time.)
  bool MakeReadyIfDue(core::MsgId id, int64_t now_ns);
  // INFLIGHT -> READY and into a lane, whatever the deadline.
  bool Release(core::MsgId id, uint32_t receives = 0);
  bool NoteReady(core::MsgId id, int64_t bytes, const std::optional<core::MadeReady>& made);
  bool TryFree(core::MsgId id, Freeing* freeing);
  // Calls visit(id) for every slot of this queue. O(slots of the broker).
  template <typename F>
  void VisitSlots(F&& visit);

  // ---- Sending ----
  // False, and nothing taken over, if the slab is full.
  bool SendInMemory(absl::Span<Payload* const> payloads, absl::Span<const int64_t> due_ns);
  // Committer: newly stored messages in sequence order. Those for which the window has no room stay
  // on disk, and the queue is SPILLED from there on.
  void AdmitNew(absl::Span<Arrival> arrivals);
  // Committer: takes messages into memory in sequence order.
  void Admit(absl::Span<Arrival> arrivals, core::Lane& lane);
  void ArmDelay(int64_t due_ms);
  void ReleaseDelayed();

  // ---- Receiving ----
  int64_t VisibilityNs(const ReceiveOptions& options) const {
    return options.visibility_timeout.has_value()
               ? absl::ToInt64Nanoseconds(*options.visibility_timeout)
               : visibility_ns_.load(std::memory_order_relaxed);
  }
  std::shared_ptr<ReceiveCall> MakeCall(const ReceiveOptions& options, Queue::ReceiveCallback done);
  TakeLimits LimitsOf(const ReceiveOptions& options) const;
  // How many messages of about `bytes` together may be popped, from what those that are READY have
  // on average; at least one.
  size_t ApproximateFit(int64_t bytes) const;
  void Take(const TakeLimits& limits, Taken* taken);
  // Counts up to `wanted` more messages as in flight; how many the limit allows.
  int64_t ReserveInFlight(int64_t wanted);
  // How often the message was received before it came to this queue.
  static uint32_t BaseReceives(const Payload& payload);
  // Takes back a receive that was not delivered.
  void Untake(core::MsgId id, uint32_t receives);
  // Arms the timer of messages whose visible_at_ns has become `deadline_ns`.
  void ArmVisibility(absl::Span<const core::MsgId> ids, int64_t deadline_ns);
  bool LanesEmpty() const { return ready_.Empty() && returned_.Empty(); }
  size_t LaneSize() const { return ready_.ApproximateSize() + returned_.ApproximateSize(); }
  // Drops the ids of deleted messages from the lanes once they outnumber the others: nobody pops
  // them in a queue that nobody receives from. Outside the turn.
  void TrimLanes();
  // Empties the lanes of a queue that is gone.
  void ReleaseLanes();
  // Runs parked receives while there are both messages and them: by whoever made a message visible.
  void WakeReceives();
  // Runs those who wait for what is on disk.
  void WakePageWaiters();
  // By whoever has parked a receive or held ids of parked ones, for all of them: ends or wakes
  // those who were overlooked. (WakeReceives is left to the caller.)
  void LookAfterParked();
  bool AnyParked() { return parked_.Any(); }
  // Passes on what is parked no longer, and counts it out; null as it is.
  std::shared_ptr<ReceiveCall> Unparked(std::shared_ptr<ReceiveCall> call);
  std::shared_ptr<StandardQueue> DeadLetterQueue() const;

  // ---- Committer ----
  // Removes a message in memory from the store; false if an earlier operation did.
  bool AckSlot(commit::Turn& turn, core::MsgId id);
  // The same for a message whose handle does not say where it is now: it was stowed, or its handle
  // is of an earlier boot.
  struct Acked {
    bool any = false;
    core::MsgId id;              // where it is in memory, or none
    bool in_flight = false;      // on disk only, and counted as in flight
    bool behind_cursor = false;  // on disk only, and pages may hold it
  };
  absl::StatusOr<Acked> AckSequence(commit::Turn& turn, Sequence sequence);
  // The stored message, if it is alive and not in memory.
  struct OnDisk {
    storage::LeasedMessage message;
    Stowed::Place stowed;  // kNowhere: at or behind the cursor
  };
  absl::StatusOr<std::optional<OnDisk>> FindOnDisk(Sequence sequence);
  static storage::RecordRef RefOf(const core::Slot& slot) {
    return {Sequence(slot.sequence.load(std::memory_order_relaxed)), slot.record_index,
            slot.record_count, slot.has_state.load(std::memory_order_relaxed)};
  }
  // Pages read before now are out of date. Once in Prepare, for an install of the same turn, and
  // once in Publish, for a page that was read between the two and saw the store as it was.
  void BeginPageEpoch() { epoch_shown_.store(++page_epoch_); }
  void PublishCounters();
  // Frees messages whose deletion is durable.
  void FreeAcked(absl::Span<const core::MsgId> ids);

  // ---- Settling ----
  // READY|INFLIGHT -> DELETING. False if the message is gone or on its way out.
  bool Claim(core::MsgId id);
  // Back from DELETING or MOVING after a refused commit.
  void Restore(core::MsgId id);
  // Removes messages that are DELETING because their retention is over.
  void Expire(absl::Span<const core::MsgId> ids);
  // `receives` not 0: only if that is the last receive still.
  absl::Status ChangeVisibility(core::MsgId id, uint32_t receives, int64_t timeout_ns,
                                int64_t now_ns);
  void WakeIfLimited() {
    if (limited_.load() && limited_.exchange(false)) WakeReceives();
  }

  // ---- Paging ----
  // A page is wanted when a SPILLED queue has less than half a window in memory.
  void RequestPageIfLow();
  // False: one page will do.
  bool ReadTwoPages(Sequence from, uint64_t epoch, storage::ScanLimits limits);
  bool MoreOnDisk() const {
    return spilled_.load(std::memory_order_acquire) || stowed_.visible() > 0;
  }
  static bool All(Sequence) { return true; }
  std::vector<Arrival> ToArrivals(const storage::Page& page,
                                  absl::FunctionRef<bool(Sequence)> wanted) const;

  // ---- Stowing ----
  static void StowExcess(Engine& engine);
  void Stow(absl::Span<const InFlightOrder::Leased> messages);
  bool IsLeasedAs(const InFlightOrder::Leased& leased) const;
  // Stows what a page found hidden.
  void StowHidden(absl::Span<const storage::HiddenMessage> messages);
  // False: whoever finds the message's slot in another life need not look for it elsewhere.
  bool LeftMemory(core::MsgId id) const;
  // What the lease in the store says for this deadline; rounded up.
  int64_t LeaseMs(int64_t visible_at_ns) const { return engine_->SteadyWallMs(visible_at_ns) + 1; }
  // Has the leases looked at when the first is over; now.
  void ArmLeases(int64_t over_ms);
  void RequestLook();
  void ReadReturned(const Stowed::Visible& visible);
  // Takes back a receive that was not delivered, of a message that has left memory since.
  void UntakeStowed(const Receipt& receipt);

  Engine* const engine_;
  const QueueId id_;
  const std::string name_;

  // Attributes that the hot path reads; written by ApplyDefinition. Relaxed: a change takes effect
  // soon.
  std::atomic<int64_t> visibility_ns_{0}, delay_ns_{0}, retention_ms_{0}, wait_ns_{0}, max_size_{0},
      max_in_flight_{0};
  std::atomic<BodyCharset> body_charset_{BodyCharset::kText};
  std::atomic<uint32_t> max_receive_count_{0};  // 0: no redrive policy
  mutable Mutex definition_mutex_;
  Definition definition_ ABSL_GUARDED_BY(definition_mutex_);
  // The queue that the redrive policy names, looked up when needed: it may be deleted and created
  // again.
  mutable std::weak_ptr<StandardQueue> dead_letter_ ABSL_GUARDED_BY(definition_mutex_);

  core::Lane ready_{&engine_->lane_segments};
  core::Lane returned_{&engine_->lane_segments};
  std::atomic<bool> trimming_{false};
  std::atomic<uint32_t> polls_{0};
  // What Counts looks at lies together. *_shown_: written in the turn, read anywhere.
  const Durability durability_;
  std::atomic<int64_t> in_flight_{0};
  std::atomic<int64_t> ready_count_{0};
  std::atomic<int64_t> ready_bytes_{0};
  std::atomic<int64_t> delayed_in_memory_{0};
  std::atomic<int64_t> depth_shown_{0};
  std::atomic<int64_t> delayed_shown_{0};
  // When the oldest message was sent (wall clock), as far as anybody has looked: 0 if nobody has.
  // Durable queues: written in the turn. `memory` queues: by sends and sweeps. Read by Counts,
  // which publishes nothing by it: relaxed.
  std::atomic<int64_t> oldest_sent_ms_{0};
  // A receive is parked for the in-flight limit: releases wake receives. Stored by the receive
  // before it looks at in_flight_ a last time, and read after in_flight_ was lowered (both
  // seq_cst): one of the two sees the other.
  std::atomic<bool> limited_{false};
  // Set once, with a read-modify-write; senders to a `memory` queue look with one too
  // (DeletedSinceSend), after they stored their words: either Drop sees the words, or the sender
  // sees the queue deleted.
  std::atomic<uint32_t> deleted_{0};
  std::atomic<uint64_t> memory_sequence_{1};  // `memory` queues: next sequence

  // Committer.
  storage::QueueCounters counters_;
  Sequence cursor_{0};       // SPILLED: the first sequence that may be on disk only
  uint64_t page_epoch_ = 0;  // a page read in an earlier epoch is out of date
  // Messages in memory that came from disk after they had been received: their handles know their
  // sequence.
  absl::flat_hash_map<uint64_t, core::MsgId> by_sequence_;
  Definition pending_definition_;
  bool dropped_ = false;
  bool releasing_ = false;  // an unpublished operation of this turn has taken the due delayed rows
  int unpublished_purges_ = 0;  // the store still shows what these purge
  std::vector<uint64_t>
      disk_acks_;  // messages on disk only that unpublished operations of this turn acknowledge
  Sequence published_next_{
      1};  // messages below it have been published: they are in memory or on disk only
  bool low_watermark_stale_ = false;
  Sequence oldest_sequence_{0};  // whose sent time oldest_sent_ms_ is
  const uint64_t first_sequence_of_boot_;

  // Written in the turn, read anywhere.
  std::atomic<bool> spilled_{false};
  std::atomic<uint64_t> cursor_shown_{0};
  std::atomic<uint64_t> epoch_shown_{0};
  std::atomic<uint64_t> next_sequence_shown_{0};
  std::atomic<uint64_t> published_shown_{1};
  std::atomic<uint64_t> low_watermark_shown_{0};

  std::atomic<bool> page_requested_{false};
  std::atomic<uint32_t> pages_{0};
  std::atomic<bool> two_pages_{false};      // the last page was dense: a hint
  std::atomic<uint64_t> returned_from_{0};  // where the next page of returned messages begins
  Stowed stowed_;                           // changed by the committer only
  std::atomic<bool> may_be_stowed_{false};
  std::atomic<bool> look_requested_{false};

  // The earliest time for which the queue wants to be woken for one reason. Whatever timers were
  // armed for later ones before are dead.
  struct Alarm {
    int64_t deadline_ns = core::kNever;  // monotonic; guarded by alarm_mutex_
    std::atomic<uint64_t> serial{0};     // changed with it
  };
  // Has `ring` called at `deadline_ns` unless it will be earlier.
  void SetAlarm(Alarm StandardQueue::*alarm, int64_t deadline_ns, void (StandardQueue::*ring)());
  // By its timer: false if it is not the alarm's any more.
  bool TakeAlarm(Alarm StandardQueue::*alarm, uint64_t serial);
  Mutex alarm_mutex_;
  Alarm delay_alarm_;  // the first delayed message of a durable queue is due
  Alarm lease_alarm_;  // the first lease of a stowed message is over

  // Long polls wait in turn for messages; receives that do not wait for messages but for what is on
  // disk wait together.
  ParkedReceives parked_{engine_->waiters, &engine_->lane_segments};
  Consumers consumers_;
};

template <typename F>
void StandardQueue::VisitSlots(F&& visit) {
  const uint32_t size = engine_->slab.size();
  for (uint32_t i = 0; i < size; ++i) {
    core::Slot& slot = engine_->slab.At(i);
    // The word first: it publishes the queue of its own generation.
    const core::Word word(slot.word.load(std::memory_order_acquire));
    if (word.state() == core::State::kFree ||
        slot.queue.load(std::memory_order_relaxed) != id_.value())
      continue;
    visit(core::MsgId::Of(i, word.generation()));
  }
}

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_STANDARD_QUEUE_H_
