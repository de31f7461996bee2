#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <set>

#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

class ReceiveTest : public ConformanceTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, ReceiveTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(ReceiveTest, EmptyQueueAnswersAtOnceWithNothing) {
  Queue queue = Create("empty");
  const absl::StatusOr<std::vector<ReceivedMessage>> batch = queue.Receive();
  ASSERT_OK(batch);
  EXPECT_TRUE(batch->empty());
}

TEST_P(ReceiveTest, ReceivedMessageIsHiddenUntilItsTimeoutAndCountedAgainAfterwards) {
  Queue queue = Create("hide", {.visibility_timeout = absl::Seconds(5)});
  ASSERT_OK(queue.Send({.body = "m"}));
  const absl::StatusOr<std::vector<ReceivedMessage>> first = queue.Receive();
  ASSERT_OK(first);
  ASSERT_EQ(first->size(), 1u);
  const absl::Time first_received_at = clock_.Now();
  EXPECT_EQ(queue.Describe()->in_flight, 1);
  EXPECT_EQ(queue.Describe()->visible, 0);
  Advance(absl::Seconds(5) - absl::Nanoseconds(1));
  EXPECT_TRUE(ReceiveAll(queue).empty()) << "I3: never early";
  Advance(absl::Nanoseconds(1));
  const std::vector<ReceivedMessage> again = ReceiveExactly(queue, 1);
  EXPECT_EQ(again[0].receive_count, 2);
  EXPECT_EQ(again[0].message_id, (*first)[0].message_id);
  EXPECT_EQ(again[0].first_received_at, first_received_at);
  EXPECT_NE(again[0].receipt_handle, (*first)[0].receipt_handle);
}

TEST_P(ReceiveTest, WallClockStepsEndNoVisibilityTimeout) {
  Queue queue = Create("wall");
  ASSERT_OK(queue.Send({.body = "m"}));
  ASSERT_EQ(ReceiveExactly(queue, 1, absl::Seconds(60)).size(), 1u);
  clock_.StepWallClock(absl::Hours(1));
  Advance(absl::Seconds(59));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  clock_.StepWallClock(-absl::Hours(3));
  Advance(absl::Seconds(2));
  EXPECT_EQ(ReceiveExactly(queue, 1).size(), 1u);
}

TEST_P(ReceiveTest, MessagesOfOneReceiveFitIntoMaxBytesButOneAlwaysComes) {
  Queue queue = Create("bytes");
  // Of a size, so that some are popped that do not fit any more.
  for (size_t size : {100u, 9000u, 100u, 3000u, 100u, 9000u, 100u, 100u}) {
    ASSERT_OK(queue.Send({.body = std::string(size, 'm')}));
  }
  size_t received = 0;
  for (int receives = 0; received < 8; ++receives) {
    ASSERT_LT(receives, 8);
    const auto batch = queue.Receive({.max_messages = 1000, .max_bytes = 4000});
    ASSERT_OK(batch);
    ASSERT_FALSE(batch->empty());
    size_t bytes = 0;
    for (const ReceivedMessage& m : *batch) {
      bytes += m.body.size();
      EXPECT_EQ(m.receive_count, 1);
    }
    EXPECT_TRUE(bytes <= 4000 || batch->size() == 1) << batch->size() << " of " << bytes;
    received += batch->size();
  }
  EXPECT_EQ(queue.Describe()->in_flight, 8);
  EXPECT_EQ(queue.Describe()->visible, 0);
  EXPECT_TRUE(FailsWith(queue.Receive({.max_bytes = 0}), "InvalidParameterValue", "MaxBytes"));
}

TEST_P(ReceiveTest, ZeroVisibilityTimeoutLeavesTheMessageVisible) {
  Queue queue = Create("zero");
  ASSERT_OK(queue.Send({.body = "m"}));
  for (int i = 1; i <= 3; ++i) {
    const absl::StatusOr<std::vector<ReceivedMessage>> batch =
        queue.Receive({.visibility_timeout = absl::ZeroDuration()});
    ASSERT_OK(batch);
    ASSERT_EQ(batch->size(), 1u);
    EXPECT_EQ((*batch)[0].receive_count, i);
  }
}

TEST_P(ReceiveTest, EveryMessageIsDeliveredExactlyOnceWithinTheTimeout) {
  Queue queue = Create("all");
  std::set<MessageId> sent;
  for (int i = 0; i < 50; ++i) {
    std::vector<std::string> bodies;
    std::vector<OutgoingMessage> batch;
    for (int j = 0; j < 20; ++j) bodies.push_back("message " + std::to_string(i * 20 + j));
    for (const std::string& body : bodies) batch.push_back({.body = body});
    for (const absl::StatusOr<SendResult>& result : queue.SendBatch(batch)) {
      ASSERT_OK(result);
      sent.insert(result->message_id);
    }
  }
  std::set<MessageId> received;
  for (const ReceivedMessage& m : ReceiveExactly(queue, 1000))
    EXPECT_TRUE(received.insert(m.message_id).second);
  EXPECT_EQ(received, sent);
}

TEST_P(ReceiveTest, OrderIsThatOfTheSendsWhileNothingReturns) {
  Queue queue = Create("order");
  for (int i = 0; i < 100; ++i) ASSERT_OK(queue.Send({.body = std::to_string(i)}));
  const std::vector<ReceivedMessage> received = ReceiveExactly(queue, 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(received[static_cast<size_t>(i)].body, std::to_string(i));
}

TEST_P(ReceiveTest, ParkedReceiveIsWokenByASend) {
  Queue queue = Create("poll");
  std::atomic<int> got{-1};
  std::shared_ptr<PendingReceive> pending =
      queue.ReceiveAsync({.max_messages = 10, .wait = absl::Seconds(20)},
                         [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                           ASSERT_OK(batch);
                           got = static_cast<int>(batch->size());
                         });
  ASSERT_TRUE(EventuallyParked(1));
  EXPECT_EQ(got, -1);
  ASSERT_OK(queue.Send({.body = "wake up"}));
  EXPECT_TRUE(Eventually([&] { return got == 1; }));
  EXPECT_EQ(broker().Stats().parked_receives, 0);
}

TEST_P(ReceiveTest, OneSendWakesOneOfManyParkedReceivesInTheirOrder) {
  Queue queue = Create("one-each");
  std::vector<int> woken;
  std::atomic<int> count{0};
  std::vector<std::shared_ptr<PendingReceive>> pending;
  for (int i = 0; i < 5; ++i) {
    pending.push_back(queue.ReceiveAsync(
        {.wait = absl::Seconds(20)}, [&, i](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
          if (batch.ok() && !batch->empty()) {
            woken.push_back(i);
            ++count;
          }
        }));
    ASSERT_TRUE(EventuallyParked(i + 1));
  }
  for (int i = 1; i <= 3; ++i) {
    ASSERT_OK(queue.Send({.body = "m"}));
    ASSERT_TRUE(Eventually([&] { return count == i; }));
  }
  EXPECT_THAT(woken, ::testing::ElementsAre(0, 1, 2));
  for (const auto& p : pending) p->Cancel();
  EXPECT_TRUE(EventuallyParked(0));
}

TEST_P(ReceiveTest, ParkedReceiveIsWokenWhenADelayEndsATimeoutEndsOrVisibilityIsSetToZero) {
  Queue queue = Create("wakes");
  const auto park = [&](std::atomic<int>* got) {
    return queue.ReceiveAsync({.wait = absl::Seconds(600), .visibility_timeout = absl::Seconds(30)},
                              [got](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                *got = batch.ok() ? static_cast<int>(batch->size()) : -2;
                              });
  };
  std::atomic<int> delayed{-1};
  ASSERT_OK(queue.Send({.body = "m", .delay = absl::Seconds(10)}));
  auto first = park(&delayed);
  ASSERT_TRUE(EventuallyParked(1));
  Advance(absl::Seconds(11));
  ASSERT_TRUE(Eventually([&] { return delayed == 1; }));

  std::atomic<int> expired{-1};
  auto second = park(&expired);
  ASSERT_TRUE(EventuallyParked(1));
  EXPECT_EQ(expired, -1);
  Advance(absl::Seconds(31));
  ASSERT_TRUE(Eventually([&] { return expired == 1; }));

  Advance(absl::Seconds(31));
  const std::vector<ReceivedMessage> held = ReceiveExactly(queue, 1);
  std::atomic<int> released{-1};
  auto third = park(&released);
  ASSERT_TRUE(EventuallyParked(1));
  EXPECT_EQ(released, -1);
  ASSERT_OK(queue.ChangeMessageVisibility(held[0].receipt_handle, absl::ZeroDuration()));
  EXPECT_TRUE(Eventually([&] { return released == 1; }));
}

TEST_P(ReceiveTest, ParkedReceiveEndsEmptyAtItsDeadline) {
  Queue queue = Create("deadline");
  std::atomic<int> got{-1};
  auto pending = queue.ReceiveAsync({.wait = absl::Seconds(5)},
                                    [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                      got = batch.ok() ? static_cast<int>(batch->size()) : -2;
                                    });
  ASSERT_TRUE(EventuallyParked(1));
  Advance(absl::Seconds(4));
  EXPECT_EQ(got, -1);
  Advance(absl::Seconds(1));
  EXPECT_TRUE(Eventually([&] { return got == 0; }));
}

TEST_P(ReceiveTest, CancelledReceiveTakesNothing) {
  Queue queue = Create("cancel");
  std::atomic<bool> cancelled{false};
  auto pending = queue.ReceiveAsync({.wait = absl::Seconds(20)},
                                    [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                      cancelled = absl::IsCancelled(batch.status());
                                    });
  ASSERT_TRUE(EventuallyParked(1));
  pending->Cancel();
  pending->Cancel();
  EXPECT_TRUE(Eventually([&] { return cancelled.load(); }));
  ASSERT_TRUE(EventuallyParked(0));
  ASSERT_OK(queue.Send({.body = "m"}));
  EXPECT_EQ(queue.Describe()->in_flight, 0);
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].receive_count, 1);
}

TEST_P(ReceiveTest, UndeliveredMessageIsVisibleAtOnceAndItsReceiveIsNotCounted) {
  Queue queue = Create("undelivered");
  ASSERT_OK(queue.Send({.body = "m"}));
  const std::vector<ReceivedMessage> lost = ReceiveExactly(queue, 1);
  const ReceiptHandle handle = lost[0].receipt_handle;
  queue.ReturnUndelivered(absl::MakeConstSpan(&handle, 1));
  EXPECT_TRUE(Eventually([&] { return queue.Describe()->in_flight == 0; }));
  const std::vector<ReceivedMessage> again = ReceiveExactly(queue, 1);
  EXPECT_EQ(again[0].receive_count, 1);
}

TEST_P(ReceiveTest, UndeliveredMessageIsVisibleAfterARestartToo) {
  if (!CanReopen()) return;  // (Nothing to restart from.)
  Create("dead");
  for (const bool redrive : {false, true}) {
    QueueAttributes attributes;
    if (redrive) attributes.redrive_policy = RedrivePolicy{"dead", 5};
    const std::string name = redrive ? "with-redrive" : "without";
    Queue queue = Create(name, attributes);
    ASSERT_OK(queue.Send({.body = "m"}));
    const ReceiptHandle handle = ReceiveExactly(queue, 1, absl::Hours(1))[0].receipt_handle;
    Advance(absl::Seconds(1));  // The lease is in the log.
    queue.ReturnUndelivered(absl::MakeConstSpan(&handle, 1));
    ASSERT_TRUE(Eventually([&] { return queue.Describe()->in_flight == 0; }));
    Advance(absl::Seconds(1));
    Restart();
    queue = *host().GetQueue(name);
    EXPECT_EQ(ReceiveExactly(queue, 1)[0].receive_count, 1);
  }
}

TEST_P(ReceiveTest, InFlightLimitRefusesShortPollsAndParksLongOnesUntilADelete) {
  Queue queue = Create("limit", {.maximum_in_flight = 3});
  for (int i = 0; i < 5; ++i) ASSERT_OK(queue.Send({.body = "m"}));
  const absl::StatusOr<std::vector<ReceivedMessage>> batch = queue.Receive({.max_messages = 10});
  ASSERT_OK(batch);
  EXPECT_EQ(batch->size(), 3u);
  EXPECT_TRUE(FailsWith(queue.Receive(), "OverLimit", "MaximumInFlightMessages"));
  std::atomic<int> got{-1};
  auto pending = queue.ReceiveAsync({.wait = absl::Seconds(20)},
                                    [&](absl::StatusOr<std::vector<ReceivedMessage>> b) {
                                      got = b.ok() ? static_cast<int>(b->size()) : -2;
                                    });
  ASSERT_TRUE(EventuallyParked(1));
  EXPECT_EQ(got, -1);
  ASSERT_OK(queue.Delete((*batch)[0].receipt_handle));
  EXPECT_TRUE(Eventually([&] { return got == 1; }));
  EXPECT_EQ(queue.Describe()->in_flight, 3);
}

TEST_P(ReceiveTest, ViewsOfAMessageOutliveItsQueueAndItsBroker) {
  Queue queue = Create("views");
  ASSERT_OK(queue.Send({.body = "still here", .attributes = {{"a", "b"}}}));
  std::vector<ReceivedMessage> received = ReceiveExactly(queue, 1);
  ASSERT_OK(queue.Delete(received[0].receipt_handle));
  ASSERT_OK(host().DeleteQueue("views"));
  ASSERT_OK(host().Close());
  deployment_.reset();
  EXPECT_EQ(received[0].body, "still here");
  EXPECT_EQ(received[0].attributes()[0].second.value, "b");
}

TEST_P(ReceiveTest, ExhaustedMessageMovesToTheDeadLetterQueueAtTheNextReceive) {
  Queue dead = Create("dead");
  Queue queue = Create("source", {.visibility_timeout = absl::Seconds(1),
                                  .redrive_policy = RedrivePolicy{"dead", 2}});
  const absl::StatusOr<SendResult> sent =
      queue.Send({.body = "poison", .attributes = {{"k", "v"}}});
  ASSERT_OK(sent);
  for (int i = 1; i <= 2; ++i) {
    const std::vector<ReceivedMessage> received = ReceiveExactly(queue, 1, absl::Seconds(1));
    ASSERT_EQ(received[0].receive_count, i);
    Advance(absl::Seconds(1));
    ASSERT_TRUE(Eventually([&] { return queue.Describe()->in_flight == 0; }));
  }
  EXPECT_EQ(queue.Describe()->visible, 1);
  EXPECT_EQ(dead.Describe()->visible, 0);
  EXPECT_TRUE(ReceiveAll(queue).empty());
  EXPECT_EQ(queue.Describe()->visible, 0);
  const std::vector<ReceivedMessage> moved = ReceiveExactly(dead, 1);
  EXPECT_EQ(moved[0].message_id, sent->message_id);
  EXPECT_EQ(moved[0].body, "poison");
  EXPECT_EQ(moved[0].receive_count, 3);
  EXPECT_EQ(moved[0].dead_letter_source(), "source");
  EXPECT_EQ(moved[0].attributes()[0].second.value, "v");
  EXPECT_EQ(broker().Stats().messages_dead_lettered, 1u);
}

TEST_P(ReceiveTest, ExhaustedMessageStaysReceivableWhenItsDeadLetterQueueIsGone) {
  Create("dead");
  Queue queue = Create("source", {.redrive_policy = RedrivePolicy{"dead", 1}});
  ASSERT_OK(queue.Send({.body = "m"}));
  ASSERT_OK(host().DeleteQueue("dead"));
  for (int i = 1; i <= 3; ++i) {
    const std::vector<ReceivedMessage> received = ReceiveExactly(queue, 1, absl::Seconds(1));
    EXPECT_EQ(received[0].receive_count, i);
    Advance(absl::Seconds(2));
    ASSERT_TRUE(Eventually([&] { return queue.Describe()->in_flight == 0; }));
  }
}

TEST_P(ReceiveTest, ReceiveBehindExhaustedMessagesIsFilledWithTheNextOnes) {
  Create("dead");
  Queue queue = Create("source", {.visibility_timeout = absl::Seconds(1),
                                  .redrive_policy = RedrivePolicy{"dead", 1}});
  for (int i = 0; i < 10; ++i) ASSERT_OK(queue.Send({.body = "old"}));
  ASSERT_EQ(ReceiveExactly(queue, 10, absl::Seconds(1)).size(), 10u);
  Advance(absl::Seconds(1));
  ASSERT_TRUE(Eventually([&] { return queue.Describe()->in_flight == 0; }));
  ASSERT_OK(queue.Send({.body = "new"}));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "new");
}

TEST_P(ReceiveTest, ReceiveBehindMoreExhaustedMessagesThanOneOperationMoves) {
  Queue dead = Create("dead");
  Queue queue = Create("source", {.redrive_policy = RedrivePolicy{"dead", 1}});
  constexpr int kExhausted = 2500;
  const std::vector<OutgoingMessage> batch(kExhausted / 5, OutgoingMessage{.body = "old"});
  for (int i = 0; i < 5; ++i) {
    for (const auto& sent : queue.SendBatch(batch)) ASSERT_OK(sent);
  }
  // Each once, and visible again.
  for (int received = 0; received < kExhausted;) {
    const auto got = queue.Receive({.max_messages = 500});
    ASSERT_OK(got);
    received += static_cast<int>(got->size());
  }
  Advance(absl::Seconds(31));
  ASSERT_TRUE(Eventually([&] { return queue.Describe()->in_flight == 0; }));
  ASSERT_OK(queue.Send({.body = "new"}));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "new");
  EXPECT_EQ(queue.Describe()->visible, 0);
  EXPECT_EQ(dead.Describe()->visible, kExhausted);
}

TEST_P(ReceiveTest, LongPollThatFindsOnlyExhaustedMessagesEndsAtItsDeadline) {
  Queue dead = Create("dead");
  Queue queue = Create("source", {.redrive_policy = RedrivePolicy{"dead", 1}});
  ASSERT_OK(queue.Send({.body = "m"}));
  ASSERT_OK(queue.Receive({.visibility_timeout = absl::ZeroDuration()}));
  std::atomic<int> got{-1};
  auto pending = queue.ReceiveAsync({.wait = absl::Seconds(5)},
                                    [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                      got = batch.ok() ? static_cast<int>(batch->size()) : -2;
                                    });
  ASSERT_TRUE(Eventually([&] { return dead.Describe()->visible == 1; }));
  EXPECT_TRUE(Eventually([&] { return broker().Stats().parked_receives == 1; }));
  EXPECT_EQ(got, -1);
  Advance(absl::Seconds(6));
  EXPECT_TRUE(Eventually([&] { return got == 0; }));
}

TEST_P(ReceiveTest, ExpiredMessageIsNeverDeliveredAndLeavesTheCounts) {
  Queue queue = Create("short", {.retention = absl::Seconds(60)});
  for (int i = 0; i < 5; ++i) ASSERT_OK(queue.Send({.body = "old"}));
  const std::vector<ReceivedMessage> held = ReceiveExactly(queue, 5);
  Advance(absl::Seconds(61));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  EXPECT_TRUE(Eventually(
      [&] { return queue.Describe()->visible == 0 && queue.Describe()->in_flight == 0; }));
  EXPECT_OK(queue.Delete(held[0].receipt_handle));
}

TEST_P(ReceiveTest, SweepRemovesExpiredMessagesOfAQueueThatNobodyReceivesFrom) {
  Queue queue = Create("idle", {.retention = absl::Seconds(60)});
  for (int i = 0; i < 5; ++i) ASSERT_OK(queue.Send({.body = "old"}));
  Advance(absl::Seconds(30));
  ASSERT_OK(queue.Send({.body = "younger"}));
  // Past the retention of the first five and the next sweep.
  Advance(absl::Seconds(59));
  Advance(absl::Seconds(1));
  ASSERT_TRUE(
      Eventually([&] { return queue.Describe()->visible == 0 || queue.Describe()->visible == 1; }));
  for (int i = 0; i < 3; ++i) Advance(absl::Seconds(60));
  EXPECT_TRUE(Eventually([&] { return queue.Describe()->visible == 0; }));
  EXPECT_TRUE(Eventually([&] { return broker().Stats().messages_expired == 6u; }));
}

}  // namespace
}  // namespace barista::testing
