#ifndef BARISTA_BROKER_CORE_SLAB_H_
#define BARISTA_BROKER_CORE_SLAB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "broker/base/mutex.h"
#include "broker/core/message_word.h"

namespace barista::internal {
class Payload;
}

namespace barista::core {

// Names one life of one slot: {generation:32 | slot:32}. The generation is never 0, so 0 names
// nothing.
struct MsgId {
  uint64_t bits = 0;

  static constexpr MsgId Of(uint32_t slot, uint32_t generation) {
    return MsgId{uint64_t{generation} << 32 | slot};
  }
  constexpr uint32_t slot() const { return static_cast<uint32_t>(bits); }
  constexpr uint32_t generation() const { return static_cast<uint32_t>(bits >> 32); }
  friend constexpr bool operator==(MsgId a, MsgId b) { return a.bits == b.bits; }
};

// A message in memory. Only the thread that won the transition out of a state writes the plain
// fields; they are stable while the message is READY, INFLIGHT or DELAYED, and readers who did not
// win anything use TryLock (slab.h) first.
struct alignas(64) Slot {
  // Written by every transition (compare-and-swap, acq_rel), read by all (acquire). A winner of a
  // transition sees all that the winner before wrote to the slot; with relaxed ordering a receiver
  // could see the fields of the slot's earlier life.
  std::atomic<uint64_t> word{0};
  // Monotonic ns until which the message is hidden. Stored (relaxed) before the transition that
  // makes it count, which publishes it.
  std::atomic<int64_t> visible_at_ns{0};
  std::atomic<uint64_t> sequence{0};
  internal::Payload* payload = nullptr;      // one reference, owned
  std::atomic<int64_t> first_receive_ms{0};  // wall clock; 0: never received. Written under the
                                             // lock flag, read by the committer (relaxed)
  std::atomic<uint32_t> queue{0};            // QueueId, for whole-slab visits
  std::atomic<uint32_t> payload_bytes{0};
  uint32_t next_free = 0;
  // Where the store keeps the message (storage::RecordRef).
  uint8_t record_index = 0;
  uint8_t record_count = 1;
  std::atomic<bool> has_state{false};  // written by the committer only
  bool acked = false;                  // committer only: its deletion is in a batch
  bool recovered = false;              // committer only: stored by an earlier boot
};
static_assert(sizeof(Slot) == 64, "one slot, one cache line");

// The slots of all messages of a broker, in arenas of 2 MiB that are kept until the slab dies. So
// any MsgId, however old, may be looked up at any time: a slot that lives another life has another
// generation, and a compare-and-swap on its word fails. Thread-safe.
class Slab {
 public:
  static constexpr uint32_t kArenaSlots = (2u << 20) / sizeof(Slot);
  static constexpr uint32_t kMaxArenas = 1u << 16;  // 2^31 messages

  Slab();
  ~Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // Fills `ids` with slots in state FREE and of a new generation that belong to the caller until it
  // stores another word. False (and nothing taken) if the slab is full.
  bool Allocate(absl::Span<MsgId> ids);
  // Takes back slots whose word the caller has moved to FREE.
  void Free(absl::Span<const MsgId> ids);

  Slot& At(MsgId id) const { return At(id.slot()); }
  Slot& At(uint32_t slot) const {
    return arenas_[slot / kArenaSlots].load(std::memory_order_acquire)[slot % kArenaSlots];
  }
  // Whether `id` can be of this slab at all: handles come from outside.
  bool Contains(MsgId id) const {
    return id.slot() < size_.load(std::memory_order_acquire) && id.generation() != 0;
  }
  // Slots ever allocated: the range of indices for whole-slab visits. O(1).
  uint32_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  static constexpr uint32_t kNone = ~0u;

  // An arena pointer is stored (release) before size_ grows past it (release): whoever read the
  // size finds the arena.
  std::unique_ptr<std::atomic<Slot*>[]> arenas_;
  std::atomic<uint32_t> size_{0};

  Mutex mutex_;
  uint32_t free_ ABSL_GUARDED_BY(mutex_) = kNone;
};

// Waits out a reader that holds the slot's lock flag; the current word, never locked.
inline Word LoadUnlocked(const Slot& slot) {
  Word word(slot.word.load(std::memory_order_acquire));
  while (word.locked()) word = Word(slot.word.load(std::memory_order_acquire));
  return word;
}

// One transition. On failure `*word` is the current, unlocked word.
inline bool Transition(Slot& slot, Word* word, Word to) {
  uint64_t expected = word->bits();
  if (slot.word.compare_exchange_strong(expected, to.bits(), std::memory_order_acq_rel,
                                        std::memory_order_acquire))
    return true;
  *word = LoadUnlocked(slot);
  return false;
}

// Keeps the slot's message as it is while a reader copies it. Hold for a few instructions only.
// False: `id` no longer lives.
inline bool TryLock(Slot& slot, MsgId id, Word* word) {
  *word = LoadUnlocked(slot);
  do {
    if (word->generation() != id.generation() || word->state() == State::kFree) return false;
  } while (!Transition(slot, word, word->Locked()));
  return true;
}
// Lets the slot go as `word`.
inline void Unlock(Slot& slot, Word word) {
  slot.word.store(word.bits(), std::memory_order_release);
}

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_SLAB_H_
