#include "barista/consumer.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ConsumerTest : public ConformanceTest {
 protected:
  std::unique_ptr<Consumer> Consume(Queue& queue, const ConsumeOptions& options = {}) {
    absl::StatusOr<std::unique_ptr<Consumer>> consumer = queue.Consume(options);
    EXPECT_OK(consumer);
    return *std::move(consumer);
  }
  void SendMany(Queue& queue, int count) {
    for (int i = 0; i < count; ++i) ASSERT_OK(queue.Send({.body = "m" + std::to_string(i)}));
  }
  // The next message; waits for it.
  ReceivedMessage Take(Consumer& consumer) {
    std::optional<ReceivedMessage> message;
    EXPECT_TRUE(Eventually([&] {
      absl::StatusOr<std::optional<ReceivedMessage>> next = consumer.Next(absl::ZeroDuration());
      if (!next.ok()) {
        ADD_FAILURE() << next.status();
        return true;
      }
      message = *std::move(next);
      return message.has_value();
    }));
    return message.value_or(ReceivedMessage());
  }
  std::vector<ReceivedMessage> TakeMany(Consumer& consumer, size_t count) {
    std::vector<ReceivedMessage> messages;
    while (messages.size() < count && !HasFailure()) messages.push_back(Take(consumer));
    return messages;
  }
  bool HasNone(Consumer& consumer) {
    const auto next = consumer.Next(absl::ZeroDuration());
    return next.ok() && !next->has_value();
  }
  // Waits for its error.
  absl::Status ErrorOf(Consumer& consumer) {
    absl::Status error;
    EXPECT_TRUE(Eventually([&] {
      error = consumer.Next(absl::ZeroDuration()).status();
      return !error.ok();
    }));
    return error;
  }
  int64_t Visible(Queue& queue) { return queue.Describe()->visible; }
  int64_t InFlight(Queue& queue) { return queue.Describe()->in_flight; }
};
INSTANTIATE_TEST_SUITE_P(Kinds, ConsumerTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(ConsumerTest, DeliversWhatThereIsAndWhatComes) {
  Queue queue = Create("q");
  SendMany(queue, 2);
  const auto consumer = Consume(queue);
  EXPECT_EQ(Take(*consumer).body, "m0");
  const ReceivedMessage second = Take(*consumer);
  EXPECT_EQ(second.body, "m1");
  EXPECT_EQ(second.receive_count, 1);
  EXPECT_EQ(second.delivery, 2u);
  EXPECT_TRUE(HasNone(*consumer));
  ASSERT_OK(queue.Send({.body = "later", .attributes = {{"table", "7"}}}));
  const ReceivedMessage later = Take(*consumer);
  EXPECT_EQ(later.body, "later");
  EXPECT_EQ(later.attributes(), (MessageAttributes{{"table", "7"}}));
}

TEST_P(ConsumerTest, HoldsNoMoreThanItsCredit) {
  Queue queue = Create("q");
  SendMany(queue, 10);
  const auto consumer = Consume(queue, {.credit = 3});
  std::vector<ReceivedMessage> messages = TakeMany(*consumer, 3);
  EXPECT_TRUE(HasNone(*consumer));
  EXPECT_EQ(InFlight(queue), 3);
  // A request that is done has been followed by what there was credit for: none.
  ASSERT_OK(consumer->Extend(messages[0], absl::Seconds(30)));
  ASSERT_OK(consumer->Flush());
  EXPECT_TRUE(HasNone(*consumer));
  ASSERT_OK(consumer->Delete(messages[0]));
  ASSERT_OK(consumer->Release(messages[1], absl::Hours(1)));
  TakeMany(*consumer, 2);
  ASSERT_OK(consumer->Flush());
  EXPECT_TRUE(HasNone(*consumer));
  EXPECT_EQ(InFlight(queue), 4) << "three, and the one that was released for later";
}

TEST_P(ConsumerTest, DeletedMessagesAreGoneOnceFlushed) {
  Queue queue = Create("q");
  SendMany(queue, 250);
  const auto consumer = Consume(queue, {.credit = 100});
  for (int i = 0; i < 250; ++i) ASSERT_OK(consumer->Delete(Take(*consumer)));
  ASSERT_OK(consumer->Flush());
  EXPECT_EQ(Visible(queue), 0);
  EXPECT_EQ(InFlight(queue), 0);
  if (!CanReopen()) return;
  ASSERT_OK(consumer->Close());
  Restart();
  Queue again = *host().GetQueue("q");
  EXPECT_THAT(ReceiveAll(again), IsEmpty());
}

TEST_P(ConsumerTest, ReleasedMessageComesAgainAfterItsDelay) {
  Queue queue = Create("q");
  SendMany(queue, 1);
  const auto consumer = Consume(queue);
  ASSERT_OK(consumer->Release(Take(*consumer)));
  const ReceivedMessage second = Take(*consumer);
  EXPECT_EQ(second.receive_count, 2);
  ASSERT_OK(consumer->Release(second, absl::Seconds(60)));
  ASSERT_OK(consumer->Flush());
  // (A heartbeat that hid it again would be due meanwhile.)
  for (int i = 0; i < 5; ++i) Advance(absl::Seconds(11));
  EXPECT_TRUE(HasNone(*consumer));
  Advance(absl::Seconds(6));
  EXPECT_EQ(Take(*consumer).receive_count, 3);
}

TEST_P(ConsumerTest, HeartbeatKeepsMessagesHiddenWhileTheConsumerLives) {
  Queue queue = Create("q", {.visibility_timeout = absl::Seconds(10)});
  SendMany(queue, 3);
  auto consumer = Consume(queue, {.credit = 3});
  const ReceivedMessage taken = Take(*consumer);
  ASSERT_TRUE(Eventually([&] { return InFlight(queue) == 3; }));
  for (int i = 0; i < 30; ++i) {
    Advance(absl::Seconds(3));
    EXPECT_THAT(ReceiveAll(queue), IsEmpty()) << "after " << 3 * i << " s";
    if (!GetParam().manual) break;  // Threads may be later than the clock.
  }
  // Time passes in one step, as on a machine that sleeps.
  if (GetParam().manual) Advance(absl::Hours(1));
  EXPECT_EQ(InFlight(queue), 3);
  ASSERT_OK(consumer->Delete(taken));
  ASSERT_OK(consumer->Close());
  EXPECT_EQ(Visible(queue), 2);
}

TEST_P(ConsumerTest, WithoutHeartbeatOthersReceiveAfterTheTimeout) {
  Queue queue = Create("q");
  SendMany(queue, 1);
  const auto consumer =
      Consume(queue, {.credit = 1, .visibility_timeout = absl::Seconds(10), .heartbeat = false});
  const ReceivedMessage taken = Take(*consumer);
  Advance(absl::Seconds(10));
  const std::vector<ReceivedMessage> others = ReceiveExactly(queue, 1);
  EXPECT_EQ(others[0].receive_count, 2);
  // The other's receive is left alone.
  ASSERT_OK(consumer->Release(taken));
  EXPECT_TRUE(FailsWith(consumer->Flush(), "InvalidParameterValue", "ReceiptHandle"));
  EXPECT_EQ(InFlight(queue), 1);
}

TEST_P(ConsumerTest, ExtendedMessageStaysHidden) {
  Queue queue = Create("q");
  SendMany(queue, 1);
  const auto consumer =
      Consume(queue, {.visibility_timeout = absl::Seconds(10), .heartbeat = false});
  const ReceivedMessage taken = Take(*consumer);
  ASSERT_OK(consumer->Extend(taken, absl::Seconds(5)));
  ASSERT_OK(consumer->Extend(taken, absl::Seconds(100)));
  ASSERT_OK(consumer->Flush());
  Advance(absl::Seconds(99));
  EXPECT_THAT(ReceiveAll(queue), IsEmpty());
  Advance(absl::Seconds(1));
  EXPECT_EQ(Take(*consumer).receive_count, 2);
}

TEST_P(ConsumerTest, StopGivesBackWhatNobodyTook) {
  Queue queue = Create("q");
  SendMany(queue, 10);
  const auto consumer = Consume(queue, {.credit = 5});
  const ReceivedMessage taken = Take(*consumer);
  ASSERT_TRUE(Eventually([&] { return InFlight(queue) == 5; }));
  consumer->Stop();
  EXPECT_TRUE(FailsWith(consumer->Next(), "ConsumerStopped", ""));
  EXPECT_OK(consumer->status());
  ASSERT_TRUE(Eventually([&] { return InFlight(queue) == 1; }));
  EXPECT_EQ(Visible(queue), 9);
  ASSERT_OK(consumer->Delete(taken));
  ASSERT_OK(consumer->Close());
  EXPECT_EQ(Visible(queue) + InFlight(queue), 9);
  const bool embedded = &host() == &broker();
  for (const ReceivedMessage& message : ReceiveExactly(queue, 9)) {
    EXPECT_LE(message.receive_count, embedded ? 1 : 2) << message.body << ": nobody had it";
  }
}

TEST_P(ConsumerTest, StopEndsNextsThatWait) {
  Queue queue = Create("q");
  const auto consumer = Consume(queue);
  std::vector<std::future<absl::Status>> nexts;
  for (int i = 0; i < 3; ++i) {
    nexts.push_back(std::async(std::launch::async, [&] { return consumer->Next().status(); }));
  }
  consumer->Stop();
  for (auto& next : nexts) EXPECT_TRUE(FailsWith(next.get(), "ConsumerStopped", ""));
}

TEST_P(ConsumerTest, CloseReleasesWhatIsOpenAndRefusesTheRest) {
  Queue queue = Create("q");
  SendMany(queue, 5);
  const auto consumer = Consume(queue);
  const ReceivedMessage deleted = Take(*consumer);
  const ReceivedMessage open = Take(*consumer);
  ASSERT_OK(consumer->Delete(deleted));
  ASSERT_OK(consumer->Close());
  EXPECT_EQ(InFlight(queue), 0);
  EXPECT_EQ(Visible(queue), 4);
  EXPECT_TRUE(FailsWith(consumer->Delete(open), "ConsumerClosed", ""));
  EXPECT_TRUE(FailsWith(consumer->Release(open), "ConsumerClosed", ""));
  EXPECT_TRUE(FailsWith(consumer->Extend(open, absl::Seconds(1)), "ConsumerClosed", ""));
  EXPECT_TRUE(FailsWith(consumer->Next(), "ConsumerStopped", ""));
  EXPECT_TRUE(FailsWith(consumer->status(), "ConsumerClosed", ""));
  EXPECT_OK(consumer->Close());
  ReceiveExactly(queue, 4);
}

TEST_P(ConsumerTest, OneThatIsDroppedDeletesAndReleasesToo) {
  Queue queue = Create("q");
  SendMany(queue, 3);
  auto consumer = Consume(queue);
  ASSERT_OK(consumer->Delete(Take(*consumer)));
  Take(*consumer);
  consumer = nullptr;
  EXPECT_TRUE(Eventually([&] { return Visible(queue) == 2 && InFlight(queue) == 0; }));
}

TEST_P(ConsumerTest, MessagesAreSettledOnceAndByTheirConsumer) {
  Queue queue = Create("q");
  SendMany(queue, 3);
  const auto consumer = Consume(queue, {.credit = 2});
  const auto other = Consume(queue, {.credit = 1});
  const ReceivedMessage message = Take(*consumer);
  const ReceivedMessage others = Take(*other);
  ASSERT_EQ(others.delivery, 1u);
  EXPECT_TRUE(FailsWith(consumer->Delete(others), "InvalidParameterValue", "delivery"));
  EXPECT_TRUE(FailsWith(consumer->Delete(ReceivedMessage()), "InvalidParameterValue", "delivery"));
  ASSERT_OK(consumer->Delete(message));
  EXPECT_TRUE(FailsWith(consumer->Delete(message), "InvalidParameterValue", "delivery"));
  EXPECT_TRUE(FailsWith(consumer->Release(message), "InvalidParameterValue", "delivery"));
  EXPECT_TRUE(
      FailsWith(consumer->Extend(message, absl::Seconds(1)), "InvalidParameterValue", "delivery"));
  EXPECT_OK(consumer->Flush());
}

TEST_P(ConsumerTest, FailureIsToldOnceAndOutlived) {
  Queue queue = Create("q");
  SendMany(queue, 2);
  const auto consumer = Consume(queue);
  const std::vector<ReceivedMessage> gone = TakeMany(*consumer, 2);
  ASSERT_OK(queue.Purge());
  ASSERT_OK(consumer->Delete(gone[0]));
  EXPECT_OK(consumer->Flush());  // A message that is gone is deleted.
  ASSERT_OK(consumer->Release(gone[1]));
  const absl::Status failure = consumer->Flush();
  EXPECT_TRUE(FailsWith(failure, "InvalidParameterValue", "ReceiptHandle"));
  EXPECT_THAT(std::string(failure.message()), ::testing::HasSubstr(gone[1].message_id.ToString()));
  EXPECT_OK(consumer->Flush());
  EXPECT_OK(consumer->status());
  SendMany(queue, 1);
  EXPECT_EQ(Take(*consumer).body, "m0");
  EXPECT_OK(consumer->Close());
}

TEST_P(ConsumerTest, NextTellsAFailureToo) {
  Queue queue = Create("q");
  SendMany(queue, 1);
  const auto consumer = Consume(queue);
  const ReceivedMessage gone = Take(*consumer);
  ASSERT_OK(queue.Purge());
  ASSERT_OK(consumer->Release(gone));
  EXPECT_TRUE(FailsWith(ErrorOf(*consumer), "InvalidParameterValue", "ReceiptHandle"));
  EXPECT_TRUE(HasNone(*consumer));
}

TEST_P(ConsumerTest, OptionsAreTakenAtTheirLimitsAndRefusedBeyond) {
  Queue queue = Create("q");
  const absl::Duration tick = absl::Nanoseconds(1);
  for (const ConsumeOptions& good :
       {ConsumeOptions{.credit = 1}, ConsumeOptions{.credit = kMaxCredit},
        ConsumeOptions{.visibility_timeout = absl::Seconds(1)},
        ConsumeOptions{.visibility_timeout = absl::ZeroDuration(), .heartbeat = false},
        ConsumeOptions{.visibility_timeout = absl::Hours(12)}}) {
    absl::StatusOr<std::unique_ptr<Consumer>> consumer = queue.Consume(good);
    ASSERT_OK(consumer);
    EXPECT_OK((*consumer)->Close());
  }
  EXPECT_TRUE(FailsWith(queue.Consume({.credit = 0}), "InvalidParameterValue", "credit"));
  EXPECT_TRUE(
      FailsWith(queue.Consume({.credit = kMaxCredit + 1}), "InvalidParameterValue", "credit"));
  for (const ConsumeOptions& bad :
       {ConsumeOptions{.visibility_timeout = absl::Seconds(1) - tick},
        ConsumeOptions{.visibility_timeout = -tick, .heartbeat = false},
        ConsumeOptions{.visibility_timeout = absl::Hours(12) + tick},
        ConsumeOptions{.visibility_timeout = absl::InfiniteDuration()}}) {
    EXPECT_TRUE(FailsWith(queue.Consume(bad), "InvalidParameterValue", "VisibilityTimeout"));
  }
  SendMany(queue, 1);
  const auto consumer = Consume(queue);
  const ReceivedMessage message = Take(*consumer);
  EXPECT_TRUE(FailsWith(consumer->Release(message, absl::Hours(12) + tick), "InvalidParameterValue",
                        "delay"));
  EXPECT_TRUE(FailsWith(consumer->Release(message, -tick), "InvalidParameterValue", "delay"));
  EXPECT_TRUE(FailsWith(consumer->Extend(message, absl::Hours(12) + tick), "InvalidParameterValue",
                        "VisibilityTimeout"));
  EXPECT_OK(consumer->Extend(message, absl::Hours(12)));
  EXPECT_OK(consumer->Release(message, absl::Hours(12)));
  EXPECT_OK(consumer->Flush());
}

TEST_P(ConsumerTest, QueueWhoseTimeoutIsTooShortForAHeartbeatIsRefused) {
  Queue queue = Create("q", {.visibility_timeout = absl::ZeroDuration()});
  absl::StatusOr<std::unique_ptr<Consumer>> consumer = queue.Consume();
  const absl::Status error = consumer.ok() ? ErrorOf(**consumer) : consumer.status();
  EXPECT_TRUE(FailsWith(error, "InvalidParameterValue", "VisibilityTimeout"));
}

TEST_P(ConsumerTest, EndsWithItsQueue) {
  Queue queue = Create("q");
  SendMany(queue, 1);
  const auto consumer = Consume(queue, {.credit = 1});
  const ReceivedMessage taken = Take(*consumer);
  ASSERT_OK(consumer->Delete(taken));
  ASSERT_OK(consumer->Flush());
  ASSERT_OK(host().DeleteQueue("q"));
  EXPECT_TRUE(FailsWith(ErrorOf(*consumer), "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(consumer->status(), "QueueDoesNotExist", "QueueName"));
}

TEST_P(ConsumerTest, EndsWithItsBroker) {
  Queue queue = Create("q");
  SendMany(queue, 1);
  const auto consumer = Consume(queue);
  const ReceivedMessage taken = Take(*consumer);
  ASSERT_OK(host().Close());
  EXPECT_TRUE(FailsWith(ErrorOf(*consumer), "BrokerClosed", ""));
  EXPECT_TRUE(FailsWith(consumer->Delete(taken), "BrokerClosed", ""));
  EXPECT_TRUE(FailsWith(consumer->status(), "BrokerClosed", ""));
  EXPECT_OK(consumer->Close());  // Nothing was asked that is not done.
  EXPECT_TRUE(FailsWith(queue.Consume(), "BrokerClosed", ""));
}

TEST_P(ConsumerTest, CallbacksMayAskButNotWait) {
  Queue queue = Create("q");
  SendMany(queue, 1);
  const auto consumer = Consume(queue);
  const ReceivedMessage taken = Take(*consumer);
  std::promise<std::vector<absl::Status>> answers;
  queue.ReceiveAsync({.max_messages = 1, .wait = absl::Seconds(20)}, [&](auto) {
    answers.set_value({consumer->Next().status(), consumer->Flush(), consumer->Close(),
                       consumer->Next(absl::ZeroDuration()).status(), consumer->Delete(taken)});
  });
  auto answered = answers.get_future();
  ASSERT_TRUE(EventuallyParked(2)) << "this receive and the consumer's";
  Advance(absl::Seconds(20));
  ASSERT_TRUE(Eventually(
      [&] { return answered.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }));
  const std::vector<absl::Status> statuses = answered.get();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(FailsWith(statuses[i], "WouldBlock", "")) << i;
  EXPECT_OK(statuses[3]);
  EXPECT_OK(statuses[4]);
  EXPECT_OK(consumer->Close());
  EXPECT_EQ(Visible(queue) + InFlight(queue), 0);
}

TEST_P(ConsumerTest, ThreadsShareOneConsumer) {
  constexpr int kMessages = 2000;
  Queue queue = Create("q");
  const auto consumer = Consume(queue, {.credit = 50});
  std::mutex mutex;
  std::map<std::string, int> seen;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int n = i; n < kMessages; n += 4) EXPECT_OK(queue.Send({.body = std::to_string(n)}));
    });
    threads.emplace_back([&] {
      for (;;) {
        const auto message = consumer->Next();
        if (!message.ok()) return;
        if (!message->has_value()) continue;
        EXPECT_OK(consumer->Delete(**message));
        std::lock_guard<std::mutex> lock(mutex);
        ++seen[std::string((*message)->body)];
      }
    });
  }
  EXPECT_TRUE(Eventually([&] {
    std::lock_guard<std::mutex> lock(mutex);
    return seen.size() == kMessages;
  }));
  consumer->Stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_OK(consumer->Close());
  for (const auto& [body, count] : seen) EXPECT_EQ(count, 1) << body;
  EXPECT_EQ(Visible(queue) + InFlight(queue), 0);
}

}  // namespace
}  // namespace barista::testing
