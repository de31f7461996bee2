// Calls that race: bounded stress, most telling under thread and address sanitizer.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

TEST(RaceTest, EmptyQueueIsNeverOverItsInFlightLimit) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q", {.maximum_in_flight = 10});
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        if (!queue.Receive({.max_messages = 10}).ok()) ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
}

// At the limit of one message in flight, every long poll is answered by the delete before it.
TEST(RaceTest, ReleaseAtTheInFlightLimitWakesTheReceiveThatIsJustParking) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q", {.maximum_in_flight = 1});
  constexpr int kMessages = 3000;
  for (int i = 0; i < kMessages; ++i) ASSERT_OK(queue.Send({.body = "m"}));
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kMessages / 3; ++i) {
        const auto got = queue.Receive({.wait = absl::Seconds(60)});
        ASSERT_OK(got);
        ASSERT_EQ(got->size(), 1u);
        ASSERT_OK(queue.Delete(got->front().receipt_handle));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(queue.Describe()->visible, 0);
}

class PurgeRaceTest : public ::testing::TestWithParam<Durability> {};
INSTANTIATE_TEST_SUITE_P(Durabilities, PurgeRaceTest,
                         ::testing::Values(Durability::kMemory, Durability::kOs),
                         [](const auto& info) { return std::string(DurabilityName(info.param)); });

TEST_P(PurgeRaceTest, PurgeAgainstMovesToTheDeadLetterQueue) {
  TemporaryDirectory directory;
  auto broker =
      Broker::Open({.data_dir = directory.path() + "/data", .default_durability = GetParam()});
  ASSERT_OK(broker);
  Queue dead = *(*broker)->CreateQueue("dead");
  Queue queue = *(*broker)->CreateQueue("q", {.redrive_policy = RedrivePolicy{"dead", 1}});
  std::atomic<bool> stop{false};
  std::thread purger([&] {
    while (!stop) ASSERT_OK(queue.Purge());
  });
  const std::vector<OutgoingMessage> batch(100, OutgoingMessage{.body = "abc"});
  for (int i = 0; i < 300; ++i) {
    for (const auto& result : queue.SendBatch(batch)) ASSERT_OK(result);
    ASSERT_OK(queue.Receive({.max_messages = 100, .visibility_timeout = absl::ZeroDuration()}));
    ASSERT_OK(queue.Receive({.max_messages = 100}));
  }
  stop = true;
  purger.join();
  ASSERT_OK(queue.Purge());
  ASSERT_OK(dead.Purge());
  EXPECT_EQ((*broker)->Stats().resident_messages, 0);
  EXPECT_EQ((*broker)->Stats().resident_bytes, 0);
  for (Queue* q : {&queue, &dead}) {
    EXPECT_EQ(q->Describe()->visible, 0);
    EXPECT_EQ(q->Describe()->in_flight, 0);
  }
}

// Senders, receivers, deleters and those who change visibility, on an `os` and an `fsync` queue
// that share every batch; then the books are balanced.
TEST(RaceTest, QueuesOfDifferentDurabilityShareBatchesAndLoseNothing) {
  TemporaryDirectory directory;
  auto broker = Broker::Open({.data_dir = directory.path() + "/data"});
  ASSERT_OK(broker);
  constexpr int kEach = 1500;
  std::vector<Queue> queues;
  for (Durability durability : {Durability::kOs, Durability::kFsync, Durability::kMemory}) {
    queues.push_back(*(*broker)->CreateQueue(std::string(DurabilityName(durability)),
                                             {.durability = durability}));
  }
  std::vector<std::thread> threads;
  std::vector<std::atomic<int>> deleted(queues.size());
  for (size_t q = 0; q < queues.size(); ++q) {
    threads.emplace_back([&, q] {
      for (int i = 0; i < kEach; ++i) ASSERT_OK(queues[q].Send({.body = "m"}));
    });
    for (int c = 0; c < 2; ++c) {
      threads.emplace_back([&, q, c] {
        while (deleted[q] < kEach) {
          const auto got = queues[q].Receive({.max_messages = 7, .wait = absl::Milliseconds(20)});
          ASSERT_OK(got);
          for (const ReceivedMessage& m : *got) {
            if (c == 0) {
              ASSERT_OK(queues[q].ChangeMessageVisibility(m.receipt_handle, absl::Seconds(60)));
            }
            ASSERT_OK(queues[q].Delete(m.receipt_handle));
            ++deleted[q];
          }
        }
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t q = 0; q < queues.size(); ++q) {
    EXPECT_EQ(deleted[q], kEach) << queues[q].name();
    EXPECT_EQ(queues[q].Describe()->visible, 0);
    EXPECT_EQ(queues[q].Describe()->in_flight, 0);
  }
  EXPECT_EQ((*broker)->Stats().resident_messages, 0);
}

}  // namespace
}  // namespace barista::testing
