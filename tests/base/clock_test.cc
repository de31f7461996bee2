#include "barista/clock.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace barista {
namespace {

TEST(ManualClockTest, StandsStillUntilItIsMoved) {
  ManualClock clock(absl::FromUnixSeconds(1000));
  const absl::Duration monotonic = clock.Monotonic();
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(1000));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(1005));
  EXPECT_EQ(clock.Monotonic() - monotonic, absl::Seconds(5));
  clock.StepWallClock(-absl::Hours(1));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(1005 - 3600));
  EXPECT_EQ(clock.Monotonic() - monotonic, absl::Seconds(5));
}

TEST(ManualClockTest, TellsSubscribersOfJumpsUntilTheyLeave) {
  ManualClock clock;
  int jumps = 0;
  const int64_t id = clock.Subscribe([&] { ++jumps; });
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(jumps, 1);
  clock.Unsubscribe(id);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(jumps, 1);
}

TEST(SystemClockTest, FollowsTheMachine) {
  Clock* clock = Clock::System();
  const absl::Duration before = clock->Monotonic();
  EXPECT_LT(absl::AbsDuration(clock->Now() - absl::Now()), absl::Minutes(1));
  EXPECT_GE(clock->Monotonic(), before);
}

}  // namespace
}  // namespace barista
