#ifndef BARISTA_BROKER_CORE_WAITERS_H_
#define BARISTA_BROKER_CORE_WAITERS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/types/span.h"
#include "broker/core/atomics.h"
#include "broker/core/lane.h"
#include "broker/core/msg_id.h"
#include "broker/core/pool.h"

namespace barista::core {

// Names one life of one waiter; 0 names nobody. Lanes carry it as they carry the ids of messages.
using WaiterId = MsgId;

// What a waiter waits for.
enum class Waits {
  kInTurn,    // one of the things that others publish: they are woken one at a time
  kTogether,  // something that concerns all of them: WakeTogether empties their lane
};

// A waiter's place in the pool.
template <typename T, typename A>
struct WaiterCell {
  // {generation:32 | 0:22 | woken:1 | parked:1 | requests:8}. A waiter's RUNNING owner swaps it to
  // PARKED (release); whoever wins it back has its T and all that the owner wrote from there: a
  // Request by this word (acquire), a Wake by the lane, which carried the id. What else changes the
  // word hands nothing over: relaxed. A free cell holds the generation of its next life.
  typename A::template Atomic<uint64_t> word{uint64_t{1} << 32};
  T waiter{};  // written by who parks, taken by the winner; T() while the waiter is not PARKED
  typename A::template Atomic<uint32_t> next_free{0};  // the pool's
};

// Those who wait for what others publish, without a thread: parked receives.
//
//            Begin             Park
//   nobody --------> RUNNING --------> PARKED
//      ^    Finish    |  ^                |
//      +--------------+  +----------------+   Wake, or a Request
//
// Each transition is one compare-and-swap on the waiter's word, so of a wake, a timeout and a
// cancellation exactly one wins. Whoever wins owns the waiter, which is RUNNING again, and gets the
// T that was parked with it: a reference that keeps it alive meanwhile. Requests to a RUNNING
// waiter are remembered: then Park refuses, and Finish tells. An id of a waiter that is finished
// may be used at any time, as long as the pool lives: it wins nothing.
//
// Thread-safe, any number of threads in each call; lock-free but for growth of the pool. T is a
// pointer that owns (std::shared_ptr); T() refers to nobody.
//
// No wake-up is lost if everybody does this:
//
//   who publishes   publish; then, while Any() and something is left, Wake and serve
//   who waits       Park; then look whether something is there; if so, do as who publishes does
//
// The look is for all, not for oneself, and due even if the waiter has been won by somebody else
// meanwhile: a Wake may come up short while a Park or a Trim that began earlier is unfinished, and
// Any() may overlook others while one is given up in the middle of its Park. Whoever was unfinished
// then looks for those who were overlooked. The same holds for a state that ends waiters (closed),
// with Wake until nobody is left.
//
// Order: who parked first is served first, approximately. One that was woken, found nothing and
// parks again comes before all that were never woken; those who wait kTogether come after all
// others, and need no message to be woken. A Park that has lost its processor may hold up those
// behind it for as long.
//
// Use it where many publish, wait and give up at once, and none may hold up the others. Do not use
// it for threads that sleep (a condition variable), where the order must be exact, or for what a
// publisher may not run.
//
// Cost: while nobody waits, one read-modify-write for who publishes, and no memory: no lane owns a
// segment. A Park is two, and a push; ids of those who were given up stay in the lane as dead ones,
// and go when they are popped, or with the first Park that finds them outnumber the others (by
// kDeadIds): O(1) amortized. 2^26 waiters a pool; one more aborts (they would take 20 GiB).
template <typename T, typename A = StdAtomics, typename L = BasicLane<A>,
          typename P = BasicPool<WaiterCell<T, A>, 4096, 1 << 14, A>>
class BasicWaiters {
 public:
  using Pool = P;
  static constexpr size_t kDeadIds = 256;
  // Requests are bits of the caller's choice.
  static constexpr uint32_t kAllRequests = 0xff;

  // `pool` may serve many. It is shared because a waiter may be asked to end long after everything
  // else is gone. `segments` outlives every call but Request and Gone. What the lanes still own
  // when we die stays with `segments`, unused: call Trim first where that matters.
  BasicWaiters(std::shared_ptr<Pool> pool, typename L::Pool* segments)
      : woken_(segments), fresh_(segments), together_(segments), pool_(std::move(pool)) {}
  BasicWaiters(const BasicWaiters&) = delete;
  BasicWaiters& operator=(const BasicWaiters&) = delete;

  // A waiter, RUNNING and the caller's.
  WaiterId Begin();

  // RUNNING -> PARKED, by its owner, who owns it no longer: it may have been won, and be finished,
  // when this returns. False if a request has come: it is RUNNING still. Look again afterwards,
  // see above.
  bool Park(WaiterId id, T waiter, Waits waits);

  // Whether anybody is PARKED. Orders as it says above; a load would not.
  bool Any() { return parked_.fetch_add(0, std::memory_order_acq_rel) > 0; }

  // PARKED -> RUNNING, of who comes first; it is the caller's. T(): nobody found.
  T Wake();
  // The same of those who wait kTogether only.
  T WakeTogether() { return WakeFrom(&together_); }

  // Asks a waiter to end. If it was PARKED it is RUNNING and the caller's, who finishes it. T(): it
  // was RUNNING, and its owner learns of the request; or it is gone.
  T Request(WaiterId id, uint32_t requests);

  // The end of a waiter, by its owner; what was requested. From now on requests come too late.
  uint32_t Finish(WaiterId id);
  bool Gone(WaiterId id) const {
    return Generation(pool_->At(id.slot()).word.load(std::memory_order_relaxed)) != id.generation();
  }

  // Drops dead ids; lanes that are empty then own no segment afterwards, unless somebody parks
  // meanwhile. Look again afterwards, as after a Park. O(ids).
  void Trim();

 private:
  using Cell = WaiterCell<T, A>;

  static constexpr uint64_t kParked = 1 << 8;
  static constexpr uint64_t kWoken = 1 << 9;

  static uint32_t Generation(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
  static uint32_t Requests(uint64_t word) { return static_cast<uint32_t>(word & kAllRequests); }

  // The T of a waiter that the caller has just won.
  T Won(Cell* cell) {
    parked_.fetch_sub(1, std::memory_order_relaxed);
    return std::exchange(cell->waiter, T());
  }
  T WakeFrom(L* lane);
  void DropDead();
  size_t ApproximateIds() const {
    return woken_.ApproximateSize() + fresh_.ApproximateSize() + together_.ApproximateSize();
  }

  // Ids of PARKED waiters, each in one lane or in the hands of who parks, pops or trims it; and
  // dead ones. An id is pushed when its waiter is PARKED, and only who popped it parks it again: so
  // no waiter has two.
  L woken_;     // kInTurn, woken before
  L fresh_;     // kInTurn
  L together_;  // kTogether
  const std::shared_ptr<Pool> pool_;
  // PARKED waiters; less while a Park is unfinished. Raised by Park behind its push, and read by
  // Any, with read-modify-writes on both sides (acq_rel), as in Trim: the one that comes second
  // sees what was done before the first. So either who publishes finds the waiter in its lane, or
  // who parks finds what was published. With less both could miss each other: a message lies there,
  // and a waiter beside it. Lowered by the winner (relaxed).
  typename A::template Atomic<int32_t> parked_{0};
  // Somebody trims; a second would only repeat it (relaxed).
  typename A::template Atomic<bool> trimming_{false};
};

template <typename T>
using Waiters = BasicWaiters<T>;

template <typename T, typename A, typename L, typename P>
WaiterId BasicWaiters<T, A, L, P>::Begin() {
  uint32_t cell;
  if (!pool_->Allocate(absl::MakeSpan(&cell, 1))) std::abort();
  return WaiterId::Of(cell, Generation(pool_->At(cell).word.load(std::memory_order_relaxed)));
}

template <typename T, typename A, typename L, typename P>
bool BasicWaiters<T, A, L, P>::Park(WaiterId id, T waiter, Waits waits) {
  Cell& cell = pool_->At(id.slot());
  uint64_t word = cell.word.load(std::memory_order_relaxed);
  if (Requests(word) != 0) return false;
  cell.waiter = std::move(waiter);
  do {
    A::Relies(Generation(word) == id.generation() && (word & kParked) == 0);
    if (Requests(word) != 0) {
      waiter = std::exchange(cell.waiter, T());
      return false;
    }
  } while (!cell.word.compare_exchange_weak(word, word | kParked, std::memory_order_release,
                                            std::memory_order_relaxed));
  L& lane = waits == Waits::kTogether ? together_ : (word & kWoken) != 0 ? woken_ : fresh_;
  lane.Push(absl::MakeConstSpan(&id, 1));
  if (const size_t ids = ApproximateIds(); ids > kDeadIds) {
    const int32_t parked = std::max(parked_.load(std::memory_order_relaxed), 0);
    if (ids > 2 * static_cast<size_t>(parked) + kDeadIds) DropDead();
  }
  parked_.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

template <typename T, typename A, typename L, typename P>
T BasicWaiters<T, A, L, P>::Wake() {
  for (L* lane : {&woken_, &fresh_}) {
    if (T waiter = WakeFrom(lane)) return waiter;
  }
  return WakeFrom(&together_);
}

template <typename T, typename A, typename L, typename P>
T BasicWaiters<T, A, L, P>::WakeFrom(L* lane) {
  WaiterId id;
  while (lane->Pop(absl::MakeSpan(&id, 1)) > 0) {
    Cell& cell = pool_->At(id.slot());
    uint64_t word = cell.word.load(std::memory_order_relaxed);
    // (Who fails to swap a PARKED word has lost to a request: nothing else is done to it.)
    if (Generation(word) == id.generation() && (word & kParked) != 0 &&
        cell.word.compare_exchange_strong(word, (word & ~kParked) | kWoken,
                                          std::memory_order_relaxed, std::memory_order_relaxed)) {
      return Won(&cell);
    }
  }
  return T();
}

template <typename T, typename A, typename L, typename P>
T BasicWaiters<T, A, L, P>::Request(WaiterId id, uint32_t requests) {
  Cell& cell = pool_->At(id.slot());
  uint64_t word = cell.word.load(std::memory_order_relaxed);
  do {
    if (Generation(word) != id.generation()) return T();
  } while (!cell.word.compare_exchange_weak(word, (word | requests) & ~kParked,
                                            std::memory_order_acquire, std::memory_order_relaxed));
  return (word & kParked) != 0 ? Won(&cell) : T();
}

template <typename T, typename A, typename L, typename P>
uint32_t BasicWaiters<T, A, L, P>::Finish(WaiterId id) {
  const uint32_t next = id.generation() + 1 == 0 ? 1 : id.generation() + 1;
  const uint32_t cell = id.slot();
  const uint64_t word =
      pool_->At(cell).word.exchange(uint64_t{next} << 32, std::memory_order_relaxed);
  A::Relies(Generation(word) == id.generation() && (word & kParked) == 0);
  pool_->Free(absl::MakeConstSpan(&cell, 1));
  return Requests(word);
}

template <typename T, typename A, typename L, typename P>
void BasicWaiters<T, A, L, P>::Trim() {
  DropDead();
  for (L* lane : {&woken_, &fresh_, &together_}) lane->Release();
  // As Park's: who came by while we had ids in our hands comes before it.
  parked_.fetch_add(0, std::memory_order_acq_rel);
}

template <typename T, typename A, typename L, typename P>
void BasicWaiters<T, A, L, P>::DropDead() {
  if (trimming_.exchange(true, std::memory_order_relaxed)) return;
  std::array<WaiterId, 64> ids;
  for (L* lane : {&woken_, &fresh_, &together_}) {
    WaiterId first;  // kept: when it comes again we have been round, whatever the size said
    bool round = false;
    for (size_t left = lane->ApproximateSize(); left > 0 && !round;) {
      const size_t popped = lane->Pop(absl::MakeSpan(ids).subspan(0, std::min(left, ids.size())));
      if (popped == 0) break;
      left -= popped;
      size_t kept = 0;
      for (size_t i = 0; i < popped; ++i) {
        const uint64_t word = pool_->At(ids[i].slot()).word.load(std::memory_order_relaxed);
        if (Generation(word) != ids[i].generation() || (word & kParked) == 0) continue;
        round |= ids[i] == first;
        if (first.bits == 0) first = ids[i];
        ids[kept++] = ids[i];
      }
      lane->Push(absl::MakeConstSpan(ids).subspan(0, kept));
    }
  }
  trimming_.store(false, std::memory_order_relaxed);
}

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_WAITERS_H_
