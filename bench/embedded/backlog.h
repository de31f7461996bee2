#ifndef BARISTA_BENCH_EMBEDDED_BACKLOG_H_
#define BARISTA_BENCH_EMBEDDED_BACKLOG_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bench/load/load_target.h"

namespace barista::bench {

// A queue with many waiting messages, whatever the target. The queues of `target` must not have
// been created yet.
inline constexpr char kBacklogQueue[] = "backlog-0";

// Sends `messages` of `body_bytes` to the backlog queue, by 100 and many at a time, at `fsync`.
absl::Status FillBacklog(LoadTarget& target, int64_t messages, size_t body_bytes);

// Sends to the backlog queue for `duration`, as fast as it goes; errors are ignored (the broker may
// be killed meanwhile).
void SendUnderLoad(LoadTarget& target, size_t body_bytes, absl::Duration duration);

// Receives and deletes `messages` of the backlog, by 10. kNotFound: the queue ran empty.
absl::Status WorkOff(LoadTarget& target, int64_t messages);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_EMBEDDED_BACKLOG_H_
