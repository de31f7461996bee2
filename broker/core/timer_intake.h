#ifndef BARISTA_BROKER_CORE_TIMER_INTAKE_H_
#define BARISTA_BROKER_CORE_TIMER_INTAKE_H_

#include <atomic>
#include <cstdint>
#include <limits>

#include "broker/core/intake.h"

namespace barista::core {

// Where nodes with deadlines wait for the owner of a timer, who sleeps until the first of them:
// an intake, and until when the owner sleeps. Push from any thread, lock-free; the rest by one
// owner at a time.
//
// No wake-up is lost: of a push and a Sleep, either the Sleep returns the node, or the push sees
// until when the owner sleeps, and tells if that is too late. Whoever is told wakes the owner, and
// the owner, woken, drains again.
template <typename T, typename A = StdAtomics>
class BasicTimerIntake {
 public:
  // Hands over `node`, of which the owner has to know at `deadline_ns` at the latest. True if the
  // caller has to wake the owner; of several who are told of nodes within one sleep, only those
  // with ever earlier deadlines.
  bool Push(T* node, int64_t deadline_ns) {
    intake_.Push(node);
    // sleeps_until_: written by the owner in Awake and Sleep, and lowered here by whoever wakes the
    // owner; read here. All relaxed: what orders the store in Sleep before the load here is the
    // intake (see there, "by a drain"). A value that is older than the owner's last Sleep can only
    // be read if that Sleep has returned the node. One that is newer says that the owner is
    // awake or being woken, and it drains before it sleeps again.
    int64_t until = sleeps_until_.load(std::memory_order_relaxed);
    while (deadline_ns < until) {
      if (sleeps_until_.compare_exchange_weak(until, deadline_ns, std::memory_order_relaxed,
                                              std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // All that was pushed, in order, linked by next_in_intake.
  T* Drain() { return intake_.Drain(); }

  // From now on nobody has to wake the owner, until it calls Sleep.
  void Awake() { sleeps_until_.store(kAwake, std::memory_order_relaxed); }

  // From now on the owner wants to be woken for what has to be known before `until_ns`. Returns
  // what came earlier, as Drain does: the owner may then find that it has to sleep for less, and
  // need not tell.
  T* Sleep(int64_t until_ns) {
    sleeps_until_.store(until_ns, std::memory_order_relaxed);
    return intake_.Drain();
  }

  // Earlier than any deadline: a push with it wakes the owner unless it is awake.
  static constexpr int64_t kAwake = std::numeric_limits<int64_t>::min();

 private:
  BasicIntake<T, A> intake_;
  // At first the owner sleeps for ever.
  typename A::template Atomic<int64_t> sleeps_until_{std::numeric_limits<int64_t>::max()};
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_TIMER_INTAKE_H_
