#include "broker/consumer/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace barista::internal {
namespace {

TEST(BackoffTest, PausesGrowToTheirLimitAndAreAnyPartOfIt) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  absl::Duration limit = absl::Milliseconds(50);
  for (int attempt = 1; attempt <= 10; ++attempt) {
    absl::Duration shortest = absl::InfiniteDuration(), longest;
    for (int i = 0; i < 1000; ++i) {
      Backoff backoff;
      for (int before = 1; before < attempt; ++before) backoff.Next(random);
      const absl::Duration pause = backoff.Next(random);
      shortest = std::min(shortest, pause);
      longest = std::max(longest, pause);
    }
    EXPECT_GE(shortest, absl::ZeroDuration());
    EXPECT_LE(longest, limit) << "before attempt " << attempt + 1;
    // A thousand draws come near both ends: one in 10^22 times they do not.
    EXPECT_LT(shortest, 0.05 * limit);
    EXPECT_GT(longest, 0.95 * limit);
    limit = std::min(2 * limit, absl::Seconds(5));
  }
  EXPECT_EQ(limit, absl::Seconds(5));
}

TEST(BackoffTest, BeginsAnewAfterReset) {
  std::mt19937_64 random(1);
  Backoff backoff;
  for (int i = 0; i < 20; ++i) backoff.Next(random);
  backoff.Reset();
  EXPECT_LE(backoff.Next(random), absl::Milliseconds(50));
}

}  // namespace
}  // namespace barista::internal
