#ifndef BROKER_SERVER_STREAM_FAILURES_H_
#define BROKER_SERVER_STREAM_FAILURES_H_

#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "barista/v1/queue.pb.h"

namespace barista::server {

// Of one response: what is more waits for the next.
inline constexpr int kMaxFailuresPerResponse = 1000;

using StreamFailures = std::deque<v1::StreamFailure>;

// Appends a failure of the entries or deliveries `first` to `first` + `count` - 1, named by
// `request`. If the last one is of the same request and error and ends where this begins, it
// becomes longer. `status` is not OK.
void AddFailure(uint64_t request, uint64_t first, uint64_t count, const absl::Status& status,
                StreamFailures* failures);

}  // namespace barista::server

#endif  // BROKER_SERVER_STREAM_FAILURES_H_
