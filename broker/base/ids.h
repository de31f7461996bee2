#ifndef BARISTA_BROKER_BASE_IDS_H_
#define BARISTA_BROKER_BASE_IDS_H_

#include <cstdint>
#include <utility>

namespace barista {

// An integer that means one thing. Tag is any type, never defined.
template <typename Tag, typename Int>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Int value) : value_(value) {}
  constexpr Int value() const { return value_; }

  friend constexpr bool operator==(StrongId a, StrongId b) { return a.value_ == b.value_; }
  friend constexpr auto operator<=>(StrongId a, StrongId b) { return a.value_ <=> b.value_; }
  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  Int value_ = 0;
};

// A queue of a broker: given at creation, never used again after the queue is deleted. From 1.
using QueueId = StrongId<struct QueueIdTag, uint32_t>;

// The place of a message in its queue: from 1, growing, with gaps.
using Sequence = StrongId<struct SequenceTag, uint64_t>;

}  // namespace barista

#endif  // BARISTA_BROKER_BASE_IDS_H_
