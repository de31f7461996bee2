#include "broker/core/timer_wheel.h"

#include <algorithm>
#include <utility>

namespace barista::core {
namespace {

// Ticks of a level 0, and of each level's window, as powers of two.
constexpr int kLevel0Bits = 8;
constexpr int kLevelBits = 6;
constexpr size_t kLevel0Slots = size_t{1} << kLevel0Bits;
constexpr size_t kLevelSlots = size_t{1} << kLevelBits;
constexpr int kAllBits = kLevel0Bits + 3 * kLevelBits;

}  // namespace

size_t TimerWheel::SlotFor(int64_t deadline_ns) const {
  const uint64_t tick = std::max(TickOf(deadline_ns), tick_);
  const uint64_t differs = tick ^ tick_;
  if (differs < kLevel0Slots) return tick % kLevel0Slots;
  size_t first = kLevel0Slots;
  for (int shift = kLevel0Bits; shift < kAllBits; shift += kLevelBits) {
    if (differs >> (shift + kLevelBits) == 0) return first + (tick >> shift) % kLevelSlots;
    first += kLevelSlots;
  }
  return kOverflow;
}

size_t TimerWheel::FirstSlot() const {
  for (size_t word = 0; word < occupied_.size(); ++word) {
    if (occupied_[word] != 0) {
      return word * 64 + static_cast<size_t>(__builtin_ctzll(occupied_[word]));
    }
  }
  return kSlots;
}

uint64_t TimerWheel::BeginOf(size_t slot) const {
  if (slot < kLevel0Slots) return (tick_ & ~uint64_t{kLevel0Slots - 1}) | slot;
  if (slot == kOverflow) return TickOf(slots_[slot].first_ns) >> kAllBits << kAllBits;
  const size_t level = (slot - kLevel0Slots) / kLevelSlots;
  const int shift = kLevel0Bits + static_cast<int>(level) * kLevelBits;
  const int above = shift + kLevelBits;
  return (tick_ >> above << above) | uint64_t{(slot - kLevel0Slots) % kLevelSlots} << shift;
}

void TimerWheel::Place(std::unique_ptr<TimerNode> node) {
  const size_t index = SlotFor(node->deadline_ns_);
  Slot& slot = slots_[index];
  slot.first_ns = std::min(slot.first_ns, node->deadline_ns_);
  slot.nodes.Append(std::move(node));
  occupied_[index / 64] |= uint64_t{1} << (index % 64);
}

TimerList TimerWheel::Take(size_t slot) {
  occupied_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
  slots_[slot].first_ns = kNever;
  slots_[slot].nodes.Prefetch();
  return std::move(slots_[slot].nodes);
}

void TimerWheel::Add(std::unique_ptr<TimerNode> node, int64_t deadline_ns) {
  node->deadline_ns_ = deadline_ns;
  Place(std::move(node));
}

TimerList TimerWheel::TakeDue(int64_t now_ns) {
  const uint64_t now_tick = std::max(TickOf(now_ns), tick_);
  TimerList due;
  // From one slot with nodes to the next (W1), however long nothing was between them. The ticks
  // before this one are due as a whole. This one is only reached, with what is kept for it above.
  for (;;) {
    const size_t slot = FirstSlot();
    if (slot == kSlots) break;
    const uint64_t begin = BeginOf(slot);
    if (slot < kLevel0Slots ? begin >= now_tick : begin > now_tick) break;
    tick_ = begin;
    TimerList nodes = Take(slot);
    if (slot < kLevel0Slots) {
      due.Append(std::move(nodes));
    } else {
      while (std::unique_ptr<TimerNode> node = nodes.PopFront()) Place(std::move(node));
    }
  }
  // (The first slot begins later than this, or is this tick's: the others keep their places.)
  tick_ = now_tick;
  const size_t current = now_tick % kLevel0Slots;
  if (slots_[current].first_ns <= now_ns) {
    TimerList nodes = Take(current);
    while (std::unique_ptr<TimerNode> node = nodes.PopFront()) {
      if (node->deadline_ns_ <= now_ns) {
        due.Append(std::move(node));
      } else {
        Place(std::move(node));
      }
    }
  }
  return due;
}

TimerList TimerWheel::TakeDead() {
  TimerList dead;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    TimerList nodes = Take(slot);
    while (std::unique_ptr<TimerNode> node = nodes.PopFront()) {
      if (node->Dead()) {
        dead.Append(std::move(node));
      } else {
        Place(std::move(node));  // where it was
      }
    }
  }
  return dead;
}

int64_t TimerWheel::First() const {
  const size_t slot = FirstSlot();
  return slot == kSlots ? kNever : slots_[slot].first_ns;
}

}  // namespace barista::core
