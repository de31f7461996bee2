#include "broker/core/timer.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace barista::core {

thread_local int Timer::run_depth_ = 0;

Timer::~Timer() {
  for (TimerNode* node = intake_.Drain(); node != nullptr;) {
    delete std::exchange(node, node->next_in_intake);
  }
}

void Timer::Arm(int64_t deadline_ns, std::unique_ptr<TimerNode> node) {
  node->deadline_ns_ = deadline_ns;
  const size_t size = size_.fetch_add(1, std::memory_order_relaxed) + 1;
  const size_t sweep_at = sweep_at_.load(std::memory_order_relaxed);
  // A sweep is due as soon as it is wanted.
  const int64_t needed_ns = size >= sweep_at ? intake_.kAwake : deadline_ns;
  const bool wake = intake_.Push(node.release(), needed_ns);
  if (!on_earlier_) return;
  if (wake) on_earlier_();
  if (size >= 2 * sweep_at && run_depth_ == 0) HoldBack();
}

void Timer::HoldBack() const {
  for (int i = 0; i < kHoldBackYields; ++i) {
    std::this_thread::yield();
    if (size() < 2 * sweep_at_.load(std::memory_order_relaxed)) return;
  }
}

void Timer::Add(TimerNode* first) {
  while (first != nullptr) {
    std::unique_ptr<TimerNode> node(std::exchange(first, first->next_in_intake));
    ++known_;
    const int64_t deadline_ns = node->deadline_ns_;
    wheel_.Add(std::move(node), deadline_ns);
  }
}

bool Timer::RunDue(int64_t now_ns) {
  TimerList due;
  TimerList dead;
  bool sweep;
  {
    MutexLock lock(&owner_mutex_);
    intake_.Awake();
    Add(intake_.Drain());
    sweep = size() >= sweep_at_.load(std::memory_order_relaxed);
    if (sweep) dead.Append(wheel_.TakeDead());
    due.Append(wheel_.TakeDue(now_ns));
  }
  const bool any = !due.empty();
  size_t gone = 0;
  while (dead.PopFront() != nullptr) ++gone;
  TimerList again;
  ++run_depth_;
  while (std::unique_ptr<TimerNode> node = due.PopFront()) {
    const int64_t next_ns = node->Fire(now_ns);
    if (next_ns == kNever) {
      ++gone;
    } else {
      node->deadline_ns_ = std::max(next_ns, now_ns + 1);
      again.Append(std::move(node));
    }
  }
  --run_depth_;
  size_.fetch_sub(gone, std::memory_order_relaxed);
  MutexLock lock(&owner_mutex_);
  known_ -= gone;
  while (std::unique_ptr<TimerNode> node = again.PopFront()) {
    const int64_t deadline_ns = node->deadline_ns_;
    wheel_.Add(std::move(node), deadline_ns);
  }
  // Twice the living, once they are known; and again when most have gone by themselves. So each
  // sweep follows at least half as many Arms as it looks at nodes.
  if (sweep || known_ < sweep_at_.load(std::memory_order_relaxed) / 4) {
    sweep_at_.store(std::max(kMinSweep, known_ * 2), std::memory_order_relaxed);
  }
  return any;
}

int64_t Timer::NextDeadline() {
  MutexLock lock(&owner_mutex_);
  Add(intake_.Drain());
  Add(intake_.Sleep(wheel_.First()));
  return wheel_.First();
}

}  // namespace barista::core
