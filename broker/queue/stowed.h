#ifndef BARISTA_BROKER_QUEUE_STOWED_H_
#define BARISTA_BROKER_QUEUE_STOWED_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

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
// sequences knows the earliest of them. Less than half a byte a message.
//
//   Hide --> hidden --Settle, when a look at the leases says so--> visible --TakeVisible--> memory
//
// Whoever looks at leases does so without holding anything up, and brings what was read to Settle.
// That leaves alone what has changed since the look began. One look at a time. Thread-safe.
class Stowed {
 public:
  static constexpr int kSegmentBits = 10;
  static constexpr uint64_t kSegmentMessages = uint64_t{1} << kSegmentBits;
  static constexpr int64_t kNoTime = std::numeric_limits<int64_t>::max();

  Stowed() = default;
  Stowed(const Stowed&) = delete;
  Stowed& operator=(const Stowed&) = delete;

  enum class Place { kNowhere, kHidden, kVisible };
  Place Find(Sequence sequence) const;
  // Hidden until `until_ms` (wall clock) from now on, wherever it was before; where that was.
  Place Hide(Sequence sequence, int64_t until_ms);
  // Messages that were nowhere, in sequence order.
  void HideAll(absl::Span<const storage::HiddenMessage> messages);
  // The store shows only now what Hide has said: a look that began before may have missed it.
  void Touch(Sequence sequence, int64_t until_ms);
  // Not here any more; where it was.
  Place Remove(Sequence sequence);
  bool TakeVisible(Sequence sequence);
  // Forgets all below `end`; how many of them were hidden.
  int64_t RemoveBelow(Sequence end);

  // Where leases are over, and have to be looked at.
  struct Segment {
    Sequence from, end;
  };
  // Begins a look at the segments of which a lease is over by `now_ms`, at most `max`.
  std::vector<Segment> BeginLook(int64_t now_ms, size_t max);
  // `hidden`: the messages in [segment.from, segment.end) that are still hidden. The others become
  // visible; how many.
  int64_t Settle(const Segment& segment, absl::Span<const storage::HiddenMessage> hidden);
  // The look has failed: the next one at `until_ms`.
  void PutOff(const Segment& segment, int64_t until_ms);
  // When the first lease is over, wall clock; kNoTime if nothing is hidden.
  int64_t first_over_ms() const { return first_over_ms_.load(std::memory_order_relaxed); }

  // Visible messages of one segment.
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
  // Those at or behind `from`, or else the oldest.
  std::optional<Visible> NextVisible(Sequence from) const;
  int64_t visible() const { return visible_.load(std::memory_order_acquire); }

 private:
  using Bits = std::array<uint64_t, kSegmentMessages / 64>;
  struct State {
    Bits hidden{}, visible{};
    int64_t first_over_ms = kNoTime;  // of the hidden ones; never later than it really is
    // What has been hidden since the last look began, and until when the first of it.
    Bits changed{};
    int64_t changed_over_ms = kNoTime;
  };
  using Segments = absl::btree_map<uint64_t, std::unique_ptr<State>>;

  void Hide(uint64_t number, State& state, uint64_t bit, int64_t until_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetOver(uint64_t number, State& state, int64_t first_over_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those of the segment from `bit` on; nullopt if there are none.
  std::optional<Visible> VisibleOf(uint64_t number, uint64_t bit) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets the segment if nothing is left in it, and its place among the others.
  void Tidy(Segments::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Place Clear(Segments::iterator it, uint64_t bit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  Segments segments_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<std::pair<int64_t, uint64_t>> by_time_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<uint64_t> with_visible_ ABSL_GUARDED_BY(mutex_);
  // Written under mutex_.
  std::atomic<int64_t> first_over_ms_{kNoTime};
  std::atomic<int64_t> visible_{0};
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_STOWED_H_
