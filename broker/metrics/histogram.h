#ifndef BARISTA_BROKER_METRICS_HISTOGRAM_H_
#define BARISTA_BROKER_METRICS_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/base/optimization.h"
#include "barista/stats.h"

namespace barista::metrics {

// Counts values in kBounds buckets that double in width, and one for what lies above them:
// (.., kFirst], (kFirst, 2 kFirst], (2 kFirst, 4 kFirst] … Thread-safe, two writes per value.
template <int64_t kFirst, size_t kBounds>
class Histogram {
 public:
  static_assert(kFirst > 0 && kBounds > 0 && (INT64_MAX >> (kBounds - 1)) >= kFirst);
  static constexpr size_t kBuckets = kBounds + 1;

  static size_t BucketOf(int64_t value) {
    if (value <= kFirst) return 0;
    const uint64_t steps = static_cast<uint64_t>(value - 1) / static_cast<uint64_t>(kFirst);
    return std::min<size_t>(static_cast<size_t>(std::bit_width(steps)), kBounds);
  }

  // A negative value (the wall clock went back) counts as zero.
  void Record(int64_t value) { Add(BucketOf(value), 1, std::max<int64_t>(value, 0)); }
  // `values` values of `bucket`, `sum` together.
  void Add(size_t bucket, uint64_t values, int64_t sum) {
    counts_[bucket].fetch_add(values, std::memory_order_relaxed);
    sum_.fetch_add(sum, std::memory_order_relaxed);
  }

  // What was recorded, in units of `unit` of ours: 1e9 makes seconds of nanoseconds. Not a
  // moment's: values that are recorded meanwhile may be in the counts and not in the sum.
  HistogramStats Stats(double unit) const {
    HistogramStats stats;
    for (size_t i = 0; i < kBounds; ++i) {
      stats.upper_bounds.push_back(static_cast<double>(kFirst << i) / unit);
    }
    stats.counts.resize(kBuckets);
    AddTo(&stats, unit);
    return stats;
  }
  // Adds it to the counts and the sum of another histogram of this type.
  void AddTo(HistogramStats* stats, double unit) const {
    for (size_t i = 0; i < kBuckets; ++i) {
      stats->counts[i] += counts_[i].load(std::memory_order_relaxed);
    }
    stats->sum += static_cast<double>(sum_.load(std::memory_order_relaxed)) / unit;
  }

 private:
  // Written by whoever records, read by whoever asks for Stats. Relaxed: they publish nothing, and
  // no two of them have to agree.
  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
  std::atomic<int64_t> sum_{0};
};

// A histogram into which many threads record at once: they are spread over several, so that they
// seldom write the same cache line. Thread-safe.
template <int64_t kFirst, size_t kBounds>
class ShardedHistogram {
 public:
  using Shard = Histogram<kFirst, kBounds>;

  // Of one thread, on its stack: what it records before it ends. Values of the same bucket in a
  // row, as the messages of one receive often are, cost two writes together.
  class Recorder {
   public:
    explicit Recorder(ShardedHistogram* histogram) : histogram_(*histogram) {}
    ~Recorder() { Flush(); }
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    void Record(int64_t value) {
      const size_t bucket = Shard::BucketOf(value);
      if (bucket != bucket_) Flush();
      bucket_ = bucket;
      ++values_;
      sum_ += std::max<int64_t>(value, 0);
    }

   private:
    void Flush() {
      if (values_ > 0) histogram_.Mine().Add(bucket_, values_, sum_);
      values_ = 0;
      sum_ = 0;
    }

    ShardedHistogram& histogram_;
    size_t bucket_ = 0;
    uint64_t values_ = 0;  // not yet added
    int64_t sum_ = 0;      // of values_
  };

  HistogramStats Stats(double unit) const {
    HistogramStats stats = shards_[0].shard.Stats(unit);
    for (size_t i = 1; i < kShards; ++i) shards_[i].shard.AddTo(&stats, unit);
    return stats;
  }

 private:
  static constexpr size_t kShards = 8;
  struct alignas(ABSL_CACHELINE_SIZE) Padded {
    Shard shard;
  };

  // The calling thread's: threads differ in where their thread-local storage lies.
  Shard& Mine() {
    static thread_local char here;
    constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
    static_assert(kShards == 8);
    return shards_[(reinterpret_cast<uintptr_t>(&here) * kGolden) >> 61].shard;
  }

  std::array<Padded, kShards> shards_;
};

}  // namespace barista::metrics

#endif  // BARISTA_BROKER_METRICS_HISTOGRAM_H_
