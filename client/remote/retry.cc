#include "client/remote/retry.h"

#include <algorithm>
#include <string>

#include "absl/random/random.h"
#include "barista/error.h"

namespace barista::client {

bool MayRetry(const absl::Status& status, Repeatable repeatable) {
  const std::string reason = GetErrorInfo(status).reason;
  if (absl::IsResourceExhausted(status)) {
    return reason == "RequestThrottled" || reason == "ServerBusy" || reason == "IntakeFull";
  }
  if (!absl::IsUnavailable(status)) return false;
  return reason == "ServerDraining" || (reason.empty() && repeatable == Repeatable::kYes);
}

absl::Duration Backoff(const RetryPolicy& policy, int attempt) {
  absl::Duration longest = policy.initial_backoff;
  for (int i = 1; i < attempt && longest < policy.max_backoff; ++i) longest *= 2;
  longest = std::min(longest, policy.max_backoff);
  thread_local absl::InsecureBitGen random;
  return longest * absl::Uniform(random, 0.0, 1.0);
}

}  // namespace barista::client
