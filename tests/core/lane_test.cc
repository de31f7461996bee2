#include "broker/core/lane.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "broker/core/mutex_lane.h"

namespace barista::core {
namespace {

// One suite over both forms.
template <typename L>
class LaneTest : public ::testing::Test {
 protected:
  L lane_;
};

struct LaneWithPool : Lane::Pool, Lane {
  LaneWithPool() : Lane(static_cast<Lane::Pool*>(this)) {}
};
using Lanes = ::testing::Types<LaneWithPool, MutexLane>;
TYPED_TEST_SUITE(LaneTest, Lanes);

TYPED_TEST(LaneTest, HandsOutIdsInTheOrderPushed) {
  TypeParam& lane = this->lane_;
  std::vector<MsgId> ids;
  for (uint32_t i = 0; i < 1000; ++i) ids.push_back(MsgId::Of(i, 1));
  lane.Push(absl::MakeConstSpan(ids).subspan(0, 10));
  lane.Push(absl::MakeConstSpan(ids).subspan(10));
  EXPECT_EQ(lane.ApproximateSize(), 1000u);
  std::vector<MsgId> out(7);
  for (uint32_t next = 0; next < 1000;) {
    const size_t n = lane.Pop(absl::MakeSpan(out));
    ASSERT_GT(n, 0u);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(out[i].slot(), next++);
  }
  EXPECT_EQ(lane.Pop(absl::MakeSpan(out)), 0u);
  EXPECT_EQ(lane.ApproximateSize(), 0u);
}

TYPED_TEST(LaneTest, EveryIdIsPoppedExactlyOnceByCompetingConsumers) {
  TypeParam& lane = this->lane_;
  constexpr uint32_t kPerProducer = 50000;
  std::vector<std::atomic<int>> seen(2 * kPerProducer);
  std::atomic<uint32_t> popped{0};
  std::vector<std::thread> threads;
  for (uint32_t p = 0; p < 2; ++p) {
    threads.emplace_back([&, p] {
      for (uint32_t i = 0; i < kPerProducer; i += 10) {
        MsgId ids[10];
        for (uint32_t j = 0; j < 10; ++j) ids[j] = MsgId::Of(p * kPerProducer + i + j, 1);
        lane.Push(ids);
      }
    });
  }
  for (int c = 0; c < 2; ++c) {
    threads.emplace_back([&] {
      MsgId ids[7];
      while (popped.load() < 2 * kPerProducer) {
        const size_t n = lane.Pop(absl::MakeSpan(ids));
        for (size_t i = 0; i < n; ++i) seen[ids[i].slot()].fetch_add(1);
        popped.fetch_add(static_cast<uint32_t>(n));
        if (n == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : seen) ASSERT_EQ(count.load(), 1);
}

}  // namespace
}  // namespace barista::core
