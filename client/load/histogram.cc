#include "client/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace barista::load {

size_t Histogram::BucketOf(uint64_t value) {
  value = std::min(value, kMax);
  if (value < (1u << kLinearBits)) return static_cast<size_t>(value);
  // Shifted right by `shift`, the value is in [kHalf, 2 * kHalf).
  const int shift = std::bit_width(value) - kLinearBits;
  return static_cast<size_t>(shift) * kHalf + static_cast<size_t>(value >> shift);
}

uint64_t Histogram::UpperEdge(size_t bucket) {
  if (bucket < (1u << kLinearBits)) return bucket;
  const size_t shift = bucket / kHalf - 1;
  const uint64_t leading = bucket % kHalf + kHalf;
  return ((leading + 1) << shift) - 1;
}

void Histogram::Record(uint64_t value) {
  value = std::min(value, kMax);
  counts_[BucketOf(value)].fetch_add(1, std::memory_order_relaxed);
  uint64_t seen = max_.load(std::memory_order_relaxed);
  while (seen < value && !max_.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) {
    const uint64_t count = other.counts_[i].load(std::memory_order_relaxed);
    if (count != 0) counts_[i].fetch_add(count, std::memory_order_relaxed);
  }
  const uint64_t value = other.max();
  uint64_t seen = max_.load(std::memory_order_relaxed);
  while (seen < value && !max_.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (const auto& count : counts_) total += count.load(std::memory_order_relaxed);
  return total;
}

uint64_t Histogram::Percentile(double percent) const {
  const uint64_t total = count();
  if (total == 0) return 0;
  const auto wanted = std::max<uint64_t>(
      1, static_cast<uint64_t>(std::ceil(static_cast<double>(total) * percent / 100)));
  uint64_t passed = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    passed += counts_[i].load(std::memory_order_relaxed);
    if (passed >= wanted) return std::min(UpperEdge(i), max());
  }
  return max();
}

}  // namespace barista::load
