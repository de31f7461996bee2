#ifndef BARISTA_BROKER_CONSUMER_BACKOFF_H_
#define BARISTA_BROKER_CONSUMER_BACKOFF_H_

#include <algorithm>

#include "absl/random/bit_gen_ref.h"
#include "absl/random/random.h"
#include "absl/time/time.h"

namespace barista::internal {

// Pauses between attempts: at most 50 ms before the second, and twice as long before each other up
// to 5 s, of which each pause is a random part ("full jitter"): those who failed together do not
// come back together. Not thread-safe.
class Backoff {
 public:
  static constexpr absl::Duration kFirst = absl::Milliseconds(50);
  static constexpr absl::Duration kLongest = absl::Seconds(5);

  absl::Duration Next(absl::BitGenRef random) {
    const absl::Duration pause = absl::Nanoseconds(absl::Uniform<int64_t>(
        absl::IntervalClosed, random, 0, absl::ToInt64Nanoseconds(longest_)));
    longest_ = std::min(2 * longest_, kLongest);
    return pause;
  }
  // After an attempt that lasted.
  void Reset() { longest_ = kFirst; }

 private:
  absl::Duration longest_ = kFirst;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_CONSUMER_BACKOFF_H_
