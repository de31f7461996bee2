#ifndef BARISTA_BROKER_CORE_TIMER_WHEEL_H_
#define BARISTA_BROKER_CORE_TIMER_WHEEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "broker/core/timer_node.h"

namespace barista::core {

// Nodes by their deadlines: a hierarchical timing wheel. Owns them. Thread-compatible.
//
//   level 0    256 slots of 1 ms        this 256 ms, by the tick
//   level 1     64 slots of 256 ms      the rest of this 16.384 s
//   level 2     64 slots of 16.384 s    the rest of these 17.5 min
//   level 3     64 slots of 17.5 min    the rest of these 18.6 h
//   overflow     1 slot                 everything later
//
// The windows are aligned: where a node goes follows from the highest bit in which its tick and the
// wheel's differ. So no level wraps around, and the slots, taken in this order, are in the order of
// time: W1, a slot's nodes are all due before those of any later slot. When the wheel's time enters
// the window of a slot above level 0, its nodes move down: at most four times in a node's life, and
// once more in the overflow for each 18.6 h.
//
// Deadlines are exact: a tick is only where a node is kept. Add is O(1); TakeDue O(1) per node that
// is due or moves down, plus, each time that something in the current tick is due, what else is in
// that tick; First O(1). Nothing allocates.
//
// Source: G. Varghese, T. Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 7.
class TimerWheel {
 public:
  static constexpr int64_t kTickNs = 1'000'000;

  // `node` to be due at `deadline_ns`, which may lie in the past.
  void Add(std::unique_ptr<TimerNode> node, int64_t deadline_ns);

  // Everything with a deadline <= `now_ns`, and nothing else, in the order of the ticks; within one
  // in the order of the Adds. `now_ns` may be less than before.
  TimerList TakeDue(int64_t now_ns);

  // The dead. O(n).
  TimerList TakeDead();

  // The earliest deadline, exactly; kNever if there is no node.
  int64_t First() const;

 private:
  static constexpr size_t kOverflow = 256 + 3 * 64;
  static constexpr size_t kSlots = kOverflow + 1;

  struct Slot {
    TimerList nodes;
    int64_t first_ns = kNever;  // W2: the earliest deadline of `nodes`, exactly
  };

  static uint64_t TickOf(int64_t ns) {
    return ns <= 0 ? 0 : static_cast<uint64_t>(ns) / static_cast<uint64_t>(kTickNs);
  }
  // The slot for a deadline, by the wheel's present time.
  size_t SlotFor(int64_t deadline_ns) const;
  // The first slot that has nodes; kSlots if there is none.
  size_t FirstSlot() const;
  // When the slot's window begins.
  uint64_t BeginOf(size_t slot) const;
  void Place(std::unique_ptr<TimerNode> node);
  TimerList Take(size_t slot);

  // W3: no node's slot begins before this tick, but for those that were already due when they came:
  // they are in this tick's slot.
  uint64_t tick_ = 0;
  // A bit for each slot that has nodes: four words for level 0, one for each other.
  std::array<uint64_t, (kSlots + 63) / 64> occupied_{};
  std::array<Slot, kSlots> slots_;
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_TIMER_WHEEL_H_
