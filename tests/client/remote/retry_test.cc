#include "client/remote/retry.h"

#include <gtest/gtest.h>

#include "barista/error.h"

namespace barista::client {
namespace {

absl::Status Refused(absl::StatusCode code, const char* reason) {
  return MakeError(code, "refused", {.reason = reason});
}

TEST(RetryTest, WhatTheBrokerHasNotDoneIsMadeAgainWhateverItIs) {
  for (const Repeatable repeatable : {Repeatable::kNo, Repeatable::kYes}) {
    for (const char* reason : {"RequestThrottled", "ServerBusy", "IntakeFull"}) {
      EXPECT_TRUE(MayRetry(Refused(absl::StatusCode::kResourceExhausted, reason), repeatable));
    }
    EXPECT_TRUE(MayRetry(Refused(absl::StatusCode::kUnavailable, "ServerDraining"), repeatable));
  }
}

TEST(RetryTest, WhatWaitingDoesNotChangeIsTheCallers) {
  for (const char* reason : {"StorageFull", "MemoryFull", "OverLimit", "BackupInProgress"}) {
    EXPECT_FALSE(MayRetry(Refused(absl::StatusCode::kResourceExhausted, reason), Repeatable::kYes));
  }
  EXPECT_FALSE(
      MayRetry(Refused(absl::StatusCode::kUnavailable, "StoreUnavailable"), Repeatable::kYes));
  EXPECT_FALSE(MayRetry(absl::ResourceExhaustedError("message too large"), Repeatable::kYes));
  EXPECT_FALSE(MayRetry(absl::InvalidArgumentError("wrong"), Repeatable::kYes));
  EXPECT_FALSE(MayRetry(absl::DeadlineExceededError("late"), Repeatable::kYes));
  EXPECT_FALSE(MayRetry(absl::OkStatus(), Repeatable::kYes));
}

TEST(RetryTest, WhatMayHaveHappenedIsMadeAgainIfThatDoesNotMatter) {
  EXPECT_TRUE(MayRetry(absl::UnavailableError("reset"), Repeatable::kYes));
  EXPECT_FALSE(MayRetry(absl::UnavailableError("reset"), Repeatable::kNo));
}

TEST(RetryTest, PausesGrowToTheirMaximumAndAreDrawnFromZeroOn) {
  const RetryPolicy policy = {.initial_backoff = absl::Milliseconds(10),
                              .max_backoff = absl::Milliseconds(40)};
  const absl::Duration longest[] = {absl::Milliseconds(10), absl::Milliseconds(20),
                                    absl::Milliseconds(40), absl::Milliseconds(40)};
  for (int attempt = 1; attempt <= 4; ++attempt) {
    absl::Duration min = absl::InfiniteDuration();
    absl::Duration max = absl::ZeroDuration();
    for (int i = 0; i < 1000; ++i) {
      const absl::Duration pause = Backoff(policy, attempt);
      min = std::min(min, pause);
      max = std::max(max, pause);
    }
    EXPECT_GE(min, absl::ZeroDuration());
    EXPECT_LT(min, longest[attempt - 1] / 10);
    EXPECT_LE(max, longest[attempt - 1]);
    EXPECT_GT(max, longest[attempt - 1] * 9 / 10);
  }
  EXPECT_LE(Backoff(policy, 100), policy.max_backoff);
}

}  // namespace
}  // namespace barista::client
