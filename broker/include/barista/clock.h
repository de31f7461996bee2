#ifndef BARISTA_CLOCK_H_
#define BARISTA_CLOCK_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace barista {

// Where the broker gets the time from; it reads no other clock. Thread-safe.
//
// Monotonic() drives deadlines in memory (visibility, delay, long poll): it never goes back and
// does not follow changes of the wall clock. Now() is the wall time, used for what is stored or
// shown (sent time, retention, persisted leases).
class Clock {
 public:
  virtual ~Clock() = default;

  virtual absl::Time Now() const = 0;
  // Time since an arbitrary fixed point in the past of this process.
  virtual absl::Duration Monotonic() const = 0;

  // Calls `on_jump` whenever Monotonic() moves other than by the passing of real time, until
  // Unsubscribe(id) has returned. `on_jump` must not call back into the clock. The system clock
  // never jumps.
  virtual int64_t Subscribe(std::function<void()> on_jump);
  virtual void Unsubscribe(int64_t id);

  // The machine's clock; lives for ever.
  static Clock* System();
};

// A clock that stands still until it is told to move: tests and simulations, and `barista serve
// --manual-clock`. Thread-safe.
class ManualClock : public Clock {
 public:
  explicit ManualClock(absl::Time now = absl::FromUnixSeconds(1767225600));  // 2026-01-01T00:00:00Z
  ~ManualClock() override;

  absl::Time Now() const override;
  absl::Duration Monotonic() const override;
  int64_t Subscribe(std::function<void()> on_jump) override;
  void Unsubscribe(int64_t id) override;

  // Moves both times on by `step` >= 0.
  void Advance(absl::Duration step);
  // Moves the wall time only, in either direction, as an administrator who sets the machine's clock
  // does.
  void StepWallClock(absl::Duration step);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace barista

#endif  // BARISTA_CLOCK_H_
