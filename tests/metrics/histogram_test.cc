#include "broker/metrics/histogram.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace barista::metrics {
namespace {

// (.., 10], (10, 20], (20, 40] and above.
using Small = Histogram<10, 3>;

TEST(HistogramTest, BoundsAreInclusive) {
  EXPECT_EQ(Small::BucketOf(1), 0u);
  EXPECT_EQ(Small::BucketOf(10), 0u);
  EXPECT_EQ(Small::BucketOf(11), 1u);
  EXPECT_EQ(Small::BucketOf(20), 1u);
  EXPECT_EQ(Small::BucketOf(21), 2u);
  EXPECT_EQ(Small::BucketOf(40), 2u);
  EXPECT_EQ(Small::BucketOf(41), 3u);
  EXPECT_EQ(Small::BucketOf(INT64_MAX), 3u);
}

TEST(HistogramTest, StatsHaveBoundsAndSumInTheUnitAskedFor) {
  Small histogram;
  for (const int64_t value : {10, 11, 20, 41, 1000}) histogram.Record(value);
  const HistogramStats stats = histogram.Stats(2);
  EXPECT_EQ(stats.upper_bounds, (std::vector<double>{5, 10, 20}));
  EXPECT_EQ(stats.counts, (std::vector<uint64_t>{1, 2, 0, 2}));
  EXPECT_EQ(stats.sum, (10 + 11 + 20 + 41 + 1000) / 2.0);
  EXPECT_EQ(stats.count(), 5u);
}

TEST(HistogramTest, NegativeValueCountsAsZero) {
  Small histogram;
  histogram.Record(-7);
  EXPECT_EQ(histogram.Stats(1).counts, (std::vector<uint64_t>{1, 0, 0, 0}));
  EXPECT_EQ(histogram.Stats(1).sum, 0);
}

TEST(ShardedHistogramTest, RecorderLosesNothingWhenBucketsChange) {
  ShardedHistogram<10, 3> histogram;
  {
    ShardedHistogram<10, 3>::Recorder recorder(&histogram);
    for (const int64_t value : {1, 2, 30, 3, -1, 50}) recorder.Record(value);
  }
  EXPECT_EQ(histogram.Stats(1).counts, (std::vector<uint64_t>{4, 0, 1, 1}));
  EXPECT_EQ(histogram.Stats(1).sum, 1 + 2 + 30 + 3 + 50);
}

TEST(ShardedHistogramTest, ThreadsTogetherCountEachValueOnce) {
  constexpr int kThreads = 4;
  constexpr int kValues = 10'000;
  ShardedHistogram<10, 3> histogram;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kValues; ++i) {
        ShardedHistogram<10, 3>::Recorder(&histogram).Record(i % 2 == 0 ? 10 : 30);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  constexpr uint64_t kHalf = uint64_t{kThreads} * kValues / 2;
  EXPECT_EQ(histogram.Stats(1).counts, (std::vector<uint64_t>{kHalf, 0, kHalf, 0}));
  EXPECT_EQ(histogram.Stats(1).sum, static_cast<double>(kHalf * 40));
}

}  // namespace
}  // namespace barista::metrics
