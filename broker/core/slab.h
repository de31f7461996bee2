#ifndef BARISTA_BROKER_CORE_SLAB_H_
#define BARISTA_BROKER_CORE_SLAB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "broker/core/atomics.h"
#include "broker/core/message_word.h"
#include "broker/core/msg_id.h"
#include "broker/core/pool.h"

namespace barista::internal {
class Payload;
}

namespace barista::core {

// A message in memory. Only the thread that won the transition out of a state writes the plain
// fields; they are stable while the message is READY, INFLIGHT or DELAYED, and readers who did not
// win anything use TryLock (slab.h) first.
template <typename A>
struct alignas(64) BasicSlot {
  template <typename T>
  using Atomic = typename A::template Atomic<T>;

  // Written by every transition (swap, acquire), and with release by whoever has written to the
  // slot: Unlock, and the store that begins a life. Read by all (acquire). So who wins a transition
  // sees what was written before; with relaxed ordering a receiver could see the slot's earlier
  // life, and a timer another's deadline. (The swaps between a release and an acquire continue its
  // sequence.)
  Atomic<uint64_t> word{0};
  // Monotonic ns until which the message is hidden. Stored (relaxed) under the lock flag, or before
  // a life begins; the word publishes it.
  Atomic<int64_t> visible_at_ns{0};
  Atomic<uint64_t> sequence{0};
  internal::Payload* payload = nullptr;  // one reference, owned
  Atomic<int64_t> first_receive_ms{0};   // wall clock; 0: never received. Written under the
                                         // lock flag, read by the committer (relaxed)
  Atomic<uint32_t> queue{0};             // QueueId, for whole-slab visits
  Atomic<uint32_t> payload_bytes{0};
  Atomic<uint32_t> next_free{0};  // the pool's
  uint32_t leases = 0;            // committer only: counts the leases written, over all lives
  // Where the store keeps the message (storage::RecordRef).
  uint8_t record_index = 0;
  uint8_t record_count = 1;
  Atomic<bool> has_state{false};  // written by the committer only
  bool acked = false;             // committer only: its deletion is in a batch
  bool by_sequence = false;       // committer only: handles may know its sequence alone
};
using Slot = BasicSlot<StdAtomics>;
static_assert(sizeof(Slot) == 64, "one slot, one cache line");

// The slots of all messages of a broker, which are kept until the slab dies. So any MsgId, however
// old, may be looked up at any time: a slot that lives another life has another generation, and a
// compare-and-swap on its word fails. Thread-safe, lock-free but for growth by an arena of 2 MiB.
//
// Being without locks pays where many threads settle messages of one another, and where a receiver
// that lost its processor must hold up nobody. Do not use it for objects of one owner, nor for such
// as must give their memory back: a free list under a mutex that nobody contends is twice as fast
// (bench/core/structures_bench), and a slab never shrinks.
class Slab {
 public:
  static constexpr uint32_t kArenaSlots = (2u << 20) / sizeof(Slot);

  // Fills `ids` with slots in state FREE and of a new generation that belong to the caller until it
  // stores another word. False (and nothing taken) if there are 2^31 messages.
  bool Allocate(absl::Span<MsgId> ids);
  // Takes back slots whose word the caller has moved to FREE.
  void Free(absl::Span<const MsgId> ids);

  Slot& At(MsgId id) const { return At(id.slot()); }
  Slot& At(uint32_t slot) const { return pool_.At(slot); }
  // Whether `id` can be of this slab at all: handles come from outside.
  bool Contains(MsgId id) const { return id.slot() < size() && id.generation() != 0; }
  // Slots ever allocated: the range of indices for whole-slab visits. O(1).
  uint32_t size() const { return pool_.size(); }

 private:
  BasicPool<Slot, kArenaSlots, 1u << 16> pool_;
};

// Waits out a reader that holds the slot's lock flag; the current word, never locked.
template <typename A>
Word LoadUnlocked(const BasicSlot<A>& slot) {
  Word word(slot.word.load(std::memory_order_acquire));
  for (int turns = 0; word.locked(); ++turns) {
    A::Pause(turns);
    word = Word(slot.word.load(std::memory_order_acquire));
  }
  return word;
}

// One transition: whoever wins sees what was released before. What it writes itself is released by
// Unlock, or by what hands the slot over. On failure `*word` is the current, unlocked word.
template <typename A>
bool Transition(BasicSlot<A>& slot, Word* word, Word to) {
  uint64_t expected = word->bits();
  if (slot.word.compare_exchange_strong(expected, to.bits(), std::memory_order_acquire,
                                        std::memory_order_relaxed))
    return true;
  *word = LoadUnlocked(slot);
  return false;
}

// Keeps the slot's message as it is while a reader copies it. Hold for a few instructions only.
// False: `id` no longer lives.
template <typename A>
bool TryLock(BasicSlot<A>& slot, MsgId id, Word* word) {
  *word = LoadUnlocked(slot);
  do {
    if (word->generation() != id.generation() || word->state() == State::kFree) return false;
  } while (!Transition(slot, word, word->Locked()));
  return true;
}
// Lets the slot go as `word`. (A plain store: nobody else changes a locked word.)
template <typename A>
void Unlock(BasicSlot<A>& slot, Word word) {
  slot.word.store(word.bits(), std::memory_order_release);
}

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_SLAB_H_
