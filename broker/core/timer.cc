#include "broker/core/timer.h"

#include <algorithm>
#include <utility>

namespace barista::core {

void Timer::Arm(int64_t deadline_ns, std::unique_ptr<TimerNode> node) {
  bool earlier;
  {
    MutexLock lock(&mutex_);
    earlier = heap_.empty() || deadline_ns < heap_.front().deadline_ns;
    heap_.push_back({deadline_ns, std::move(node)});
    std::push_heap(heap_.begin(), heap_.end(), Later());
    if (heap_.size() >= sweep_at_) earlier = true;  // The owner's next RunDue sweeps.
  }
  if (earlier && on_earlier_) on_earlier_();
}

bool Timer::RunDue(int64_t now_ns) {
  Sweep();
  bool any = false;
  std::vector<Entry> due;
  for (;;) {
    {
      MutexLock lock(&mutex_);
      while (!heap_.empty() && heap_.front().deadline_ns <= now_ns && due.size() < 256) {
        std::pop_heap(heap_.begin(), heap_.end(), Later());
        due.push_back(std::move(heap_.back()));
        heap_.pop_back();
      }
    }
    if (due.empty()) return any;
    any = true;
    for (Entry& entry : due) {
      entry.deadline_ns = entry.node->Fire(now_ns);
    }
    MutexLock lock(&mutex_);
    for (Entry& entry : due) {
      if (entry.deadline_ns == kNever) continue;
      // A node that asks for a time that has passed is fired in the next call: RunDue always ends.
      entry.deadline_ns = std::max(entry.deadline_ns, now_ns + 1);
      heap_.push_back(std::move(entry));
      std::push_heap(heap_.begin(), heap_.end(), Later());
    }
    due.clear();
  }
}

void Timer::Sweep() {
  std::vector<Entry> dead;  // Destroyed after the lock is released.
  MutexLock lock(&mutex_);
  if (heap_.size() < sweep_at_) return;
  auto alive =
      std::partition(heap_.begin(), heap_.end(), [](const Entry& e) { return !e.node->Dead(); });
  dead.assign(std::make_move_iterator(alive), std::make_move_iterator(heap_.end()));
  heap_.erase(alive, heap_.end());
  std::make_heap(heap_.begin(), heap_.end(), Later());
  sweep_at_ = std::max(kMinSweep, heap_.size() * 2);
}

int64_t Timer::NextDeadline() const {
  MutexLock lock(&mutex_);
  return heap_.empty() ? kNever : heap_.front().deadline_ns;
}

size_t Timer::size() const {
  MutexLock lock(&mutex_);
  return heap_.size();
}

}  // namespace barista::core
