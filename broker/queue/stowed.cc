#include "broker/queue/stowed.h"

#include <algorithm>
#include <utility>

namespace barista::internal {
namespace {

uint64_t SegmentOf(Sequence sequence) { return sequence.value() >> Stowed::kSegmentBits; }
uint64_t BitOf(Sequence sequence) { return sequence.value() & (Stowed::kSegmentMessages - 1); }

template <typename Bits>
bool Test(const Bits& bits, uint64_t bit) {
  return (bits[bit / 64] >> bit % 64 & 1) != 0;
}
template <typename Bits>
void Set(Bits& bits, uint64_t bit) {
  bits[bit / 64] |= uint64_t{1} << bit % 64;
}
template <typename Bits>
void Reset(Bits& bits, uint64_t bit) {
  bits[bit / 64] &= ~(uint64_t{1} << bit % 64);
}
template <typename Bits>
bool None(const Bits& bits) {
  return std::all_of(bits.begin(), bits.end(), [](uint64_t word) { return word == 0; });
}
// Of a set that is not empty: the lowest bit, and the one behind the highest.
template <typename Bits>
std::pair<uint64_t, uint64_t> Range(const Bits& bits) {
  size_t low = 0;
  while (bits[low] == 0) ++low;
  size_t high = bits.size() - 1;
  while (bits[high] == 0) --high;
  return {low * 64 + static_cast<uint64_t>(__builtin_ctzll(bits[low])),
          high * 64 + 64 - static_cast<uint64_t>(__builtin_clzll(bits[high]))};
}

}  // namespace

bool Stowed::Visible::Contains(Sequence sequence) const {
  return sequence >= from_ && sequence < end_ && Test(bits_, BitOf(sequence));
}

Stowed::Place Stowed::Find(Sequence sequence) const {
  MutexLock lock(&mutex_);
  const auto it = segments_.find(SegmentOf(sequence));
  if (it == segments_.end()) return Place::kNowhere;
  const State& state = *it->second;
  const uint64_t bit = BitOf(sequence);
  return Test(state.hidden, bit)    ? Place::kHidden
         : Test(state.visible, bit) ? Place::kVisible
                                    : Place::kNowhere;
}

void Stowed::Hide(uint64_t number, State& state, uint64_t bit, int64_t until_ms) {
  Set(state.hidden, bit);
  Set(state.changed, bit);
  state.changed_over_ms = std::min(state.changed_over_ms, until_ms);
  if (until_ms < state.first_over_ms) SetOver(number, state, until_ms);
}

Stowed::Place Stowed::Hide(Sequence sequence, int64_t until_ms) {
  MutexLock lock(&mutex_);
  const uint64_t number = SegmentOf(sequence);
  const auto it = segments_.try_emplace(number).first;
  if (it->second == nullptr) it->second = std::make_unique<State>();
  const Place was = Clear(it, BitOf(sequence));
  Hide(number, *it->second, BitOf(sequence), until_ms);
  return was;
}

void Stowed::HideAll(absl::Span<const storage::HiddenMessage> messages) {
  MutexLock lock(&mutex_);
  while (!messages.empty()) {
    const uint64_t number = SegmentOf(messages.front().sequence);
    std::unique_ptr<State>& state = segments_.try_emplace(number).first->second;
    if (state == nullptr) state = std::make_unique<State>();
    for (; !messages.empty() && SegmentOf(messages.front().sequence) == number;
         messages.remove_prefix(1)) {
      Hide(number, *state, BitOf(messages.front().sequence), messages.front().visible_at_ms);
    }
  }
}

void Stowed::Touch(Sequence sequence, int64_t until_ms) {
  MutexLock lock(&mutex_);
  const auto it = segments_.find(SegmentOf(sequence));
  if (it != segments_.end() && Test(it->second->hidden, BitOf(sequence)))
    Hide(it->first, *it->second, BitOf(sequence), until_ms);
}

Stowed::Place Stowed::Remove(Sequence sequence) {
  MutexLock lock(&mutex_);
  const auto it = segments_.find(SegmentOf(sequence));
  if (it == segments_.end()) return Place::kNowhere;
  const Place was = Clear(it, BitOf(sequence));
  if (was != Place::kNowhere) Tidy(it);
  return was;
}

bool Stowed::TakeVisible(Sequence sequence) {
  MutexLock lock(&mutex_);
  const auto it = segments_.find(SegmentOf(sequence));
  if (it == segments_.end() || !Test(it->second->visible, BitOf(sequence))) return false;
  Clear(it, BitOf(sequence));
  Tidy(it);
  return true;
}

int64_t Stowed::RemoveBelow(Sequence end) {
  MutexLock lock(&mutex_);
  int64_t hidden = 0;
  while (!segments_.empty() && segments_.begin()->first <= SegmentOf(end)) {
    const auto it = segments_.begin();
    const bool last = it->first == SegmentOf(end);
    const uint64_t bits = last ? BitOf(end) : kSegmentMessages;
    for (uint64_t bit = 0; bit < bits; ++bit) hidden += Clear(it, bit) == Place::kHidden;
    Tidy(it);
    if (last) break;
  }
  return hidden;
}

std::vector<Stowed::Segment> Stowed::BeginLook(int64_t now_ms, size_t max) {
  MutexLock lock(&mutex_);
  std::vector<Segment> segments;
  for (const auto& [first_over_ms, number] : by_time_) {
    if (first_over_ms > now_ms || segments.size() == max) break;
    State& state = *segments_.at(number);
    state.changed = {};
    state.changed_over_ms = kNoTime;
    const auto [low, high] = Range(state.hidden);
    const uint64_t base = number << kSegmentBits;
    segments.push_back({Sequence(base + low), Sequence(base + high)});
  }
  return segments;
}

int64_t Stowed::Settle(const Segment& segment, absl::Span<const storage::HiddenMessage> hidden) {
  MutexLock lock(&mutex_);
  const auto it = segments_.find(SegmentOf(segment.from));
  if (it == segments_.end()) return 0;
  State& state = *it->second;
  Bits still = state.changed;
  int64_t first_over_ms = state.changed_over_ms;
  for (const storage::HiddenMessage& message : hidden) {
    if (!Test(state.hidden, BitOf(message.sequence))) continue;  // It is in memory.
    Set(still, BitOf(message.sequence));
    first_over_ms = std::min(first_over_ms, message.visible_at_ms);
  }
  int64_t became_visible = 0;
  for (size_t i = 0; i < still.size(); ++i) {
    const uint64_t over = state.hidden[i] & ~still[i];
    became_visible += __builtin_popcountll(over);
    state.visible[i] |= over;
    state.hidden[i] &= still[i];
  }
  if (!None(state.visible)) with_visible_.insert(it->first);
  visible_.fetch_add(became_visible, std::memory_order_release);
  SetOver(it->first, state, first_over_ms);
  Tidy(it);
  return became_visible;
}

void Stowed::PutOff(const Segment& segment, int64_t until_ms) {
  MutexLock lock(&mutex_);
  const auto it = segments_.find(SegmentOf(segment.from));
  if (it == segments_.end() || None(it->second->hidden)) return;
  SetOver(it->first, *it->second, std::min(until_ms, it->second->changed_over_ms));
}

std::optional<Stowed::Visible> Stowed::VisibleOf(uint64_t number, uint64_t bit) const {
  Visible visible;
  visible.bits_ = segments_.at(number)->visible;
  std::fill(visible.bits_.begin(), visible.bits_.begin() + static_cast<ptrdiff_t>(bit / 64), 0);
  visible.bits_[bit / 64] &= ~uint64_t{0} << bit % 64;
  if (None(visible.bits_)) return std::nullopt;
  const auto [low, high] = Range(visible.bits_);
  visible.from_ = Sequence((number << kSegmentBits) + low);
  visible.end_ = Sequence((number << kSegmentBits) + high);
  return visible;
}

std::optional<Stowed::Visible> Stowed::NextVisible(Sequence from) const {
  MutexLock lock(&mutex_);
  if (with_visible_.empty()) return std::nullopt;
  auto it = with_visible_.lower_bound(SegmentOf(from));
  if (it != with_visible_.end() && *it == SegmentOf(from)) {
    if (auto visible = VisibleOf(*it, BitOf(from)); visible.has_value()) return visible;
    ++it;
  }
  if (it == with_visible_.end()) it = with_visible_.begin();
  return VisibleOf(*it, 0);
}

void Stowed::SetOver(uint64_t number, State& state, int64_t first_over_ms) {
  if (first_over_ms != state.first_over_ms) {
    by_time_.erase({state.first_over_ms, number});
    state.first_over_ms = first_over_ms;
    if (first_over_ms != kNoTime) by_time_.insert({first_over_ms, number});
  }
  first_over_ms_.store(by_time_.empty() ? kNoTime : by_time_.begin()->first,
                       std::memory_order_relaxed);
}

Stowed::Place Stowed::Clear(Segments::iterator it, uint64_t bit) {
  State& state = *it->second;
  if (Test(state.hidden, bit)) {
    Reset(state.hidden, bit);
    return Place::kHidden;
  }
  if (!Test(state.visible, bit)) return Place::kNowhere;
  Reset(state.visible, bit);
  if (None(state.visible)) with_visible_.erase(it->first);
  visible_.fetch_sub(1, std::memory_order_relaxed);
  return Place::kVisible;
}

void Stowed::Tidy(Segments::iterator it) {
  State& state = *it->second;
  if (!None(state.hidden)) return;
  SetOver(it->first, state, kNoTime);
  if (None(state.visible)) segments_.erase(it);
}

}  // namespace barista::internal
