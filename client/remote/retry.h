#ifndef BARISTA_CLIENT_REMOTE_RETRY_H_
#define BARISTA_CLIENT_REMOTE_RETRY_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "barista/client.h"

namespace barista::client {

// Whether a call may be made again although it may have happened.
enum class Repeatable { kNo, kYes };

// Whether a call that ended with `status` is worth another attempt, and harmless: the broker says
// that it has done nothing and may later, or nobody knows and `repeatable` says that it does not
// matter. What will not change by itself (StorageFull, MemoryFull, StoreUnavailable, OverLimit) is
// the caller's affair.
bool MayRetry(const absl::Status& status, Repeatable repeatable);

// The pause before attempt number `attempt` + 1, when `attempt` (from 1) of them have been made:
// drawn evenly from zero to min(initial * 2^(attempt - 1), max). Thread-safe.
absl::Duration Backoff(const RetryPolicy& policy, int attempt);

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_RETRY_H_
