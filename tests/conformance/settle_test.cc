#include <gmock/gmock.h>

#include <atomic>

#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

class SettleTest : public ConformanceTest {
 protected:
  ReceivedMessage SendAndReceive(Queue& queue, absl::Duration visibility = absl::Seconds(30)) {
    EXPECT_OK(queue.Send({.body = "m"}));
    return ReceiveExactly(queue, 1, visibility)[0];
  }
  // Whether nothing is left, also after every timeout.
  bool Gone(Queue& queue) {
    Advance(absl::Hours(13));
    return ReceiveAll(queue).empty() &&
           Eventually([&] { return queue.Describe()->visible + queue.Describe()->in_flight == 0; });
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, SettleTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(SettleTest, DeletedMessageNeverComesBack) {
  Queue queue = Create("delete");
  const ReceivedMessage m = SendAndReceive(queue);
  EXPECT_OK(queue.Delete(m.receipt_handle));
  EXPECT_EQ(queue.Describe()->in_flight, 0);
  EXPECT_TRUE(Gone(queue));
  EXPECT_EQ(broker().Stats().messages_deleted, 1u);
}

TEST_P(SettleTest, DeleteSucceedsAgainAndAgain) {
  Queue queue = Create("again");
  const ReceivedMessage m = SendAndReceive(queue);
  for (int i = 0; i < 3; ++i) EXPECT_OK(queue.Delete(m.receipt_handle));
}

TEST_P(SettleTest, HandleOfAnExpiredReceiveStillDeletes) {
  Queue queue = Create("late");
  const ReceivedMessage m = SendAndReceive(queue, absl::Seconds(1));
  Advance(absl::Seconds(2));
  ASSERT_TRUE(Eventually([&] { return queue.Describe()->visible == 1; }));
  EXPECT_OK(queue.Delete(m.receipt_handle));
  EXPECT_TRUE(Gone(queue));
}

TEST_P(SettleTest, OlderHandleDeletesAMessageThatIsInFlightAgain) {
  Queue queue = Create("older");
  const ReceivedMessage first = SendAndReceive(queue, absl::Seconds(1));
  Advance(absl::Seconds(2));
  ASSERT_EQ(ReceiveExactly(queue, 1).size(), 1u);
  EXPECT_OK(queue.Delete(first.receipt_handle));
  EXPECT_TRUE(Gone(queue));
}

TEST_P(SettleTest, ChangeOfTheLastReceiveOnlyLeavesALaterReceiverAlone) {
  Queue queue = Create("lapsed");
  const ReceivedMessage first = SendAndReceive(queue, absl::Seconds(1));
  const auto change = [&](const ReceiptHandle& handle, absl::Duration timeout) {
    const VisibilityChange change = {handle, timeout, /*last_receive_only=*/true};
    return queue.ChangeMessageVisibilityBatch(absl::MakeConstSpan(&change, 1))[0];
  };
  // Nobody has received it since: it may be hidden again.
  Advance(absl::Seconds(2));
  ASSERT_TRUE(Eventually([&] { return queue.Describe()->visible == 1; }));
  EXPECT_OK(change(first.receipt_handle, absl::Seconds(1)));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  Advance(absl::Seconds(2));
  const ReceivedMessage second = ReceiveExactly(queue, 1, absl::Seconds(60))[0];
  for (absl::Duration timeout : {absl::ZeroDuration(), absl::Hours(1)}) {
    EXPECT_TRUE(
        FailsWith(change(first.receipt_handle, timeout), "InvalidParameterValue", "ReceiptHandle"));
  }
  EXPECT_TRUE(ReceiveAll(queue).empty());
  EXPECT_OK(change(second.receipt_handle, absl::ZeroDuration()));
  EXPECT_EQ(ReceiveExactly(queue, 1).size(), 1u);
}

TEST_P(SettleTest, HandleOfAnotherQueueAForgedOneAndAnEmptyOneAreRefusedAndChangeNothing) {
  Queue queue = Create("mine");
  Queue other = Create("other");
  const ReceivedMessage foreign = SendAndReceive(other);
  EXPECT_OK(queue.Send({.body = "m"}));
  EXPECT_TRUE(
      FailsWith(queue.Delete(foreign.receipt_handle), "ReceiptHandleIsInvalid", "ReceiptHandle"));
  EXPECT_TRUE(FailsWith(queue.ChangeMessageVisibility(foreign.receipt_handle, absl::Seconds(1)),
                        "ReceiptHandleIsInvalid", "ReceiptHandle"));
  EXPECT_TRUE(FailsWith(queue.Delete(ReceiptHandle()), "ReceiptHandleIsInvalid", "ReceiptHandle"));
  // Every bit of a handle counts.
  const ReceivedMessage own = ReceiveExactly(queue, 1)[0];
  for (size_t byte = 0; byte < ReceiptHandle::kSize; ++byte) {
    std::array<uint8_t, ReceiptHandle::kSize> bytes = own.receipt_handle.bytes();
    bytes[byte] ^= 0x10;
    EXPECT_TRUE(
        FailsWith(queue.Delete(ReceiptHandle(bytes)), "ReceiptHandleIsInvalid", "ReceiptHandle"))
        << byte;
  }
  EXPECT_EQ(queue.Describe()->in_flight, 1);
  EXPECT_EQ(other.Describe()->in_flight, 1);
}

TEST_P(SettleTest, HandleTextRoundTripsAndGarbageIsRefused) {
  Queue queue = Create("text");
  const ReceivedMessage m = SendAndReceive(queue);
  const std::string text = m.receipt_handle.ToString();
  EXPECT_EQ(text.size(), 48u);
  EXPECT_EQ(*ReceiptHandle::Parse(text), m.receipt_handle);
  for (const std::string& garbage : {std::string(), std::string("x"), text + "A", text.substr(1),
                                     std::string(48, '!'), std::string(5000, 'A')}) {
    EXPECT_TRUE(FailsWith(ReceiptHandle::Parse(garbage), "ReceiptHandleIsInvalid", "ReceiptHandle"))
        << garbage.substr(0, 60);
  }
}

TEST_P(SettleTest, BatchDeleteAnswersEachHandle) {
  Queue queue = Create("delete-batch");
  for (int i = 0; i < 5; ++i) ASSERT_OK(queue.Send({.body = "m"}));
  std::vector<ReceiptHandle> handles;
  for (const ReceivedMessage& m : ReceiveExactly(queue, 5)) handles.push_back(m.receipt_handle);
  handles.insert(handles.begin() + 2, ReceiptHandle());
  const std::vector<absl::Status> statuses = queue.DeleteBatch(handles);
  ASSERT_EQ(statuses.size(), 6u);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(statuses[i].ok(), i != 2) << statuses[i];
  EXPECT_TRUE(Gone(queue));
}

TEST_P(SettleTest, ExtendedTimeoutHoldsAndAnEarlierOneEndsEarlier) {
  Queue queue = Create("extend");
  const ReceivedMessage m = SendAndReceive(queue, absl::Seconds(10));
  EXPECT_OK(queue.ChangeMessageVisibility(m.receipt_handle, absl::Seconds(60)));
  Advance(absl::Seconds(59));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  EXPECT_OK(queue.ChangeMessageVisibility(m.receipt_handle, absl::Seconds(2)));
  Advance(absl::Milliseconds(1999));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  Advance(absl::Milliseconds(1));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].receive_count, 2);
}

TEST_P(SettleTest, ChangedTimeoutIsForThisReceiveOnly) {
  Queue queue = Create("only-this", {.visibility_timeout = absl::Seconds(10)});
  ASSERT_OK(queue.Send({.body = "m"}));
  absl::StatusOr<std::vector<ReceivedMessage>> first = queue.Receive();
  ASSERT_OK(first);
  ASSERT_EQ(first->size(), 1u);
  ASSERT_OK(queue.ChangeMessageVisibility((*first)[0].receipt_handle, absl::Seconds(100)));
  Advance(absl::Seconds(101));
  ASSERT_TRUE(Eventually([&] { return queue.Describe()->visible == 1; }));
  ASSERT_EQ(queue.Receive()->size(), 1u);
  Advance(absl::Seconds(10));
  EXPECT_TRUE(Eventually([&] { return queue.Describe()->visible == 1; }));
}

TEST_P(SettleTest, ChangeAfterTheTimeoutHidesTheMessageAgain) {
  Queue queue = Create("hide-again");
  const ReceivedMessage m = SendAndReceive(queue, absl::Seconds(1));
  Advance(absl::Seconds(2));
  ASSERT_TRUE(Eventually([&] { return queue.Describe()->visible == 1; }));
  EXPECT_OK(queue.ChangeMessageVisibility(m.receipt_handle, absl::Seconds(10)));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  EXPECT_EQ(queue.Describe()->in_flight, 1);
  Advance(absl::Seconds(10));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].receive_count, 2);
}

TEST_P(SettleTest, ChangeOfADeletedMessageIsAnError) {
  Queue queue = Create("deleted");
  const ReceivedMessage m = SendAndReceive(queue);
  ASSERT_OK(queue.Delete(m.receipt_handle));
  EXPECT_TRUE(FailsWith(queue.ChangeMessageVisibility(m.receipt_handle, absl::Seconds(1)),
                        "InvalidParameterValue", "ReceiptHandle"));
}

TEST_P(SettleTest, PurgeRemovesVisibleInFlightAndDelayedMessagesAndNothingSentLater) {
  Queue queue = Create("purge");
  for (int i = 0; i < 10; ++i) ASSERT_OK(queue.Send({.body = "old"}));
  ASSERT_OK(queue.Send({.body = "old", .delay = absl::Seconds(30)}));
  const absl::StatusOr<std::vector<ReceivedMessage>> held = queue.Receive({.max_messages = 4});
  ASSERT_OK(held);
  ASSERT_OK(queue.Purge());
  const absl::StatusOr<QueueDescription> empty = queue.Describe();
  EXPECT_EQ(empty->visible + empty->in_flight + empty->delayed, 0);
  for (const ReceivedMessage& m : *held) EXPECT_OK(queue.Delete(m.receipt_handle));
  ASSERT_OK(queue.Send({.body = "new"}));
  Advance(absl::Minutes(1));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "new");
  const absl::StatusOr<QueueDescription> after = queue.Describe();
  EXPECT_EQ(after->visible, 0);
  EXPECT_EQ(after->in_flight, 1);
  EXPECT_EQ(after->delayed, 0);
}

TEST_P(SettleTest, PeekShowsEveryStateAndChangesNone) {
  Queue queue = Create("peek");
  for (const char* body : {"first", "second", "third"})
    ASSERT_OK(queue.Send({.body = body, .attributes = {{"k", "v"}}}));
  ASSERT_OK(queue.Send({.body = "delayed", .delay = absl::Seconds(30)}));
  ASSERT_OK(queue.Receive());
  const absl::StatusOr<std::vector<PeekedMessage>> peeked = queue.Peek();
  ASSERT_OK(peeked);
  ASSERT_EQ(peeked->size(), 4u);
  std::map<std::string, const PeekedMessage*> by_body;
  for (const PeekedMessage& m : *peeked) by_body[std::string(m.body)] = &m;
  EXPECT_EQ(by_body["first"]->state, MessageState::kInFlight);
  EXPECT_EQ(by_body["first"]->receive_count, 1);
  EXPECT_EQ(by_body["second"]->state, MessageState::kVisible);
  EXPECT_EQ(by_body["second"]->receive_count, 0);
  EXPECT_EQ(by_body["second"]->attributes()[0].second.value, "v");
  EXPECT_EQ(by_body["delayed"]->state, MessageState::kDelayed);
  EXPECT_EQ(queue.Peek({.max_messages = 2})->size(), 2u);
  EXPECT_EQ(queue.Describe()->in_flight, 1);
  EXPECT_EQ(ReceiveExactly(queue, 2)[0].receive_count, 1);
}

}  // namespace
}  // namespace barista::testing
