// The bucket of each client, on a clock that stands still.
#include "broker/server/security/request_rate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace barista::server {
namespace {

// How many of `attempts` are admitted now.
int Admitted(RequestRate& rate, const std::string& client, int attempts) {
  int admitted = 0;
  for (int i = 0; i < attempts; ++i) admitted += rate.Admit(client) ? 1 : 0;
  return admitted;
}

TEST(RequestRateTest, BucketHoldsTheRequestsOfOneSecond) {
  ManualClock clock;
  RequestRate rate(5, &clock);
  EXPECT_EQ(Admitted(rate, "a", 5), 5);
  EXPECT_FALSE(rate.Admit("a"));
}

TEST(RequestRateTest, FillsEvenlyAndNoFurtherThanFull) {
  ManualClock clock;
  RequestRate rate(5, &clock);
  ASSERT_EQ(Admitted(rate, "a", 6), 5);
  clock.Advance(absl::Milliseconds(199));
  EXPECT_FALSE(rate.Admit("a"));
  clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Admitted(rate, "a", 2), 1);
  clock.Advance(absl::Milliseconds(600));
  EXPECT_EQ(Admitted(rate, "a", 6), 3);
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(Admitted(rate, "a", 10), 5);
}

TEST(RequestRateTest, ANewRateCountsAtOnceAndZeroIsNoLimit) {
  ManualClock clock;
  RequestRate rate(0, &clock);
  EXPECT_EQ(Admitted(rate, "a", 1000), 1000);
  EXPECT_EQ(rate.clients(), 0u);
  rate.set_per_second(2);
  EXPECT_EQ(Admitted(rate, "a", 10), 2);
  rate.set_per_second(10);
  EXPECT_FALSE(rate.Admit("a"));
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(Admitted(rate, "a", 20), 10);
  rate.set_per_second(0);
  EXPECT_TRUE(rate.Admit("a"));
}

TEST(RequestRateTest, RefusedRequestsTakeNothing) {
  ManualClock clock;
  RequestRate rate(2, &clock);
  EXPECT_EQ(Admitted(rate, "a", 100), 2);
  clock.Advance(absl::Milliseconds(500));
  EXPECT_TRUE(rate.Admit("a"));
}

TEST(RequestRateTest, ClientsDoNotShare) {
  ManualClock clock;
  RequestRate rate(1, &clock);
  EXPECT_EQ(Admitted(rate, "a", 2), 1);
  EXPECT_EQ(Admitted(rate, "b", 2), 1);
}

TEST(RequestRateTest, HighestRateIsExact) {
  ManualClock clock;
  RequestRate rate(RequestRate::kMaxPerSecond, &clock);
  ASSERT_EQ(Admitted(rate, "a", RequestRate::kMaxPerSecond + 1), RequestRate::kMaxPerSecond);
  clock.Advance(absl::Microseconds(3));
  EXPECT_EQ(Admitted(rate, "a", 10), 3);
}

TEST(RequestRateTest, ClientsBeyondTheTableShareBucketsAndIdleOnesMakeRoom) {
  ManualClock clock;
  RequestRate rate(1, &clock);
  // More than any shard can hold: all are full.
  const int flood = 2 * static_cast<int>(RequestRate::kMaxClients);
  int admitted = 0;
  for (int i = 0; i < flood; ++i) admitted += rate.Admit(absl::StrCat("c", i)) ? 1 : 0;
  EXPECT_EQ(rate.clients(), RequestRate::kMaxClients);
  // Those without a bucket of their own had one request per shard between them.
  EXPECT_GE(admitted, static_cast<int>(RequestRate::kMaxClients));
  EXPECT_LE(admitted, static_cast<int>(RequestRate::kMaxClients) + 16);

  clock.Advance(absl::Seconds(1));
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(rate.Admit(absl::StrCat("new", i)));
  EXPECT_LE(rate.clients(), RequestRate::kMaxClients);
}

TEST(RequestRateTest, ThreadsTogetherGetWhatOneWouldGet) {
  ManualClock clock;
  RequestRate rate(1000, &clock);
  std::atomic<int> admitted = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { admitted += Admitted(rate, "a", 1000); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1000);
}

}  // namespace
}  // namespace barista::server
