#ifndef BROKER_SERVER_SECURITY_LOG_GATE_H_
#define BROKER_SERVER_SECURITY_LOG_GATE_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace barista::server {

// Lets a message that clients can cause into the log once in kInterval, and counts the others.
// Thread-safe.
class LogGate {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(1);

  // How many were held back since the last one passed; nullopt: hold this one back too. `now` is
  // monotonic and at least zero.
  std::optional<int64_t> Pass(absl::Duration now) {
    const int64_t now_ns = absl::ToInt64Nanoseconds(now);
    int64_t next = next_ns_.load(std::memory_order_relaxed);
    if (now_ns < next ||
        !next_ns_.compare_exchange_strong(next, now_ns + absl::ToInt64Nanoseconds(kInterval),
                                          std::memory_order_relaxed)) {
      held_back_.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    return held_back_.exchange(0, std::memory_order_relaxed);
  }

 private:
  // Who wins the swap of next_ns_ may log. Neither publishes anything else, so relaxed is enough.
  std::atomic<int64_t> next_ns_ = 0;
  std::atomic<int64_t> held_back_ = 0;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_LOG_GATE_H_
