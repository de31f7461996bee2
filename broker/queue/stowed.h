#ifndef BARISTA_BROKER_QUEUE_STOWED_H_
#define BARISTA_BROKER_QUEUE_STOWED_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/types/span.h"
#include "broker/base/ids.h"
#include "broker/base/mutex.h"
#include "storage/store.h"

namespace barista::internal {

// The messages of one durable queue that were received and have left memory: which they are, not
// when each is visible again. That stands in their leases in the store; here a segment of 1,024
// sequences knows the earliest of them. A quarter of a byte a message.
//
//   Hide --> hidden --Settle, when a look at the leases says so--> visible --TakeVisible--> memory
//
// Whoever looks at leases does so without holding anything up, and brings what was read to Settle,
// which refuses it if the segment has changed meanwhile. Thread-safe.
class Stowed {
 public:
  static constexpr int kSegmentBits = 10;
  static constexpr uint64_t kSegmentMessages = uint64_t{1} << kSegmentBits;
  static constexpr int64_t kNoTime = std::numeric_limits<int64_t>::max();
  // The first sequence of the segment behind that of `sequence`.
  static Sequence NextSegment(Sequence sequence) {
    return Sequence(((sequence.value() >> kSegmentBits) + 1) << kSegmentBits);
  }

  Stowed() = default;
  Stowed(const Stowed&) = delete;
  Stowed& operator=(const Stowed&) = delete;

  enum class Place { kNowhere, kHidden, kVisible };
  Place Find(Sequence sequence) const;
  // Hidden until `until_ms` (wall clock) from now on, wherever it was before; where that was.
  Place Hide(Sequence sequence, int64_t until_ms);
  // Messages that were nowhere, in sequence order.
  void HideAll(absl::Span<const storage::HiddenMessage> messages);
  // The leases of the message's segment have changed in the store: looks at them before now are
  // void.
  void Touch(Sequence sequence);
  // Not here any more; where it was.
  Place Remove(Sequence sequence);
  bool TakeVisible(Sequence sequence);
  // Forgets all below `end`; how many of them were hidden.
  int64_t RemoveBelow(Sequence end);

  // Where leases are over, and have to be looked at.
  struct Segment {
    Sequence from, end;
    uint64_t version;
  };
  // The first at or behind `from` of which a lease is over by `now_ms`.
  std::optional<Segment> NextOver(Sequence from, int64_t now_ms) const;
  // `hidden`: the messages in [segment.from, segment.end) that are still hidden. The others of the
  // segment become visible; how many. 0 if the segment has changed.
  int64_t Settle(const Segment& segment, absl::Span<const storage::HiddenMessage> hidden);
  // When the first lease is over, wall clock; kNoTime if nothing is hidden.
  int64_t first_over_ms() const { return first_over_ms_.load(std::memory_order_relaxed); }

  // The visible messages of one segment, the oldest that has any.
  class Visible {
   public:
    Sequence from() const { return from_; }
    Sequence end() const { return end_; }
    bool Contains(Sequence sequence) const;

   private:
    friend class Stowed;
    Sequence from_, end_;
    std::array<uint64_t, kSegmentMessages / 64> bits_;
  };
  std::optional<Visible> NextVisible() const;
  int64_t visible() const { return visible_.load(std::memory_order_acquire); }

 private:
  using Bits = std::array<uint64_t, kSegmentMessages / 64>;
  struct State {
    Bits hidden{}, visible{};
    int64_t first_over_ms = kNoTime;  // of the hidden ones; never later than it really is
    uint64_t version = 0;
  };
  using Segments = absl::btree_map<uint64_t, std::unique_ptr<State>>;

  void Note(uint64_t number, State& state, int64_t first_over_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets the segment if nothing is left in it, and its place among the others.
  void Tidy(Segments::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Place Clear(Segments::iterator it, uint64_t bit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShowFirst() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  Segments segments_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<std::pair<int64_t, uint64_t>> by_time_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<uint64_t> with_visible_ ABSL_GUARDED_BY(mutex_);
  uint64_t versions_ ABSL_GUARDED_BY(mutex_) = 0;
  // Written under mutex_.
  std::atomic<int64_t> first_over_ms_{kNoTime};
  std::atomic<int64_t> visible_{0};
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_STOWED_H_
