// Calls that race: bounded stress, most telling under thread and address sanitizer.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
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

// Ids of deleted and hidden messages lie in the lanes; they are not over the limit.
TEST(RaceTest, QueueWithNothingVisibleIsNeverOverItsInFlightLimit) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q", {.maximum_in_flight = 1});
  const auto receive = [&](absl::Duration visibility) {
    auto got = queue.Receive({.visibility_timeout = visibility});
    EXPECT_OK(got);
    return got.ok() && got->size() == 1 ? got->front().receipt_handle : ReceiptHandle();
  };
  // Hidden while it lay in a lane, and so in flight.
  ASSERT_OK(queue.Send({.body = "a"}));
  ASSERT_OK(queue.ChangeMessageVisibility(receive(absl::ZeroDuration()), absl::Hours(1)));
  for (int i = 0; i < 8; ++i) EXPECT_OK(queue.Receive());
  ASSERT_OK(queue.Purge());
  // Deleted while it lay in a lane; the next one is held.
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK(queue.Send({.body = "a"}));
    ASSERT_OK(queue.Delete(receive(absl::ZeroDuration())));
    ASSERT_OK(queue.Send({.body = "b"}));
    const ReceiptHandle held = receive(absl::Hours(1));
    for (int j = 0; j < 4; ++j) EXPECT_OK(queue.Receive({.max_messages = 10}));
    ASSERT_OK(queue.Delete(held));
  }
  EXPECT_EQ(queue.Describe()->in_flight, 0);
}

// A receive that has room for one takes ids of several in its hands; others park meanwhile.
TEST(RaceTest, WhatDoesNotFitIntoAReceiveIsNotHiddenFromAnother) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q");
  constexpr int kMessages = 4000;
  std::atomic<int> deleted{0};
  const auto consume = [&] {
    // (A wait that nobody ends is a failure by itself.)
    while (deleted < kMessages) {
      const auto got =
          queue.Receive({.max_messages = 10, .max_bytes = 2500, .wait = absl::Seconds(1)});
      ASSERT_OK(got);
      for (const ReceivedMessage& m : *got) {
        ASSERT_OK(queue.Delete(m.receipt_handle));
        ++deleted;
      }
    }
  };
  std::vector<std::thread> consumers;
  for (int t = 0; t < 3; ++t) consumers.emplace_back(consume);
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_OK(queue.Send({.body = std::string(i % 3 == 0 ? 2000 : 100, 'm')}));
  }
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(deleted, kMessages);
}

// Short polls take ids and put them back; long polls park meanwhile.
TEST(RaceTest, ShortPollsAtTheInFlightLimitHideNothingFromALongPoll) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q", {.maximum_in_flight = 1});
  std::atomic<bool> stop{false};
  std::atomic<int> deleted{0};
  const auto remove = [&](const absl::StatusOr<std::vector<ReceivedMessage>>& got) {
    if (!got.ok()) return;  // OverLimit
    for (const ReceivedMessage& m : *got) {
      ASSERT_OK(queue.Delete(m.receipt_handle));
      ++deleted;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop) remove(queue.Receive());
    });
  }
  threads.emplace_back([&] {
    while (!stop) remove(queue.Receive({.wait = absl::Seconds(60)}));
  });
  constexpr int kRounds = 1000;
  for (int i = 1; i <= kRounds; ++i) {
    ASSERT_OK(queue.Send({.body = "m"}));
    ASSERT_OK(queue.Send({.body = "m"}));
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (deleted < 2 * i && absl::Now() < deadline) std::this_thread::yield();
    ASSERT_EQ(deleted, 2 * i) << "round " << i;
  }
  stop = true;
  ASSERT_OK(queue.Send({.body = "the long poll's"}));
  for (std::thread& thread : threads) thread.join();
}

TEST(RaceTest, InFlightLimitIsNeverPassed) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  constexpr int kLimit = 5;
  Queue queue = *(*broker)->CreateQueue("q", {.maximum_in_flight = kLimit});
  for (int i = 0; i < 100; ++i) ASSERT_OK(queue.Send({.body = "m"}));
  std::atomic<int> held{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        const auto got = queue.Receive({.max_messages = 1 + i % 4});
        if (!got.ok()) continue;  // OverLimit
        const int mine = static_cast<int>(got->size());
        const int now = held += mine;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        held -= mine;
        for (const ReceivedMessage& m : *got) {
          ASSERT_OK(queue.ChangeMessageVisibility(m.receipt_handle, absl::ZeroDuration()));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(most, 0);
  EXPECT_LE(most, kLimit);
  EXPECT_EQ(queue.Describe()->visible, 100);
  EXPECT_EQ(queue.Describe()->in_flight, 0);
}

class EachDurabilityRaceTest : public ::testing::TestWithParam<Durability> {
 protected:
  void SetUp() override {
    auto broker = Broker::Open({.default_durability = GetParam()});
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
  }
  std::unique_ptr<Broker> broker_;
};
INSTANTIATE_TEST_SUITE_P(Durabilities, EachDurabilityRaceTest,
                         ::testing::Values(Durability::kMemory, Durability::kOs),
                         [](const auto& info) { return std::string(DurabilityName(info.param)); });

// A cancelled receive has either delivered its message or left it in the queue.
TEST_P(EachDurabilityRaceTest, CancelAgainstASendLosesNoMessage) {
  Queue queue = *broker_->CreateQueue("q");
  for (int i = 0; i < 3000; ++i) {
    std::atomic<int> delivered{-1};
    auto pending = queue.ReceiveAsync(
        {.wait = absl::Seconds(60)}, [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
          delivered = batch.ok() ? static_cast<int>(batch->size()) : 0;
        });
    std::thread canceller([&] { pending->Cancel(); });
    ASSERT_OK(queue.Send({.body = "m"}));
    canceller.join();
    while (delivered < 0) std::this_thread::yield();
    if (delivered == 1) {
      ASSERT_EQ(queue.Describe()->in_flight, 1) << i;
    } else {
      const auto left = queue.Receive({.wait = absl::Seconds(60)});
      ASSERT_OK(left);
      ASSERT_EQ(left->size(), 1u) << i;
      ASSERT_EQ(left->front().receive_count, 1) << i;
    }
    ASSERT_OK(queue.Purge());
  }
}

// Long polls that are answered, time out and are cancelled at the same time: each ends once, and no
// message is lost, left in flight or left beside a poll that waits for it.
TEST_P(EachDurabilityRaceTest, LongPollsThatEndInEveryWayEndOnceAndLoseNothing) {
  Queue queue = *broker_->CreateQueue("q");
  constexpr int kMessages = 2000;
  constexpr int kPolls = 4000;
  std::atomic<int> deleted{0};
  std::array<std::vector<std::atomic<int>>, 2> ends{std::vector<std::atomic<int>>(kPolls),
                                                    std::vector<std::atomic<int>>(kPolls)};
  const auto remove = [&](const std::vector<ReceivedMessage>& batch) {
    for (const ReceivedMessage& m : batch) {
      EXPECT_EQ(m.receive_count, 1);
      queue.DeleteBatchAsync(absl::MakeConstSpan(&m.receipt_handle, 1), [&](auto statuses) {
        EXPECT_OK(statuses[0]);
        ++deleted;
      });
    }
  };
  std::vector<std::thread> threads;
  for (std::vector<std::atomic<int>>& mine : ends) {
    threads.emplace_back([&] {
      std::vector<std::shared_ptr<PendingReceive>> pending;
      for (int i = 0; i < kPolls; ++i) {
        pending.push_back(
            queue.ReceiveAsync({.wait = i % 2 == 0 ? absl::Milliseconds(1) : absl::Seconds(60)},
                               [&, i](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                 ++mine[static_cast<size_t>(i)];
                                 if (batch.ok()) return remove(*batch);
                                 EXPECT_EQ(batch.status().code(), absl::StatusCode::kCancelled);
                               }));
        if (i >= 16) pending[static_cast<size_t>(i) - 16]->Cancel();
      }
      for (const auto& p : pending) p->Cancel();
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < kMessages; ++i) ASSERT_OK(queue.Send({.body = "m"}));
  });
  for (std::thread& thread : threads) thread.join();
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (deleted < kMessages && absl::Now() < deadline) {
    // (A cancellation that came too late has returned its message.)
    const auto got = queue.Receive({.max_messages = 100, .wait = absl::Milliseconds(10)});
    ASSERT_OK(got);
    remove(*got);
  }
  EXPECT_EQ(deleted, kMessages);
  EXPECT_EQ(queue.Describe()->visible, 0);
  EXPECT_EQ(queue.Describe()->in_flight, 0);
  for (const std::vector<std::atomic<int>>& mine : ends) {
    for (const std::atomic<int>& count : mine) ASSERT_EQ(count, 1);
  }
  EXPECT_EQ(broker_->Stats().parked_receives, 0);
}

// Old handles hide and show messages while others receive and delete them: none stays behind where
// nobody finds it.
TEST_P(EachDurabilityRaceTest, MessagesHiddenAndShownByOldHandlesAreAllReceived) {
  Queue queue = *broker_->CreateQueue("q");
  constexpr int kMessages = 100;
  const auto left = [&] {
    const auto description = queue.Describe();
    return description->visible + description->in_flight;
  };
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < kMessages; ++i) ASSERT_OK(queue.Send({.body = "m"}));
    const auto first =
        queue.Receive({.max_messages = kMessages, .visibility_timeout = absl::ZeroDuration()});
    ASSERT_OK(first);
    ASSERT_EQ(first->size(), static_cast<size_t>(kMessages));
    std::atomic<bool> stop{false};
    std::thread meddler([&] {
      while (!stop) {
        for (const ReceivedMessage& m : *first) {
          // (An error says that the message is deleted.)
          queue.ChangeMessageVisibility(m.receipt_handle, absl::Hours(1)).IgnoreError();
          queue.ChangeMessageVisibility(m.receipt_handle, absl::ZeroDuration()).IgnoreError();
        }
      }
    });
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    const auto consume = [&] {
      while (left() > 0 && absl::Now() < deadline) {
        const auto got = queue.Receive({.max_messages = 3, .wait = absl::Milliseconds(10)});
        ASSERT_OK(got);
        for (const ReceivedMessage& m : *got) ASSERT_OK(queue.Delete(m.receipt_handle));
      }
    };
    std::thread first_consumer(consume);
    std::thread second_consumer(consume);
    first_consumer.join();
    second_consumer.join();
    stop = true;
    meddler.join();
    // (While the meddler runs a message may be between two counts.)
    consume();
    ASSERT_EQ(left(), 0) << "round " << round;
  }
}

// Whatever a receive is doing when its queue goes, it ends, and ends once.
TEST_P(EachDurabilityRaceTest, ReceivesAgainstTheDeletionOfTheirQueueAllEnd) {
  for (int round = 0; round < 300; ++round) {
    Queue queue = *broker_->CreateQueue("q");
    std::atomic<int> ended{0};
    constexpr int kReceives = 20;
    std::thread receiver([&] {
      for (int i = 0; i < kReceives; ++i) {
        queue.ReceiveAsync({.wait = absl::Seconds(3600)},
                           [&](absl::StatusOr<std::vector<ReceivedMessage>>) { ++ended; });
      }
    });
    ASSERT_OK(queue.Send({.body = "m"}));
    ASSERT_OK(broker_->DeleteQueue("q"));
    receiver.join();
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (ended < kReceives && absl::Now() < deadline) std::this_thread::yield();
    ASSERT_EQ(ended, kReceives) << "round " << round;
  }
  EXPECT_EQ(broker_->Stats().parked_receives, 0);
}

TEST_P(EachDurabilityRaceTest, ReceivesAgainstCloseAllEnd) {
  for (int round = 0; round < 100; ++round) {
    Queue queue = *broker_->CreateQueue("q");
    std::atomic<int> ended{0};
    constexpr int kReceives = 20;
    std::thread receiver([&] {
      for (int i = 0; i < kReceives; ++i) {
        queue.ReceiveAsync({.wait = absl::Seconds(3600)},
                           [&](absl::StatusOr<std::vector<ReceivedMessage>>) { ++ended; });
      }
    });
    ASSERT_OK(broker_->Close());
    receiver.join();
    ASSERT_EQ(ended, kReceives) << "round " << round;
    SetUp();
  }
}

TEST_P(EachDurabilityRaceTest, SendsAgainstTheDeletionOfTheirQueueLeaveNothingInMemory) {
  const std::vector<OutgoingMessage> batch(10, OutgoingMessage{.body = "abc"});
  for (int round = 0; round < 300; ++round) {
    Queue queue = *broker_->CreateQueue("q");
    std::atomic<bool> started{false};
    std::thread sender([&] {
      for (;;) {
        const auto sent = queue.SendBatch(batch);
        started = true;
        if (!sent[0].ok()) break;
      }
    });
    while (!started) std::this_thread::yield();
    ASSERT_OK(broker_->DeleteQueue("q"));
    sender.join();
    ASSERT_EQ(broker_->Stats().resident_messages, 0) << "round " << round;
    ASSERT_EQ(broker_->Stats().resident_bytes, 0) << "round " << round;
  }
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

// One answer wakes the next receive, and not from inside of it: the stack does not grow with them.
TEST(RaceTest, MessageThatStaysVisibleIsShownToAllWhoWait) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q");
  constexpr int kPolls = 50'000;
  std::atomic<int> shown{0};
  for (int i = 0; i < kPolls; ++i) {
    queue.ReceiveAsync(
        {.wait = absl::Seconds(3600), .visibility_timeout = absl::ZeroDuration()},
        [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) { shown += batch.ok(); });
  }
  ASSERT_OK(queue.Send({.body = "m"}));
  EXPECT_EQ(shown, kPolls);
}

// Whoever still holds a receive may cancel it at any time.
TEST(RaceTest, ReceiveIsCancelledAfterItsBrokerIsGone) {
  auto broker = Broker::Open();
  ASSERT_OK(broker);
  Queue queue = *(*broker)->CreateQueue("q");
  std::vector<absl::Status> ends;
  const auto pending = queue.ReceiveAsync(
      {.wait = absl::Seconds(3600)},
      [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) { ends.push_back(batch.status()); });
  broker->reset();
  pending->Cancel();
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].code(), absl::StatusCode::kFailedPrecondition);
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
