#include "broker/queue_list.h"

#include <algorithm>
#include <utility>

namespace barista::internal {

void QueueList::Add(std::shared_ptr<StandardQueue> queue) {
  MutexLock lock(&mutex_);
  if (free_.empty()) {
    free_.push_back(places_.size());
    places_.emplace_back();
  }
  queue->place_in_list = free_.back();
  free_.pop_back();
  places_[queue->place_in_list] = std::move(queue);
}

void QueueList::Remove(const StandardQueue& queue) {
  std::shared_ptr<StandardQueue> removed;  // ends outside the lock
  MutexLock lock(&mutex_);
  removed = std::move(places_[queue.place_in_list]);
  free_.push_back(queue.place_in_list);
}

void QueueList::Visit(absl::FunctionRef<void(const std::shared_ptr<StandardQueue>&)> visit) const {
  for (size_t from = 0;; from += kVisitedTogether) {
    MutexLock lock(&mutex_);
    if (from >= places_.size()) return;
    const size_t end = std::min(from + kVisitedTogether, places_.size());
    for (size_t i = from; i < end; ++i) {
      if (places_[i] != nullptr) places_[i]->PrefetchCounts();
    }
    for (size_t i = from; i < end; ++i) {
      if (places_[i] != nullptr) visit(places_[i]);
    }
  }
}

}  // namespace barista::internal
