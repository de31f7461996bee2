// What a consumer of a queue of this process does beside its contract: limits, and threads that are
// not its own.

#include "broker/queue/queue_consumer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "barista/broker.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

using internal::QueueConsumer;

// With its own threads, and in manual mode.
class QueueConsumerTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    BrokerOptions options;
    options.manual = GetParam();
    options.clock = &clock_;
    absl::StatusOr<std::unique_ptr<Broker>> broker = Broker::Open(options);
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
    queue_ = *broker_->CreateQueue("q", {.maximum_in_flight = 1'000'000});
  }
  void SendMany(int count, const std::string& body) {
    std::vector<OutgoingMessage> batch;
    for (int sent = 0; sent < count; sent += static_cast<int>(batch.size())) {
      batch.assign(static_cast<size_t>(std::min(count - sent, 1000)), {.body = body});
      for (const auto& result : queue_.SendBatch(batch)) ASSERT_OK(result);
    }
  }
  QueueDescription Describe() { return *queue_.Describe(); }

  ManualClock clock_;
  std::unique_ptr<Broker> broker_;
  Queue queue_;
};
INSTANTIATE_TEST_SUITE_P(Modes, QueueConsumerTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "manual" : "threads"; });

TEST_P(QueueConsumerTest, FetchesSoManyBytesAheadAndAtLeastOneMessage) {
  const std::string body(900 << 10, 'm');  // four of them and no fifth have room
  for (int i = 0; i < 10; ++i) ASSERT_OK(queue_.Send({.body = body}));
  const auto consumer = *queue_.Consume();
  for (int taken = 0; taken < 6; ++taken) {
    EXPECT_GE(Describe().in_flight, taken + 1);
    EXPECT_LE(Describe().in_flight, taken + QueueConsumer::kMaxReadyBytes / (900 << 10));
    const auto message = consumer->Next();
    ASSERT_OK(message);
  }
}

TEST_P(QueueConsumerTest, WhatTakesManyRoundsIsLeftToTheTimer) {
  // Rounds of a batch each: more of them than one thread goes on for.
  constexpr int kMessages = (QueueConsumer::kMaxTurns + 10) * static_cast<int>(kMaxBatchEntries);
  SendMany(kMessages, "m");
  const auto consumer = *queue_.Consume({.credit = kMessages});
  for (int i = 0; i < kMessages; ++i) ASSERT_OK(consumer->Next());
  EXPECT_EQ(Describe().in_flight, kMessages);
  EXPECT_OK(consumer->Close());
  EXPECT_EQ(Describe().in_flight, 0);
  EXPECT_EQ(Describe().visible, kMessages);
}

TEST_P(QueueConsumerTest, HeartbeatOfMoreThanABatchReachesAll) {
  constexpr int kMessages = 2 * static_cast<int>(kMaxBatchEntries) + 1;
  SendMany(kMessages, "m");
  const auto consumer =
      *queue_.Consume({.credit = kMessages, .visibility_timeout = absl::Seconds(30)});
  for (int i = 0; i < kMessages; ++i) ASSERT_OK(consumer->Next());
  for (int beat = 0; beat < 9; ++beat) {
    clock_.Advance(absl::Seconds(10));
    if (!GetParam()) return;  // Threads may be later than the clock.
    broker_->RunOnce();
    EXPECT_EQ(Describe().in_flight, kMessages);
  }
}

TEST_P(QueueConsumerTest, NextWaitsByTheClockOfTheBroker) {
  const auto consumer = *queue_.Consume();
  auto next = std::async(std::launch::async, [&] { return consumer->Next(absl::Seconds(10)); });
  // In manual mode time stands still while it waits: it does not.
  while (next.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    if (!GetParam()) clock_.Advance(absl::Seconds(10));
  }
  const auto none = next.get();
  ASSERT_OK(none);
  EXPECT_FALSE(none->has_value());
}

TEST_P(QueueConsumerTest, EndOfTheQueueIsToldWithoutCreditToo) {
  SendMany(1, "m");
  const auto consumer = *queue_.Consume({.credit = 1});
  ASSERT_OK(consumer->Next());  // No receive is parked that could tell it.
  ASSERT_OK(broker_->DeleteQueue("q"));
  EXPECT_TRUE(FailsWith(consumer->Next(), "QueueDoesNotExist", "QueueName"));
}

TEST_P(QueueConsumerTest, OnesThatAreGoneAreForgotten) {
  for (int i = 0; i < 100; ++i) {
    const auto consumer = *queue_.Consume();
    if (i % 2 == 0) {
      EXPECT_OK(consumer->Close());
    }
  }
  ASSERT_OK(broker_->DeleteQueue("q"));
}

TEST_P(QueueConsumerTest, MayOutliveItsBroker) {
  SendMany(3, "m");
  const auto consumer = *queue_.Consume({.credit = 2});
  const auto taken = consumer->Next();
  ASSERT_OK(taken);
  queue_ = Queue();
  broker_ = nullptr;
  EXPECT_EQ(GetErrorInfo(consumer->Next().status()).reason, "BrokerClosed");
  EXPECT_EQ(GetErrorInfo(consumer->Delete(**taken)).reason, "BrokerClosed");
  EXPECT_EQ((*taken)->body, "m");
  EXPECT_OK(consumer->Close());
}

}  // namespace
}  // namespace barista::testing
