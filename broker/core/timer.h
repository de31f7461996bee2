#ifndef BARISTA_BROKER_CORE_TIMER_H_
#define BARISTA_BROKER_CORE_TIMER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"

namespace barista::core {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Something to do at a monotonic time (ns). One node per call that sets a deadline, not one per
// message.
class TimerNode {
 public:
  virtual ~TimerNode() = default;
  // Runs at or after the deadline, never before, on the timer's thread. Returns the next deadline,
  // or kNever to be destroyed.
  virtual int64_t Fire(int64_t now_ns) = 0;
  // Whether firing has become pointless. Called on the timer's thread. A dead node stays dead.
  virtual bool Dead() const = 0;
};

// Fires nodes at their deadlines. Arm from any thread; RunDue and Sweep by one owner at a time.
// Cancelling costs nothing: a node whose business is done says Dead() and is thrown out when such
// nodes outnumber the living. O(log n) to arm.
class Timer {
 public:
  // `on_earlier` is called, without a lock held, when a node becomes the first to be due.
  explicit Timer(std::function<void()> on_earlier) : on_earlier_(std::move(on_earlier)) {}

  void Arm(int64_t deadline_ns, std::unique_ptr<TimerNode> node);
  // Fires what is due; true if there was something.
  bool RunDue(int64_t now_ns);
  // The first deadline, kNever if there is none.
  int64_t NextDeadline() const;
  size_t size() const;

 private:
  struct Entry {
    int64_t deadline_ns;
    std::unique_ptr<TimerNode> node;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const { return a.deadline_ns > b.deadline_ns; }
  };
  static constexpr size_t kMinSweep = 4096;

  void Sweep();

  const std::function<void()> on_earlier_;
  mutable Mutex mutex_;
  std::vector<Entry> heap_ ABSL_GUARDED_BY(mutex_);  // the earliest in front
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = kMinSweep;
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_TIMER_H_
