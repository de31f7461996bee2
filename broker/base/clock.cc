#include "barista/clock.h"

#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/mutex.h"

namespace barista {
namespace {

class SystemClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Monotonic() const override {
    return absl::FromChrono(std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::steady_clock::now().time_since_epoch()));
  }
};

}  // namespace

int64_t Clock::Subscribe(std::function<void()>) { return 0; }
void Clock::Unsubscribe(int64_t) {}

Clock* Clock::System() {
  static SystemClock* const clock = new SystemClock;  // Trivial to construct and never destroyed.
  return clock;
}

struct ManualClock::State {
  mutable Mutex mutex;
  absl::Time now ABSL_GUARDED_BY(mutex);
  absl::Duration monotonic ABSL_GUARDED_BY(mutex) = absl::Seconds(1000);
  int64_t next_id ABSL_GUARDED_BY(mutex) = 1;

  // Held while listeners run, so that Unsubscribe waits for them. Taken before `mutex`.
  Mutex listeners_mutex;
  std::map<int64_t, std::function<void()>> listeners ABSL_GUARDED_BY(listeners_mutex);
};

ManualClock::ManualClock(absl::Time now) : state_(std::make_unique<State>()) {
  MutexLock lock(&state_->mutex);
  state_->now = now;
}
ManualClock::~ManualClock() = default;

absl::Time ManualClock::Now() const {
  MutexLock lock(&state_->mutex);
  return state_->now;
}

absl::Duration ManualClock::Monotonic() const {
  MutexLock lock(&state_->mutex);
  return state_->monotonic;
}

int64_t ManualClock::Subscribe(std::function<void()> on_jump) {
  MutexLock lock(&state_->listeners_mutex);
  int64_t id;
  {
    MutexLock inner(&state_->mutex);
    id = state_->next_id++;
  }
  state_->listeners.emplace(id, std::move(on_jump));
  return id;
}

void ManualClock::Unsubscribe(int64_t id) {
  MutexLock lock(&state_->listeners_mutex);
  state_->listeners.erase(id);
}

void ManualClock::Advance(absl::Duration step) {
  {
    MutexLock lock(&state_->mutex);
    state_->now += step;
    state_->monotonic += step;
  }
  MutexLock lock(&state_->listeners_mutex);
  for (auto& [id, on_jump] : state_->listeners) on_jump();
}

void ManualClock::StepWallClock(absl::Duration step) {
  MutexLock lock(&state_->mutex);
  state_->now += step;
}

}  // namespace barista
