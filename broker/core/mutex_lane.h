#ifndef BARISTA_BROKER_CORE_MUTEX_LANE_H_
#define BARISTA_BROKER_CORE_MUTEX_LANE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "broker/base/mutex.h"
#include "broker/core/msg_id.h"

namespace barista::core {

// Hands message ids from those who publish to those who receive. Thread-safe, many producers and
// many consumers.
//
// The plain form of Lane, with the same contract: what benchmarks compare that one with, and the
// judge of its tests.
class MutexLane {
 public:
  void Push(absl::Span<const MsgId> ids) {
    if (ids.empty()) return;
    MutexLock lock(&mutex_);
    if (ids_ == nullptr) ids_ = std::make_unique<std::deque<MsgId>>();
    ids_->insert(ids_->end(), ids.begin(), ids.end());
    size_.store(ids_->size(), std::memory_order_relaxed);
  }

  // Takes up to ids.size() ids from the front; returns how many.
  size_t Pop(absl::Span<MsgId> ids) {
    if (size_.load(std::memory_order_relaxed) == 0) {
      // A push that finished before this call has stored its size; a racing one may be missed, as
      // the contract allows.
      return 0;
    }
    MutexLock lock(&mutex_);
    if (ids_ == nullptr) return 0;
    const size_t n = std::min(ids.size(), ids_->size());
    std::copy_n(ids_->begin(), n, ids.begin());
    ids_->erase(ids_->begin(), ids_->begin() + static_cast<std::ptrdiff_t>(n));
    size_.store(ids_->size(), std::memory_order_relaxed);
    return n;
  }

  bool Empty() const { return ApproximateSize() == 0; }
  size_t ApproximateSize() const { return size_.load(std::memory_order_relaxed); }

 private:
  Mutex mutex_;
  std::unique_ptr<std::deque<MsgId>> ids_ ABSL_GUARDED_BY(mutex_);
  // Written under the mutex, read without it as a hint only.
  std::atomic<size_t> size_{0};
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_MUTEX_LANE_H_
