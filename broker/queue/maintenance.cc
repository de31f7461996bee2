// Purge, retention, and looking without receiving.

#include <algorithm>
#include <array>
#include <utility>

#include "broker/message/validation.h"
#include "broker/queue/operations.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

using core::MsgId;
using core::Slot;
using core::State;
using core::Word;
using storage::Batch;

namespace {

constexpr size_t kSweepMessages = 4096;
constexpr size_t kSweepBytes = 4 << 20;
// Ids of deleted messages that a lane may hold at any time.
constexpr int64_t kDeadIds = 1024;

int64_t SentMs(absl::string_view record) {
  const absl::StatusOr<MessageRecord> decoded = DecodeRecord(record);
  return decoded.ok() ? decoded->sent_ms : std::numeric_limits<int64_t>::max();
}

}  // namespace

// ---- Purge ----

class PurgeOp final : public commit::Operation {
 public:
  PurgeOp(std::shared_ptr<StandardQueue> queue, absl::Status* result, Notification* done)
      : Operation(queue->durability(), 64),
        queue_(std::move(queue)),
        result_(result),
        done_(done) {}

  absl::Status Prepare(commit::Turn& turn) override {
    StandardQueue& queue = *queue_;
    if (queue.dropped_) return QueueDoesNotExist(queue.name_);
    storage::QueueCounters& counters = queue.counters_;
    below_ = Sequence(counters.next_sequence);
    turn.batch().Add(Batch::Purge{queue.id_, below_});
    counters.purge_sequence = below_.value();
    counters.low_watermark = below_.value();
    counters.deleted = counters.enqueued;
    counters.delayed = 0;
    ++queue.unpublished_purges_;
    queue.BeginPageEpoch();
    turn.Touch(&queue);
    return absl::OkStatus();
  }

  void Publish() override {
    StandardQueue& queue = *queue_;
    --queue.unpublished_purges_;
    queue.BeginPageEpoch();
    queue.cursor_ = below_;
    queue.cursor_shown_.store(below_.value());
    queue.published_next_ = std::max(queue.published_next_, below_);
    queue.published_shown_.store(queue.published_next_.value());
    queue.spilled_.store(false, std::memory_order_release);
    queue.by_sequence_.clear();
    queue.in_flight_.fetch_sub(queue.stowed_.RemoveBelow(below_));
    StandardQueue::Freeing freeing(&queue);
    queue.VisitSlots([&](MsgId id) {
      if (queue.engine_->slab.At(id).sequence.load(std::memory_order_relaxed) < below_.value())
        queue.TryFree(id, &freeing);
    });
    queue.PublishCounters();
  }

  void Complete(const absl::Status& status) override {
    if (status.ok()) {
      queue_->TrimLanes();
      queue_->WakePageWaiters();
      queue_->WakeIfLimited();
    }
    *result_ = status;
    done_->Notify();
    delete this;
  }

 private:
  const std::shared_ptr<StandardQueue> queue_;
  absl::Status* const result_;
  Notification* const done_;
  Sequence below_;
};

absl::Status StandardQueue::Purge() {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (!durable()) {
    const uint64_t below = memory_sequence_.load();
    {
      Freeing freeing(this);
      VisitSlots([&](MsgId id) {
        if (engine_->slab.At(id).sequence.load(std::memory_order_relaxed) < below)
          TryFree(id, &freeing);
      });
    }
    TrimLanes();
    WakeIfLimited();
    return absl::OkStatus();
  }
  absl::Status result;
  Notification done;
  engine_->log->SubmitAndWait(new PurgeOp(shared_from_this(), &result, &done), &done);
  if (result.ok()) engine_->request_reclaim();
  return result;
}

// ---- Retention ----

// Removes expired messages that are on disk only, and lets the low watermark follow the deletions.
class SweepOp final : public commit::Operation {
 public:
  explicit SweepOp(std::shared_ptr<StandardQueue> queue)
      : Operation(queue->durability(), kSweepBytes), queue_(std::move(queue)) {}

  absl::Status Prepare(commit::Turn& turn) override {
    StandardQueue& queue = *queue_;
    if (queue.dropped_ || queue.unpublished_purges_ > 0 || !queue.disk_acks_.empty())
      return absl::OkStatus();
    // What may fail comes first: a refused operation has left no acknowledgement in the batch.
    if (absl::Status status = RaiseLowWatermark(turn); !status.ok()) return status;
    if (absl::Status status = LookAtOldest(); !status.ok()) return status;
    return RemoveExpired(turn);
  }

  void Publish() override {
    StandardQueue& queue = *queue_;
    if (behind_cursor_) {
      queue.disk_acks_.clear();
      queue.BeginPageEpoch();
    }
    queue.PublishCounters();
    queue.engine_->expired.fetch_add(removed_, std::memory_order_relaxed);
  }

  void Complete(const absl::Status& status) override {
    if (status.ok() && more_) queue_->engine_->log->SubmitLazy(new SweepOp(queue_));
    delete this;
  }

 private:
  absl::Status RemoveExpired(commit::Turn& turn) {
    StandardQueue& queue = *queue_;
    expired_before_ms_ = turn.wall_ms() - queue.retention_ms_.load(std::memory_order_relaxed);
    absl::Status status;
    // What came back from consumers is older than what nobody has received.
    if (const auto visible = queue.stowed_.NextVisible(Sequence(0)); visible.has_value()) {
      status = RemoveExpired(turn, visible->from(), visible->end(),
                             [&](Sequence sequence) { return visible->Contains(sequence); });
    }
    if (status.ok() && removed_ == 0 && queue.spilled_.load(std::memory_order_relaxed))
      status = RemoveExpired(turn, queue.cursor_, queue.published_next_, StandardQueue::All);
    if (!status.ok() || removed_ == 0) return status;
    queue.counters_.deleted += removed_;
    queue.low_watermark_stale_ = true;
    if (behind_cursor_) queue.BeginPageEpoch();
    turn.Touch(&queue);
    return absl::OkStatus();
  }

  // Removes the expired ones of what is `wanted` in [from, end), up to the first that is not.
  absl::Status RemoveExpired(commit::Turn& turn, Sequence from, Sequence end,
                             absl::FunctionRef<bool(Sequence)> wanted) {
    StandardQueue& queue = *queue_;
    storage::ScanLimits limits;
    limits.max_messages = kSweepMessages;
    limits.max_bytes = kSweepBytes;
    limits.end = end;
    const absl::StatusOr<storage::Page> page = queue.engine_->store->Scan(queue.id_, from, limits);
    if (!page.ok()) return page.status();
    bool all = true;
    for (const storage::ScannedMessage& message : page->messages) {
      if (!wanted(message.ref.sequence)) continue;
      all = SentMs(message.record) <= expired_before_ms_;
      if (!all) break;
      turn.batch().Add(Batch::Ack{queue.id_, message.ref});
      ++removed_;
      if (queue.stowed_.Remove(message.ref.sequence) != Stowed::Place::kNowhere) continue;
      queue.disk_acks_.push_back(message.ref.sequence.value());
      behind_cursor_ = true;
    }
    more_ = all && removed_ > 0 && (!behind_cursor_ || !page->end);
    return absl::OkStatus();
  }

  absl::Status RaiseLowWatermark(commit::Turn& turn) {
    StandardQueue& queue = *queue_;
    if (!queue.low_watermark_stale_) return absl::OkStatus();
    // The store does not show this batch yet, so what it says is at most too low.
    const absl::StatusOr<std::optional<Sequence>> first =
        queue.engine_->store->FirstLive(queue.id_, Sequence(queue.counters_.low_watermark));
    if (!first.ok()) return first.status();
    const uint64_t low =
        std::min((*first).value_or(queue.published_next_).value(), queue.published_next_.value());
    queue.low_watermark_stale_ = false;
    if (low > queue.counters_.low_watermark) {
      queue.counters_.low_watermark = low;
      turn.Touch(&queue);
    }
    return absl::OkStatus();
  }

  // Once per message that is the oldest.
  absl::Status LookAtOldest() {
    StandardQueue& queue = *queue_;
    const Sequence oldest(queue.counters_.low_watermark);
    if (oldest == queue.oldest_sequence_ || oldest >= queue.published_next_)
      return absl::OkStatus();
    const absl::StatusOr<std::optional<storage::Page>> page =
        queue.engine_->store->Lookup(queue.id_, oldest);
    if (!page.ok()) return page.status();
    queue.oldest_sequence_ = oldest;
    if (page->has_value()) {
      queue.oldest_sent_ms_.store(SentMs((*page)->messages.front().record),
                                  std::memory_order_relaxed);
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<StandardQueue> queue_;
  int64_t expired_before_ms_ = 0;
  size_t removed_ = 0;
  bool behind_cursor_ = false;  // of what was removed, something that pages may hold
  bool more_ = false;           // may have expired
};

void StandardQueue::Sweep() {
  if (deleted()) return;
  // Messages in memory: the oldest are in front of the lane. The first that is young enough goes to
  // the other lane, which is a lane like this one.
  std::vector<MsgId> expired;
  int64_t oldest_ms = std::numeric_limits<int64_t>::max();
  const int64_t expired_before_ms =
      engine_->WallMs() - retention_ms_.load(std::memory_order_relaxed);
  for (core::Lane* lane : {&ready_, &returned_}) {
    for (size_t left = lane->ApproximateSize(); left > 0; --left) {
      MsgId id;
      if (lane->Pop(absl::MakeSpan(&id, 1)) == 0) break;
      bool old = false;
      int64_t sent_ms = 0;
      const bool young = core::KeepPopped(engine_->slab.At(id), id, [&](const Slot& slot) {
        sent_ms = slot.payload->sent_ms();
        old = sent_ms <= expired_before_ms;
        return !old;
      });
      if (young) {
        oldest_ms = std::min(oldest_ms, sent_ms);
        returned_.Push(absl::MakeConstSpan(&id, 1));
        break;
      }
      if (!old) continue;  // Dead, or hidden again.
      if (Claim(id)) expired.push_back(id);
    }
  }
  if (!expired.empty()) Expire(expired);
  if (!durable() && oldest_ms != std::numeric_limits<int64_t>::max())
    oldest_sent_ms_.store(oldest_ms, std::memory_order_relaxed);
  // An idle queue owns no segment.
  for (core::Lane* lane : {&ready_, &returned_}) lane->Release();
  parked_.Trim();
  // A receive may have parked while the only message was in our hands, or been in them itself.
  LookAfterParked();
  WakeReceives();
  if (durable() &&
      (depth_shown_.load() > 0 || low_watermark_shown_.load() < next_sequence_shown_.load())) {
    engine_->log->SubmitLazy(new SweepOp(shared_from_this()));
  }
}

void StandardQueue::TrimLanes() {
  const auto live = [&] { return std::max<int64_t>(ready_count_.load(), 0); };
  if (static_cast<int64_t>(LaneSize()) <= 2 * live() + kDeadIds || trimming_.exchange(true)) return;
  std::array<MsgId, 256> ids;
  for (core::Lane* lane : {&ready_, &returned_}) {
    for (size_t left = lane->ApproximateSize(); left > 0;) {
      const size_t popped = lane->Pop(absl::MakeSpan(ids).subspan(0, std::min(left, ids.size())));
      if (popped == 0) break;
      left -= popped;
      size_t kept = 0;
      for (size_t i = 0; i < popped; ++i) {
        if (core::KeepPopped(engine_->slab.At(ids[i]), ids[i], [](const Slot&) { return true; })) {
          ids[kept++] = ids[i];
        }
      }
      lane->Push(absl::MakeConstSpan(ids).subspan(0, kept));
      // All alive: the size may have been wrong, and what is dead lies further back.
      if (kept == popped) break;
    }
  }
  trimming_.store(false);
  // A receive may have parked while its message was in our hands.
  WakeReceives();
}

// ---- Peek ----

namespace {

void Fill(Payload* adopted, PeekedMessage* message) {
  message->payload = PayloadRef(adopted);
  message->message_id = adopted->message_id();
  message->body = adopted->body();
  message->sent_at = absl::FromUnixMillis(adopted->sent_ms());
}

}  // namespace

absl::StatusOr<std::vector<PeekedMessage>> StandardQueue::Peek(const PeekOptions& options) {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (options.max_messages < 1 || options.max_messages > kMaxReceiveMessages) {
    return InvalidParameter("MaxNumberOfMessages", std::to_string(options.max_messages),
                            "Must be between 1 and 1000.", "1 to 1000");
  }
  const size_t max = static_cast<size_t>(options.max_messages);
  const int64_t now_ns = engine_->MonoNs();
  const auto show = [&](const Slot& slot, Word word, PeekedMessage* message) {
    message->receive_count = static_cast<int>(word.receives());
    const int64_t first_ms = slot.first_receive_ms.load(std::memory_order_relaxed);
    if (first_ms != 0) message->first_received_at = absl::FromUnixMillis(first_ms);
    message->state = word.state() == State::kInFlight  ? MessageState::kInFlight
                     : word.state() == State::kDelayed ? MessageState::kDelayed
                                                       : MessageState::kVisible;
    if (message->state != MessageState::kVisible) {
      message->visible_at = absl::FromUnixMillis(
          engine_->SteadyWallMs(slot.visible_at_ns.load(std::memory_order_relaxed)));
    }
  };

  std::vector<PeekedMessage> messages;
  if (!durable()) {
    std::vector<std::pair<uint64_t, MsgId>> found;
    VisitSlots([&](MsgId id) {
      found.push_back({engine_->slab.At(id).sequence.load(std::memory_order_relaxed), id});
    });
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [sequence, id] : found) {
      if (messages.size() == max) break;
      Slot& slot = engine_->slab.At(id);
      Word word;
      if (!TryLock(slot, id, &word)) continue;
      Payload* payload = slot.payload;
      payload->Ref();
      PeekedMessage message;
      show(slot, word, &message);
      Unlock(slot, word);
      Fill(payload, &message);
      messages.push_back(std::move(message));
    }
    return messages;
  }

  storage::ScanLimits limits;
  limits.max_messages = max;
  limits.end = Sequence(published_shown_.load());
  MutexLock lock(&engine_->peek_mutex);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  absl::StatusOr<storage::Page> page =
      engine_->store->Scan(id_, Sequence(low_watermark_shown_.load()), limits);
  if (!page.ok()) return page.status();
  const uint64_t last = page->messages.empty() ? 0 : page->messages.back().ref.sequence.value();
  absl::flat_hash_map<uint64_t, MsgId> resident;
  VisitSlots([&](MsgId id) {
    const uint64_t sequence = engine_->slab.At(id).sequence.load(std::memory_order_relaxed);
    if (sequence <= last) resident[sequence] = id;
  });
  for (const storage::ScannedMessage& scanned : page->messages) {
    PeekedMessage message;
    message.receive_count = static_cast<int>(scanned.lease.receives);
    if (scanned.lease.first_receive_ms != 0)
      message.first_received_at = absl::FromUnixMillis(scanned.lease.first_receive_ms);
    if (scanned.lease.visible_at_ms > engine_->SteadyWallMs(now_ns)) {
      message.state = MessageState::kInFlight;
      message.visible_at = absl::FromUnixMillis(scanned.lease.visible_at_ms);
    }
    if (const auto it = resident.find(scanned.ref.sequence.value()); it != resident.end()) {
      Slot& slot = engine_->slab.At(it->second);
      const Word word = LoadUnlocked(slot);
      if (word.generation() == it->second.generation()) {
        message.state = MessageState::kVisible;
        message.visible_at = absl::InfinitePast();
        show(slot, word, &message);
      }
    }
    Payload* payload = Payload::Copy(engine_->payloads, scanned.record);
    message.receive_count += static_cast<int>(BaseReceives(*payload));
    Fill(payload, &message);
    messages.push_back(std::move(message));
  }
  if (messages.size() < max && delayed_shown_.load() > 0) {
    absl::StatusOr<std::vector<storage::DelayedRow>> rows = engine_->store->ScanDelayed(
        id_, std::numeric_limits<int64_t>::max(), max - messages.size(), kSweepBytes);
    if (!rows.ok()) return rows.status();
    for (const storage::DelayedRow& row : *rows) {
      PeekedMessage message;
      message.state = MessageState::kDelayed;
      message.visible_at = absl::FromUnixMillis(row.due_ms);
      Fill(Payload::Copy(engine_->payloads, row.record), &message);
      messages.push_back(std::move(message));
    }
  }
  return messages;
}

}  // namespace barista::internal
