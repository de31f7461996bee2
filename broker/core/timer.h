#ifndef BARISTA_BROKER_CORE_TIMER_H_
#define BARISTA_BROKER_CORE_TIMER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"
#include "broker/core/timer_intake.h"
#include "broker/core/timer_node.h"
#include "broker/core/timer_wheel.h"

namespace barista::core {

// Fires nodes at their deadlines, never early. Thread-safe: Arm from any thread, without a lock;
// RunDue and NextDeadline by its owner:
//
//   for (;;) {
//     timer.RunDue(now);
//     sleep until timer.NextDeadline() or on_earlier
//   }
//
// (Where nobody sleeps, several threads may take turns as the owner.) Cancelling costs nothing: a
// node whose business is done says Dead() and is thrown out when such nodes outnumber the living.
// Costs are those of the wheel; a sweep is O(1) per Arm since the last. Threads that arm faster
// than the owner can sweep are held back a little at each Arm: nodes do not pile up.
//
// Being without locks pays in Arm, which every receive calls. Do not use it for a handful of timers
// (a heap is smaller, and as fast), nor where cancelling must free a node at once.
class Timer {
 public:
  static constexpr int64_t kTickNs = TimerWheel::kTickNs;

  // `on_earlier` is called by Arm, without a lock held, when the owner sleeps for too long: past
  // the node's deadline, or with too many nodes around. Between a RunDue and the next NextDeadline
  // the owner is awake and need not be told; before its first call it sleeps for ever. Empty:
  // nobody sleeps, the owner runs when it likes, and nobody is held back.
  explicit Timer(std::function<void()> on_earlier) : on_earlier_(std::move(on_earlier)) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // `deadline_ns` may lie in the past: then the next RunDue fires the node.
  void Arm(int64_t deadline_ns, std::unique_ptr<TimerNode> node);

  // Fires what is due, in the order of deadlines to within a tick; true if there was something.
  // What nodes arm meanwhile, and nodes that ask for a time that has passed, are left to the next
  // call: RunDue always ends. Nodes may call it again.
  bool RunDue(int64_t now_ns);

  // The first deadline, exactly, of all that was armed before the call; kNever if there is none.
  // What is armed from now on with an earlier one calls on_earlier. A RunDue at this time fires
  // something: an owner that waits for it is never turned back without work. One that waits a
  // little longer (EndOfTick) has less to do.
  int64_t NextDeadline();

  // Nodes that there are, the dead among them; those that a RunDue fires count until it ends. Any
  // thread.
  size_t size() const { return size_.load(std::memory_order_relaxed); }

  // `deadline_ns` or at most a tick later. The owner that sleeps until then takes the nodes of a
  // tick together.
  static int64_t EndOfTick(int64_t deadline_ns) {
    const int64_t into_tick = deadline_ns % kTickNs;
    if (into_tick <= 0 || deadline_ns > kNever - kTickNs) return deadline_ns;
    return deadline_ns - into_tick + kTickNs;
  }

 private:
  static constexpr size_t kMinSweep = 4096;
  // Yields of an Arm that finds twice as many nodes as the owner should have swept: tens of
  // microseconds, while the owner needs less than one for a node. It does not wait for the owner,
  // who may wait for this thread (in a callback).
  static constexpr int kHoldBackYields = 64;

  void HoldBack() const;
  // Takes over a list of the intake's.
  void Add(TimerNode* first) ABSL_EXCLUSIVE_LOCKS_REQUIRED(owner_mutex_);

  // How deep this thread is in RunDue: what nodes arm when they fire is not held back.
  static thread_local int run_depth_;

  const std::function<void()> on_earlier_;
  BasicTimerIntake<TimerNode> intake_;
  // Added to by Arm before the push, taken from by the owner, read by size(); a count only.
  std::atomic<size_t> size_{0};
  // With so many nodes the owner has to sweep. Written by the owner, read by Arm; a hint: an Arm
  // that reads an old one is followed by others.
  std::atomic<size_t> sweep_at_{kMinSweep};

  // Whoever holds it is the owner. Never held while a node fires or is destroyed. (Away from what
  // those who arm write.)
  alignas(64) Mutex owner_mutex_;
  TimerWheel wheel_ ABSL_GUARDED_BY(owner_mutex_);
  // Nodes taken over from the intake and not destroyed. (size_ is no measure of how many live: the
  // intake may have filled during a sweep with nodes of which most are dead.)
  size_t known_ ABSL_GUARDED_BY(owner_mutex_) = 0;
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_TIMER_H_
