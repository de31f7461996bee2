// What an application may do for ever without the broker growing. Counts the bytes that operator
// new hands out.

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "tests/conformance/broker_kinds.h"

namespace {

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> allocations{0};

void* Allocate(size_t bytes, size_t alignment) {
  // (aligned_alloc wants a multiple of the alignment.)
  void* memory = alignment == 0
                     ? std::malloc(bytes)
                     : std::aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));
  if (memory == nullptr) throw std::bad_alloc();
  allocations.fetch_add(1, std::memory_order_relaxed);
  live_bytes.fetch_add(static_cast<int64_t>(malloc_usable_size(memory)), std::memory_order_relaxed);
  return memory;
}

void Free(void* memory) {
  if (memory == nullptr) return;
  live_bytes.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)), std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

// The linker sends the engine's calls of malloc here (--wrap).
extern "C" void* __real_malloc(size_t bytes);
extern "C" void* __wrap_malloc(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __real_malloc(bytes);
}

void* operator new(size_t bytes) { return Allocate(bytes, 0); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return Allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t) noexcept { Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { Free(memory); }

namespace barista::testing {
namespace {

// A little more than the dead timers that wait for the next sweep.
constexpr int64_t kBound = 1536 << 10;

class GrowthTest : public ::testing::TestWithParam<Durability> {
 protected:
  void SetUp() override {
    auto broker = Broker::Open({.default_durability = GetParam()});
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
    queue_ = *broker_->CreateQueue("q");
  }

  // How many bytes more live after `rounds` calls of `step` than after a tenth of them, once the
  // broker's own threads have had their turn.
  template <typename F>
  int64_t Growth(int rounds, F step) {
    for (int i = 0; i < rounds / 10; ++i) step();
    const int64_t before = live_bytes;
    for (int i = 0; i < rounds; ++i) step();
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (live_bytes - before >= kBound && absl::Now() < deadline) std::this_thread::yield();
    return live_bytes - before;
  }

  std::unique_ptr<Broker> broker_;
  Queue queue_;
};
INSTANTIATE_TEST_SUITE_P(Durabilities, GrowthTest,
                         ::testing::Values(Durability::kMemory, Durability::kOs),
                         [](const auto& info) { return std::string(DurabilityName(info.param)); });

TEST_P(GrowthTest, MessageHiddenAndShownAgainAndAgain) {
  ASSERT_OK(queue_.Send({.body = "m"}));
  const auto held = queue_.Receive();
  ASSERT_OK(held);
  const ReceiptHandle handle = held->front().receipt_handle;
  const int64_t growth = Growth(250'000, [&] {
    ASSERT_OK(queue_.ChangeMessageVisibility(handle, absl::Hours(12)));
    ASSERT_OK(queue_.ChangeMessageVisibility(handle, absl::ZeroDuration()));
  });
  EXPECT_LT(growth, kBound);
  EXPECT_EQ(queue_.Receive()->size(), 1u);
}

TEST_P(GrowthTest, TimeoutShortenedAndExtendedAgainAndAgain) {
  ASSERT_OK(queue_.Send({.body = "m"}));
  const auto held = queue_.Receive();
  ASSERT_OK(held);
  const ReceiptHandle handle = held->front().receipt_handle;
  const int64_t growth = Growth(100'000, [&] {
    ASSERT_OK(queue_.ChangeMessageVisibility(handle, absl::Hours(12)));
    ASSERT_OK(queue_.ChangeMessageVisibility(handle, absl::Hours(1)));
  });
  EXPECT_LT(growth, kBound);
}

TEST_P(GrowthTest, MessageReceivedAndReleasedAgainAndAgain) {
  ASSERT_OK(queue_.Send({.body = "m"}));
  const int64_t growth = Growth(100'000, [&] {
    const auto held = queue_.Receive({.visibility_timeout = absl::Hours(12)});
    ASSERT_OK(held);
    ASSERT_EQ(held->size(), 1u);
    ASSERT_OK(queue_.ChangeMessageVisibility(held->front().receipt_handle, absl::ZeroDuration()));
  });
  EXPECT_LT(growth, kBound);
}

TEST_P(GrowthTest, QueueFilledAndPurgedAndNeverReceivedFrom) {
  const std::vector<OutgoingMessage> batch(1000, OutgoingMessage{.body = "m"});
  const int64_t growth = Growth(500, [&] {
    for (const auto& sent : queue_.SendBatch(batch)) ASSERT_OK(sent);
    ASSERT_OK(queue_.Purge());
  });
  EXPECT_LT(growth, kBound);
}

TEST_P(GrowthTest, LongPollParkedAndCancelledAgainAndAgain) {
  const int64_t growth = Growth(
      100'000, [&] { queue_.ReceiveAsync({.wait = absl::Hours(1)}, [](auto) {})->Cancel(); });
  EXPECT_LT(growth, kBound);
  EXPECT_EQ(broker_->Stats().parked_receives, 0);
}

// What a cycle of send, receive and delete allocates does not depend on how many messages it has.
TEST(AllocationTest, MessagesInMemoryAllocateNothing) {
  auto broker = Broker::Open({.default_durability = Durability::kMemory});
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q");
  for (const size_t body_bytes : {1u, 100u, 1024u, 4096u}) {
    const std::string body(body_bytes, 'x');
    const auto allocations_of_a_cycle = [&](int batch) {
      const std::vector<OutgoingMessage> messages(static_cast<size_t>(batch),
                                                  OutgoingMessage{.body = body});
      const auto cycle = [&] {
        for (const auto& sent : queue.SendBatch(messages)) ASSERT_OK(sent);
        const auto got = queue.Receive({.max_messages = batch});
        ASSERT_OK(got);
        ASSERT_EQ(got->size(), messages.size());
        std::vector<ReceiptHandle> handles;
        handles.reserve(got->size());
        for (const ReceivedMessage& m : *got) handles.push_back(m.receipt_handle);
        for (const auto& deleted : queue.DeleteBatch(handles)) ASSERT_OK(deleted);
      };
      for (int i = 0; i < 100; ++i) cycle();
      // The least of many: the timer's own memory grows now and then.
      int64_t least = std::numeric_limits<int64_t>::max();
      for (int i = 0; i < 100; ++i) {
        const int64_t before = allocations;
        cycle();
        least = std::min<int64_t>(least, allocations - before);
      }
      return least;
    };
    EXPECT_EQ(allocations_of_a_cycle(100), allocations_of_a_cycle(500)) << body_bytes;
  }
}

}  // namespace
}  // namespace barista::testing
