#include "broker/consumer/consumer_state.h"

#include <gmock/gmock.h>

#include "barista/error.h"
#include "tests/consumer/fake_queue.h"

namespace barista::internal {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

ReceivedMessage Take(FakeConsumer& consumer) {
  const auto message = consumer.Next(absl::ZeroDuration());
  EXPECT_TRUE(message.ok() && message->has_value());
  return message.ok() && message->has_value() ? **message : ReceivedMessage();
}

TEST(ConsumerStateTest, WantsAllThereIsRoomForWhenNothingIsReady) {
  FakeConsumer consumer(10);
  EXPECT_EQ(consumer.WantedBeside(0), 10u);
  EXPECT_EQ(consumer.WantedBeside(9), 1u);
  EXPECT_EQ(consumer.WantedBeside(10), 0u);
  EXPECT_EQ(consumer.WantedBeside(11), 0u);
  consumer.Deliver({1});
  Take(consumer);
  EXPECT_EQ(consumer.WantedBeside(0), 9u) << "what is taken counts until it is settled";
}

TEST(ConsumerStateTest, WantsHalvesOfItsCreditWhileSomethingIsReady) {
  FakeConsumer consumer(10);
  consumer.Deliver({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(consumer.WantedBeside(0), 0u) << "room for 4";
  const ReceivedMessage first = Take(consumer);
  ASSERT_TRUE(consumer.Delete(first).ok());
  EXPECT_EQ(consumer.WantedBeside(0), 5u);
  consumer.Stop();
  EXPECT_EQ(consumer.WantedBeside(0), 0u);
}

TEST(ConsumerStateTest, ExtensionsOfWhatIsSettledAreLeftOut) {
  FakeConsumer consumer(10);
  consumer.Deliver({1, 2, 3});
  const ReceivedMessage deleted = Take(consumer);
  const ReceivedMessage released = Take(consumer);
  const ReceivedMessage kept = Take(consumer);
  for (const ReceivedMessage* message : {&deleted, &released, &kept})
    ASSERT_TRUE(consumer.Extend(*message, absl::Seconds(9)).ok());
  ASSERT_TRUE(consumer.Delete(deleted).ok());
  ASSERT_TRUE(consumer.Release(released, absl::Seconds(5)).ok());
  const FakeConsumer::Asked asked = consumer.Settle();
  ASSERT_THAT(asked.deletes, SizeIs(1));
  EXPECT_EQ(asked.deletes[0].number, 1u);
  ASSERT_THAT(asked.changes, SizeIs(2));
  EXPECT_TRUE(asked.changes[0].extension);
  EXPECT_EQ(asked.changes[0].delivery.number, 3u);
  EXPECT_FALSE(asked.changes[1].extension);
  EXPECT_EQ(asked.changes[1].delivery.number, 2u);
  EXPECT_EQ(asked.changes[1].timeout, absl::Seconds(5));
  EXPECT_TRUE(consumer.Flush(absl::ZeroDuration()).ok()) << "those that were left out are settled";
}

TEST(ConsumerStateTest, FlushWaitsForWhatWasAskedBefore) {
  FakeConsumer consumer(10);
  consumer.Deliver({1});
  ASSERT_TRUE(consumer.Delete(Take(consumer)).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(consumer.Flush(absl::ZeroDuration())));
  consumer.Settle();
  EXPECT_TRUE(consumer.Flush(absl::InfiniteDuration()).ok());
}

TEST(ConsumerStateTest, TheFirstFailureIsToldWithItsMessageAndReason) {
  FakeConsumer consumer(10);
  consumer.Deliver({7, 8});
  ASSERT_TRUE(consumer.Delete(Take(consumer)).ok());
  ASSERT_TRUE(consumer.Delete(Take(consumer)).ok());
  consumer.Settle(
      MakeError(absl::StatusCode::kUnavailable, "cannot write", {.reason = "StoreUnavailable"}));
  const absl::Status told = consumer.Next(absl::ZeroDuration()).status();
  EXPECT_EQ(told.message(), "message " + FakeConsumer::Id(7).ToString() + ": cannot write");
  EXPECT_EQ(GetErrorInfo(told).reason, "StoreUnavailable");
  EXPECT_TRUE(consumer.Flush(absl::ZeroDuration()).ok());
}

TEST(ConsumerStateTest, WhatArrivesAfterStopGoesBack) {
  FakeConsumer consumer(10);
  consumer.Deliver({1, 2});
  Take(consumer);
  consumer.Stop();
  consumer.Deliver({3});
  EXPECT_EQ(GetErrorInfo(consumer.Next(absl::ZeroDuration()).status()).reason, "ConsumerStopped");
  const FakeConsumer::Asked asked = consumer.Settle();
  ASSERT_THAT(asked.untaken, SizeIs(2));
  EXPECT_EQ(asked.untaken[0].number, 2u);
  EXPECT_EQ(asked.untaken[1].number, 3u);
  EXPECT_THAT(asked.changes, IsEmpty());
}

TEST(ConsumerStateTest, EndLosesWhatIsReadyAndAnswersFromThenOn) {
  FakeConsumer consumer(10);
  consumer.Deliver({1, 2});
  const ReceivedMessage taken = Take(consumer);
  ASSERT_TRUE(consumer.Extend(taken, absl::Seconds(1)).ok());
  const absl::Status error = absl::UnavailableError("gone");
  consumer.End(error);
  consumer.End(absl::InternalError("later"));
  EXPECT_EQ(consumer.Next(absl::InfiniteDuration()).status(), error);
  EXPECT_EQ(consumer.Delete(taken), error);
  EXPECT_EQ(consumer.Flush(absl::InfiniteDuration()), error) << "the extension was not settled";
  EXPECT_EQ(consumer.status(), error);
  EXPECT_EQ(consumer.WantedBeside(0), 0u);
}

}  // namespace
}  // namespace barista::internal
