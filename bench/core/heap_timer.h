#ifndef BARISTA_BENCH_CORE_HEAP_TIMER_H_
#define BARISTA_BENCH_CORE_HEAP_TIMER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"
#include "broker/core/timer_node.h"

namespace barista::bench {

// A binary heap under a mutex: the floor of core::Timer, with the same interface. Thread-safe.
class HeapTimer {
 public:
  explicit HeapTimer(std::function<void()> on_earlier) : on_earlier_(std::move(on_earlier)) {}

  void Arm(int64_t deadline_ns, std::unique_ptr<core::TimerNode> node) {
    bool earlier;
    {
      MutexLock lock(&mutex_);
      earlier = heap_.empty() || deadline_ns < heap_.front().deadline_ns;
      heap_.push_back({deadline_ns, std::move(node)});
      std::push_heap(heap_.begin(), heap_.end(), Later());
    }
    if (earlier && on_earlier_) on_earlier_();
  }

  bool RunDue(int64_t now_ns) {
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
      for (Entry& entry : due) entry.deadline_ns = entry.node->Fire(now_ns);
      MutexLock lock(&mutex_);
      for (Entry& entry : due) {
        if (entry.deadline_ns == core::kNever) continue;
        entry.deadline_ns = std::max(entry.deadline_ns, now_ns + 1);
        heap_.push_back(std::move(entry));
        std::push_heap(heap_.begin(), heap_.end(), Later());
      }
      due.clear();
    }
  }

  int64_t NextDeadline() const {
    MutexLock lock(&mutex_);
    return heap_.empty() ? core::kNever : heap_.front().deadline_ns;
  }

 private:
  struct Entry {
    int64_t deadline_ns;
    std::unique_ptr<core::TimerNode> node;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const { return a.deadline_ns > b.deadline_ns; }
  };

  const std::function<void()> on_earlier_;
  mutable Mutex mutex_;
  std::vector<Entry> heap_ ABSL_GUARDED_BY(mutex_);  // the earliest in front
};

}  // namespace barista::bench

#endif  // BARISTA_BENCH_CORE_HEAP_TIMER_H_
