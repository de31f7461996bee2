#ifndef BARISTA_BROKER_CORE_LANE_H_
#define BARISTA_BROKER_CORE_LANE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/types/span.h"
#include "broker/core/atomics.h"
#include "broker/core/msg_id.h"
#include "broker/core/pool.h"

namespace barista::core {

// Hands message ids from those who publish to those who receive. Thread-safe, many producers and
// many consumers, lock-free.
//
// Contract: a bag with approximate first-in-first-out order. Each id pushed is popped once. A Pop
// may come up short only while a Push that began earlier is unfinished. Ids are not interpreted;
// dead ones are dropped by whoever pops them.
//
// Use it where consumers must not wait for each other, nor for a producer that lost its processor
// in the middle: that is, for the tails. Where one thread at a time pushes or pops, MutexLane is as
// fast and simpler; where order matters, this is the wrong structure.
//
// Cost: one compare-and-swap for a batch within a segment. An idle lane that never held an id owns
// no segment; one that was filled and emptied owns one at most.
//
// A chain of segments of kIds slots. A producer reserves slots with the segment's tail and fills
// them; a consumer copies the filled slots behind the segment's head and owns what it copied if it
// then moves the head over them. So nothing is lost on an empty lane, no consumer waits for a
// producer, and no slot is read after the swap that takes it: whoever unlinks a drained segment
// recycles it at once. Whoever still looks at it finds other epochs: each life of a segment has its
// own, it is in every word that is swapped, and so a swap by somebody who slept through the
// recycling fails.
template <typename A, uint32_t kIds>
struct LaneSegment {
  // {epoch:32 | next slot to pop:32}
  alignas(64) typename A::template Atomic<uint64_t> head{uint64_t{1} << 32};
  // {epoch:32 | next slot to reserve:32}
  alignas(64) typename A::template Atomic<uint64_t> tail{uint64_t{1} << 32};
  // The successor's {epoch:32 | segment:32}, or {own epoch | kOpen or kClosed}.
  typename A::template Atomic<uint64_t> next{uint64_t{1} << 32 | kOpen};
  // Ids that went through the lane's chain before this segment.
  typename A::template Atomic<uint64_t> base{0};
  typename A::template Atomic<uint32_t> next_free{0};
  alignas(64) typename A::template Atomic<uint64_t> ids[kIds];

  static constexpr uint32_t kOpen = ~0u;        // has no successor yet
  static constexpr uint32_t kClosed = ~0u - 1;  // was the last one when it was drained
};

template <typename A = StdAtomics, uint32_t kIds = 128,
          typename SegmentPool = BasicPool<LaneSegment<A, kIds>, 256, 1 << 14, A>>
class BasicLane {
 public:
  using Pool = SegmentPool;
  using Segment = LaneSegment<A, kIds>;

  // `pool` outlives every call and may serve many lanes. Segments that the lane still has when it
  // dies stay with the pool, unused: call Release first where that matters.
  explicit BasicLane(Pool* pool) : pool_(pool) {}
  BasicLane(const BasicLane&) = delete;
  BasicLane& operator=(const BasicLane&) = delete;

  // No id may be 0.
  void Push(absl::Span<const MsgId> ids);

  // Takes up to ids.size() ids from the front; returns how many.
  size_t Pop(absl::Span<MsgId> ids);

  // If the lane is empty it owns no segment afterwards, unless somebody pushes meanwhile. Others
  // may pop ids that say MsgId::Nobody().
  void Release();

  // Whether a Pop would find nothing now.
  bool Empty() const;

  // Ids in the lane, those of unfinished pushes included. While others move the lane along it may
  // be any number, seldom.
  size_t ApproximateSize() const;

 private:
  // A segment in one of its lives, {epoch:32 | segment:32}; 0: none.
  using Ref = uint64_t;

  static constexpr Ref kNone = 0;
  static constexpr uint32_t kOpen = Segment::kOpen;
  static constexpr uint32_t kClosed = Segment::kClosed;

  static uint32_t High(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
  static uint32_t Low(uint64_t word) { return static_cast<uint32_t>(word); }
  static uint64_t Make(uint32_t high, uint32_t low) { return uint64_t{high} << 32 | low; }

  Segment& At(Ref ref) const { return pool_->At(Low(ref)); }

  // Moves as many of `ids` into a fresh segment as go in.
  Ref Fresh(absl::Span<const MsgId>* ids, uint64_t base);
  // Takes back what Fresh made: nobody has seen it.
  void Discard(Ref ref) { Recycle(ref); }
  // Head from `ref`, which is drained, to `to`; whoever does it recycles `ref`.
  void Unlink(Ref ref, Ref to);
  void Recycle(Ref ref);
  void SetHint(Ref from, Ref to) {
    if (from != to) {
      tail_.compare_exchange_strong(from, to, std::memory_order_release, std::memory_order_relaxed);
    }
  }

  Pool* const pool_;

  // The first segment. Written (swap, release) by the push that brings the first segment and by the
  // pop that unlinks a drained one; read (acquire) by all. The pair makes a segment's fresh state
  // visible to whoever finds it: without it an id could be stored before the slot was cleared, and
  // be lost.
  typename A::template Atomic<Ref> head_{kNone};
  // Where pushes begin to look for the last segment: it, an earlier one, one that has been recycled
  // since (its epoch tells), or none. Written (swap, release) by pushes, read (acquire) by them;
  // the pair is needed as that of head_ is.
  typename A::template Atomic<Ref> tail_{kNone};
};

using Lane = BasicLane<>;

template <typename A, uint32_t kIds, typename P>
void BasicLane<A, kIds, P>::Push(absl::Span<const MsgId> ids) {
  while (!ids.empty()) {
    const Ref hint = tail_.load(std::memory_order_acquire);
    const Ref ref = hint != kNone ? hint : head_.load(std::memory_order_acquire);
    if (ref == kNone) {
      absl::Span<const MsgId> rest = ids;
      const Ref fresh = Fresh(&rest, 0);
      Ref none = kNone;
      if (head_.compare_exchange_strong(none, fresh, std::memory_order_release,
                                        std::memory_order_relaxed)) {
        SetHint(hint, fresh);
        ids = rest;
      } else {
        Discard(fresh);
      }
      continue;
    }

    Segment& segment = At(ref);
    // Segment::tail: moved by producers (swap, relaxed): it only hands out slots. What is in a slot
    // is published by the slot itself.
    uint64_t tail = segment.tail.load(std::memory_order_relaxed);
    if (High(tail) != High(ref)) {  // Recycled.
      SetHint(hint, kNone);
      continue;
    }
    if (Low(tail) < kIds) {
      const uint32_t first = Low(tail);
      const uint32_t n = static_cast<uint32_t>(std::min<size_t>(ids.size(), kIds - first));
      if (!segment.tail.compare_exchange_strong(tail, tail + n, std::memory_order_relaxed,
                                                std::memory_order_relaxed)) {
        continue;
      }
      for (uint32_t i = 0; i < n; ++i) {
        // Segment::ids: stored by the producer that reserved the slot (release), cleared by
        // Recycle, read by consumers (acquire). The pair hands over the message with its id:
        // without it a consumer could find the message as it was in the slot's earlier life.
        segment.ids[first + i].store(ids[i].bits, std::memory_order_release);
      }
      ids.remove_prefix(n);
      continue;
    }

    // Segment::next: swapped once in a life, by the push that brings the successor or the pop that
    // closes the chain (release), read by all (acquire). The pair hands over the successor's fresh
    // state; and that the segment is drained, to a push that unlinks it.
    uint64_t next = segment.next.load(std::memory_order_acquire);
    if (Low(next) == kOpen) {
      if (High(next) != High(ref)) continue;
      absl::Span<const MsgId> rest = ids;
      const Ref fresh = Fresh(&rest, segment.base.load(std::memory_order_relaxed) + kIds);
      if (segment.next.compare_exchange_strong(next, fresh, std::memory_order_release,
                                               std::memory_order_relaxed)) {
        SetHint(hint, fresh);
        ids = rest;
      } else {
        Discard(fresh);
      }
    } else if (Low(next) == kClosed) {
      if (High(next) == High(ref)) Unlink(ref, kNone);
      SetHint(hint, kNone);
    } else if (High(segment.tail.load(std::memory_order_relaxed)) == High(ref)) {
      // (Still the same life, so `next` is its successor: whoever links one in a later life has
      // seen the tail of that life.)
      SetHint(hint, next);
    }
  }
}

template <typename A, uint32_t kIds, typename P>
size_t BasicLane<A, kIds, P>::Pop(absl::Span<MsgId> ids) {
  size_t popped = 0;
  while (popped < ids.size()) {
    const Ref ref = head_.load(std::memory_order_acquire);
    if (ref == kNone) break;
    Segment& segment = At(ref);
    // Segment::head: moved by consumers (swap, release), read by them (acquire). The pair hands to
    // whoever finds the segment drained what each consumer knew, above all that the slots had been
    // filled: without it a slot could be cleared before it was filled, and an id be popped twice.
    uint64_t head = segment.head.load(std::memory_order_acquire);
    if (High(head) != High(ref)) continue;
    const uint32_t first = Low(head);
    if (first < kIds) {
      const uint32_t most =
          static_cast<uint32_t>(std::min<size_t>(ids.size() - popped, kIds - first));
      uint32_t n = 0;
      for (; n < most; ++n) {
        const uint64_t bits = segment.ids[first + n].load(std::memory_order_acquire);
        if (bits == 0) break;
        ids[popped + n].bits = bits;
      }
      if (n == 0) {
        // Nothing there, if the slot is still of the life that we think it is: Recycle moves the
        // head to its new epoch before it clears (release) a slot.
        if (segment.head.load(std::memory_order_relaxed) != head) continue;
        break;
      }
      if (segment.head.compare_exchange_strong(head, head + n, std::memory_order_release,
                                               std::memory_order_relaxed)) {
        popped += n;
      }
      continue;
    }

    uint64_t next = segment.next.load(std::memory_order_acquire);
    if (Low(next) == kOpen || Low(next) == kClosed) {
      if (High(next) != High(ref)) continue;
      // The last segment, and drained. It goes, so that an idle lane owns nothing.
      if (Low(next) == kOpen && !segment.next.compare_exchange_strong(
                                    next, Make(High(ref), kClosed), std::memory_order_release,
                                    std::memory_order_relaxed)) {
        continue;
      }
      next = kNone;
    } else if (High(segment.tail.load(std::memory_order_relaxed)) != High(ref)) {
      continue;
    }
    Unlink(ref, next);
  }
  return popped;
}

template <typename A, uint32_t kIds, typename P>
void BasicLane<A, kIds, P>::Release() {
  // A segment goes when it is drained: so it is filled up with ids of nobody, which are popped.
  const Ref ref = head_.load(std::memory_order_relaxed);
  if (ref == kNone || !Empty()) return;
  Segment& segment = At(ref);
  uint64_t tail = segment.tail.load(std::memory_order_relaxed);
  if (High(tail) != High(ref)) return;
  if (Low(tail) < kIds) {
    if (!segment.tail.compare_exchange_strong(
            tail, Make(High(ref), kIds), std::memory_order_relaxed, std::memory_order_relaxed)) {
      return;
    }
    for (uint32_t i = Low(tail); i < kIds; ++i) {
      segment.ids[i].store(MsgId::Nobody().bits, std::memory_order_relaxed);
    }
  }
  MsgId id;
  while (Pop(absl::MakeSpan(&id, 1)) > 0) {
    if (id == MsgId::Nobody()) continue;
    Push(absl::MakeConstSpan(&id, 1));
    return;
  }
}

template <typename A, uint32_t kIds, typename P>
bool BasicLane<A, kIds, P>::Empty() const {
  for (;;) {
    const Ref ref = head_.load(std::memory_order_acquire);
    if (ref == kNone) return true;
    const Segment& segment = At(ref);
    const uint64_t head = segment.head.load(std::memory_order_relaxed);
    if (High(head) != High(ref)) continue;
    if (Low(head) < kIds) {
      if (segment.ids[Low(head)].load(std::memory_order_acquire) != 0) return false;
      if (segment.head.load(std::memory_order_relaxed) == head) return true;
      continue;
    }
    const uint64_t next = segment.next.load(std::memory_order_relaxed);
    if (Low(next) != kOpen && Low(next) != kClosed) return false;
    if (High(next) == High(ref)) return true;
  }
}

template <typename A, uint32_t kIds, typename P>
size_t BasicLane<A, kIds, P>::ApproximateSize() const {
  const Ref first = head_.load(std::memory_order_acquire);
  if (first == kNone) return 0;
  const Ref hint = tail_.load(std::memory_order_acquire);
  const Ref last = hint != kNone ? hint : first;
  const uint64_t begin = At(first).base.load(std::memory_order_relaxed);
  const uint64_t end = At(last).base.load(std::memory_order_relaxed);
  const uint64_t head = At(first).head.load(std::memory_order_relaxed);
  const uint64_t tail = At(last).tail.load(std::memory_order_relaxed);
  // Segments that change hands while we look have no size that means anything.
  if (High(head) != High(first) || High(tail) != High(last)) return 0;
  return end + Low(tail) > begin + Low(head) ? end + Low(tail) - begin - Low(head) : 0;
}

template <typename A, uint32_t kIds, typename P>
uint64_t BasicLane<A, kIds, P>::Fresh(absl::Span<const MsgId>* ids, uint64_t base) {
  uint32_t number;
  if (!pool_->Allocate(absl::MakeSpan(&number, 1))) std::abort();  // 2^28 ids lie in lanes
  Segment& segment = pool_->At(number);
  const uint32_t epoch = High(segment.tail.load(std::memory_order_relaxed));
  const uint32_t n = static_cast<uint32_t>(std::min<size_t>(ids->size(), kIds));
  // Published as a whole by the swap that makes it part of the chain.
  for (uint32_t i = 0; i < n; ++i) {
    segment.ids[i].store((*ids)[i].bits, std::memory_order_relaxed);
  }
  segment.base.store(base, std::memory_order_relaxed);
  segment.tail.store(Make(epoch, n), std::memory_order_relaxed);
  ids->remove_prefix(n);
  return Make(epoch, number);
}

template <typename A, uint32_t kIds, typename P>
void BasicLane<A, kIds, P>::Unlink(Ref ref, Ref to) {
  Ref expected = ref;
  if (head_.compare_exchange_strong(expected, to, std::memory_order_release,
                                    std::memory_order_relaxed)) {
    Recycle(ref);
  }
}

template <typename A, uint32_t kIds, typename P>
void BasicLane<A, kIds, P>::Recycle(Ref ref) {
  Segment& segment = At(ref);
  const uint32_t epoch = High(ref) + 1 == 0 ? 1 : High(ref) + 1;
  segment.head.store(Make(epoch, 0), std::memory_order_relaxed);
  segment.tail.store(Make(epoch, 0), std::memory_order_relaxed);
  segment.next.store(Make(epoch, kOpen), std::memory_order_relaxed);
  for (uint32_t i = 0; i < kIds; ++i) segment.ids[i].store(0, std::memory_order_release);
  const uint32_t number = Low(ref);
  pool_->Free(absl::MakeConstSpan(&number, 1));
}

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_LANE_H_
