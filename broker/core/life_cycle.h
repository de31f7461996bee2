#ifndef BARISTA_BROKER_CORE_LIFE_CYCLE_H_
#define BARISTA_BROKER_CORE_LIFE_CYCLE_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "broker/core/message_word.h"
#include "broker/core/msg_id.h"
#include "broker/core/slab.h"

// The transitions of a message in memory (message_word.h draws them), each one compare-and-swap,
// and the rules that hold between them:
//
//   - of those who want the same message exactly one wins, and an id of an earlier life wins
//     nothing;
//   - the deadline in the slot is that of the transition that hid the message last: the winner
//     stores it under the lock flag, so that a loser never leaves its deadline to somebody else's
//     receive, nor to the slot's next life;
//   - a message is READY only while a lane holds its id, and no lane holds an id twice: whoever
//     makes a message READY pushes the id if, and only if, `push` says so.
//
// The counts, lanes and timers that go with a transition are the caller's. Thread-safe.
namespace barista::core {

struct MadeReady {
  bool was_in_flight;
  bool push;
};

// INFLIGHT|DELAYED -> READY, if the deadline is not beyond `now_ns`.
template <typename A>
std::optional<MadeReady> MakeReadyIfDue(BasicSlot<A>& slot, MsgId id, int64_t now_ns) {
  Word word = LoadUnlocked(slot);
  do {
    if (word.generation() != id.generation() ||
        (word.state() != State::kInFlight && word.state() != State::kDelayed)) {
      return std::nullopt;
    }
    // BasicSlot::visible_at_ns: stored (relaxed) under the lock flag, read here (relaxed); the
    // word's pair orders them. What is seen before the lock is a hint: the deadline may have
    // changed, and the word have come back to what it was.
    if (slot.visible_at_ns.load(std::memory_order_relaxed) > now_ns) return std::nullopt;
  } while (!Transition(slot, &word, word.Locked()));
  const bool due = slot.visible_at_ns.load(std::memory_order_relaxed) <= now_ns;
  Unlock(slot, due ? word.With(State::kReady).Queued() : word);
  if (!due) return std::nullopt;
  return MadeReady{word.state() == State::kInFlight, !word.queued()};
}

// Whether the last receive of a message is `receives`; 0: whichever it is.
inline bool IsReceive(Word word, uint32_t receives) {
  return receives == 0 || word.receives() == receives;
}

// INFLIGHT -> READY, whatever the deadline; there is none then. Only of the receive `receives`.
template <typename A>
std::optional<MadeReady> Release(BasicSlot<A>& slot, MsgId id, uint32_t receives = 0) {
  Word word = LoadUnlocked(slot);
  do {
    if (word.generation() != id.generation() || word.state() != State::kInFlight ||
        !IsReceive(word, receives)) {
      return std::nullopt;
    }
  } while (!Transition(slot, &word, word.Locked()));
  slot.visible_at_ns.store(0, std::memory_order_relaxed);
  Unlock(slot, word.With(State::kReady).Queued());
  return MadeReady{true, !word.queued()};
}

// What becomes of a message whose id was popped.
enum class PoppedAs {
  kNothing,    // dead, or hidden again while it lay in the lane
  kExhausted,  // MOVING: it was received `max_receives` times
  kLocked,     // locked INFLIGHT, one receive more: the caller stores deadline and the like, and
               // unlocks
};
// READY -> INFLIGHT or MOVING. `*word` becomes the word that was stored. `max_receives` 0: no
// limit.
template <typename A>
PoppedAs TakePopped(BasicSlot<A>& slot, MsgId id, uint32_t max_receives, Word* word) {
  Word found = LoadUnlocked(slot);
  while (found.generation() == id.generation()) {
    const bool ready = found.state() == State::kReady;
    const bool exhausted = ready && max_receives > 0 && found.receives() >= max_receives;
    *word = found.Unqueued();
    if (exhausted) {
      *word = word->With(State::kMoving);
    } else if (ready) {
      *word = word->With(State::kInFlight).WithReceives(found.receives() + 1).Locked();
    }
    if (!Transition(slot, &found, *word)) continue;
    return exhausted ? PoppedAs::kExhausted : ready ? PoppedAs::kLocked : PoppedAs::kNothing;
  }
  return PoppedAs::kNothing;
}

// INFLIGHT -> READY, with the receive taken back, if it is still the receive `receives`; whether to
// push.
template <typename A>
std::optional<bool> Untake(BasicSlot<A>& slot, MsgId id, uint32_t receives) {
  Word word = LoadUnlocked(slot);
  do {
    if (word.generation() != id.generation() || word.state() != State::kInFlight ||
        word.receives() != receives) {
      return std::nullopt;
    }
  } while (!Transition(slot, &word, word.Locked()));
  slot.visible_at_ns.store(0, std::memory_order_relaxed);
  Unlock(slot, word.With(State::kReady).WithReceives(receives - 1).Queued());
  return !word.queued();
}

// READY|INFLIGHT -> INFLIGHT until `until_ns`; the state it had. Only of the receive `receives`.
template <typename A>
std::optional<State> Hide(BasicSlot<A>& slot, MsgId id, int64_t until_ns, uint32_t receives = 0) {
  Word word = LoadUnlocked(slot);
  do {
    if (word.generation() != id.generation() ||
        (word.state() != State::kInFlight && word.state() != State::kReady) ||
        !IsReceive(word, receives)) {
      return std::nullopt;
    }
  } while (!Transition(slot, &word, word.Locked()));
  slot.visible_at_ns.store(until_ns, std::memory_order_relaxed);
  Unlock(slot, word.With(State::kInFlight));
  return word.state();
}

// READY|INFLIGHT -> `to`: DELETING, or FREE where there is nothing to commit; the state it had.
template <typename A>
std::optional<State> Claim(BasicSlot<A>& slot, MsgId id, State to = State::kDeleting) {
  Word word = LoadUnlocked(slot);
  do {
    if (word.generation() != id.generation() ||
        (word.state() != State::kReady && word.state() != State::kInFlight)) {
      return std::nullopt;
    }
  } while (!Transition(slot, &word, word.With(to)));
  return word.state();
}

// DELETING|MOVING -> INFLIGHT, or READY if its deadline has passed: after a refused commit.
struct Restored {
  bool in_flight;
  bool push;
  int64_t visible_at_ns;
};
template <typename A>
std::optional<Restored> Restore(BasicSlot<A>& slot, MsgId id, int64_t now_ns) {
  Word word = LoadUnlocked(slot);
  Restored restored;
  do {
    if (word.generation() != id.generation() ||
        (word.state() != State::kDeleting && word.state() != State::kMoving)) {
      return std::nullopt;
    }
    restored.visible_at_ns = slot.visible_at_ns.load(std::memory_order_relaxed);
    restored.in_flight = restored.visible_at_ns > now_ns;
    restored.push = !restored.in_flight && !word.queued();
  } while (!Transition(
      slot, &word,
      restored.in_flight ? word.With(State::kInFlight) : word.With(State::kReady).Queued()));
  return restored;
}

// INFLIGHT -> FREE, if it is still the receive `receives` and hidden until `until_ns`. The slot is
// the caller's, to be given back; what it wrote before is released to whoever finds the slot free.
template <typename A>
bool Stow(BasicSlot<A>& slot, MsgId id, uint32_t receives, int64_t until_ns) {
  Word word = LoadUnlocked(slot);
  do {
    if (word.generation() != id.generation() || word.state() != State::kInFlight ||
        word.receives() != receives) {
      return false;
    }
  } while (!Transition(slot, &word, word.Locked()));
  const bool unchanged = slot.visible_at_ns.load(std::memory_order_relaxed) == until_ns;
  Unlock(slot, unchanged ? word.With(State::kFree) : word);
  return unchanged;
}

// Any state -> FREE; the state it had. The slot is the caller's, to be given back.
template <typename A>
std::optional<State> MakeFree(BasicSlot<A>& slot, MsgId id) {
  Word word = LoadUnlocked(slot);
  do {
    if (word.generation() != id.generation() || word.state() == State::kFree) return std::nullopt;
  } while (!Transition(slot, &word, word.With(State::kFree)));
  return word.state();
}

// For whoever popped an id and wants to know whether to put it back: true if the message is READY,
// and `keep(slot)` (called under the lock flag) says so. Else the id is in no lane any more.
template <typename A, typename F>
bool KeepPopped(BasicSlot<A>& slot, MsgId id, F keep) {
  Word word;
  if (!TryLock(slot, id, &word)) return false;
  const bool kept = word.state() == State::kReady && keep(slot);
  Unlock(slot, kept ? word : word.Unqueued());
  return kept;
}

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_LIFE_CYCLE_H_
