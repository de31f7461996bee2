#ifndef BARISTA_BENCH_EMBEDDED_BACKLOG_H_
#define BARISTA_BENCH_EMBEDDED_BACKLOG_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/load/load_target.h"

namespace barista::bench {

// A queue with many messages, whatever the target: how it gets to be so, and how it is used then.

// Creates the queue of `target` that the functions below use, at `fsync`, or finds it as an earlier
// process left it. What is received stays hidden for 12 hours, and any number of messages may be.
absl::Status CreateBacklogQueue(load::LoadTarget& target);

// Sends `messages` of `body_bytes`, by 100 and many at a time.
absl::Status SendMany(load::LoadTarget& target, int64_t messages, size_t body_bytes,
                      const load::SendHow& how = {});

// Sends for `duration`, as fast as it goes; errors are ignored (the broker may be killed
// meanwhile).
void SendUnderLoad(load::LoadTarget& target, size_t body_bytes, absl::Duration duration);

enum class Then { kDelete, kKeep };
// Receives `messages`, by `batch` in each of `threads`, and deletes them or forgets them in flight.
// kNotFound: there were no more for 10 s.
absl::Status ReceiveMany(load::LoadTarget& target, int64_t messages, Then then, int threads = 1,
                         int batch = 10);

// Sends and deletes `messages`, never more than 100,000 at a time in the queue.
absl::Status PassThrough(load::LoadTarget& target, int64_t messages, size_t body_bytes);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_EMBEDDED_BACKLOG_H_
