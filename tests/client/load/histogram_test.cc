#include "client/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

namespace barista::load {
namespace {

TEST(HistogramTest, EmptyReportsZero) {
  Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.Percentile(50), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  for (uint64_t value = 0; value < 128; ++value) histogram.Record(value);
  EXPECT_EQ(histogram.Percentile(50), 63u);
  EXPECT_EQ(histogram.Percentile(100), 127u);
  EXPECT_EQ(histogram.Percentile(0.001), 0u);
}

TEST(HistogramTest, BucketsTouchAndGrow) {
  // Each value lies in the bucket whose upper edge is the first that is not below it.
  for (size_t bucket = 0; Histogram::UpperEdge(bucket) < Histogram::kMax; ++bucket) {
    const uint64_t edge = Histogram::UpperEdge(bucket);
    ASSERT_EQ(Histogram::BucketOf(edge), bucket);
    ASSERT_EQ(Histogram::BucketOf(edge + 1), bucket + 1);
  }
}

TEST(HistogramTest, ErrorIsAtMostOneSixtyFourth) {
  for (uint64_t value = 1; value < Histogram::kMax; value += value / 7 + 1) {
    const uint64_t edge = Histogram::UpperEdge(Histogram::BucketOf(value));
    ASSERT_GE(edge, value);
    ASSERT_LE(edge - value, value / 64) << value;
  }
}

TEST(HistogramTest, ValuesAboveTheLimitCountAsTheLimit) {
  Histogram histogram;
  histogram.Record(Histogram::kMax);
  histogram.Record(Histogram::kMax + 1);
  histogram.Record(~uint64_t{0});
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.max(), Histogram::kMax);
  EXPECT_EQ(histogram.Percentile(50), Histogram::kMax);
}

TEST(HistogramTest, PercentilesOfAMergeAreThoseOfAllValues) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::vector<uint64_t> values;
  Histogram merged;
  for (int part = 0; part < 4; ++part) {
    Histogram histogram;
    for (int i = 0; i < 5000; ++i) {
      const uint64_t value = random() >> (24 + random() % 40);
      values.push_back(std::min(value, Histogram::kMax));
      histogram.Record(value);
    }
    merged.Merge(histogram);
  }
  std::sort(values.begin(), values.end());
  ASSERT_EQ(merged.count(), values.size());
  EXPECT_EQ(merged.max(), values.back());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank =
        static_cast<size_t>(std::ceil(static_cast<double>(values.size()) * percent / 100));
    const uint64_t exact = values[rank - 1];
    EXPECT_GE(merged.Percentile(percent), exact) << percent;
    EXPECT_LE(merged.Percentile(percent) - exact, exact / 64) << percent;
  }
}

TEST(HistogramTest, CountsEveryValueOfConcurrentRecorders) {
  Histogram histogram;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&histogram, t] {
      for (uint64_t i = 0; i < 20'000; ++i) histogram.Record(i * 4 + t);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.count(), 80'000u);
  EXPECT_EQ(histogram.max(), 79'999u);
}

}  // namespace
}  // namespace barista::load
