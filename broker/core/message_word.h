#ifndef BARISTA_BROKER_CORE_MESSAGE_WORD_H_
#define BARISTA_BROKER_CORE_MESSAGE_WORD_H_

#include <cstdint>

namespace barista::core {

// The state of a message in memory.
//
//   DELAYED -> READY -> INFLIGHT -> READY ...       delay over; received; timed out or released
//   READY | INFLIGHT -> DELETING | MOVING -> FREE   delete, expiry or move, waiting for its commit
//   READY | INFLIGHT | DELAYED -> FREE              where nothing has to be committed
//   INFLIGHT -> FREE                                stowed: only the store has it from now on
//
// A refused commit takes DELETING and MOVING back.
enum class State : uint8_t {
  kFree = 0,
  kDelayed = 1,
  kReady = 2,
  kInFlight = 3,
  kDeleting = 4,
  kMoving = 5
};

// {generation:32 | queued:1 | state:3 | 0:3 | locked:1 | receives:24}. Every transition is
// one compare-and-swap on the whole word, so of a delete, a receive and an expiry exactly one wins.
// The generation counts the lives of the slot; 0 is never used.
//
// Queued: a lane holds the message's id, or somebody who popped it and has not decided yet. Whoever
// makes a message READY sets it, and pushes the id only if it was not set; whoever pops the id
// clears it, unless the id goes back into a lane. So no id is in the lanes twice, however often its
// message is hidden and shown while it lies there.
class Word {
 public:
  // A reader copies the message: wait for it.
  static constexpr uint64_t kLocked = uint64_t{1} << 24;
  static constexpr uint64_t kReceivesMask = (uint64_t{1} << 24) - 1;
  static constexpr uint64_t kQueued = uint64_t{1} << 31;

  constexpr Word() = default;
  constexpr explicit Word(uint64_t bits) : bits_(bits) {}
  constexpr Word(uint32_t generation, State state, uint32_t receives)
      : bits_(uint64_t{generation} << 32 | uint64_t{static_cast<uint8_t>(state)} << 28 |
              (receives & kReceivesMask)) {}

  constexpr uint64_t bits() const { return bits_; }
  constexpr uint32_t generation() const { return static_cast<uint32_t>(bits_ >> 32); }
  constexpr State state() const { return static_cast<State>(bits_ >> 28 & 7); }
  constexpr uint32_t receives() const { return static_cast<uint32_t>(bits_ & kReceivesMask); }
  constexpr bool locked() const { return (bits_ & kLocked) != 0; }
  constexpr bool queued() const { return (bits_ & kQueued) != 0; }

  constexpr Word With(State state) const {
    return Word((bits_ & ~(uint64_t{7} << 28)) | uint64_t{static_cast<uint8_t>(state)} << 28);
  }
  constexpr Word WithReceives(uint32_t receives) const {
    return Word((bits_ & ~kReceivesMask) | (receives < kReceivesMask ? receives : kReceivesMask));
  }
  constexpr Word Locked() const { return Word(bits_ | kLocked); }
  constexpr Word Unlocked() const { return Word(bits_ & ~kLocked); }
  constexpr Word Queued() const { return Word(bits_ | kQueued); }
  constexpr Word Unqueued() const { return Word(bits_ & ~kQueued); }

 private:
  uint64_t bits_ = 0;
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_MESSAGE_WORD_H_
