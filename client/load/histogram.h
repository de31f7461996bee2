#ifndef BARISTA_CLIENT_LOAD_HISTOGRAM_H_
#define BARISTA_CLIENT_LOAD_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace barista::load {

// Counts values in log-linear buckets: exact below 128, then 64 buckets for each power of two, so a
// reported value is at most 1/64 above the true one. Values from 0 to kMax; larger ones count as
// kMax. 18 KiB.
//
// Record is thread-safe and does not wait (one relaxed addition); use one histogram per thread and
// merge them, so that threads do not share cache lines. Reading beside writers sees some of their
// values.
class Histogram {
 public:
  static constexpr uint64_t kMax = (uint64_t{1} << 40) - 1;  // 18 minutes in nanoseconds

  Histogram() = default;
  Histogram(const Histogram& other) { Merge(other); }
  Histogram& operator=(const Histogram&) = delete;

  void Record(uint64_t value);
  // Adds what `other` counted. Percentiles come from merged counts; they are never averaged.
  void Merge(const Histogram& other);

  uint64_t count() const;
  // The least value such that at least `percent` of all values are not above it (to the bucket's
  // upper edge, at most max()); `percent` in (0, 100]. 0 if nothing was recorded. O(buckets).
  uint64_t Percentile(double percent) const;
  // Exact. 0 if nothing was recorded.
  uint64_t max() const { return max_.load(std::memory_order_relaxed); }

  // The bucket of `value`, and the largest value of a bucket.
  static size_t BucketOf(uint64_t value);
  static uint64_t UpperEdge(size_t bucket);

 private:
  static constexpr int kLinearBits = 7;                 // values below 2^7 have a bucket each
  static constexpr int kHalf = 1 << (kLinearBits - 1);  // buckets per power of two above
  static constexpr size_t kBuckets = size_t{2 + 40 - kLinearBits} * kHalf;

  // Counters: written by recorders, read by Merge and Percentile; relaxed, as no other data hangs
  // on them.
  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
  std::atomic<uint64_t> max_{0};
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_HISTOGRAM_H_
