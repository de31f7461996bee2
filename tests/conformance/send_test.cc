#include <gmock/gmock.h>

#include <set>

#include "barista/trace_context.h"
#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

using ::testing::ElementsAre;

class SendTest : public ConformanceTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, SendTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(SendTest, SentMessageIsReceivedWithAllItsParts) {
  Queue queue = Create("orders");
  const absl::StatusOr<SendResult> sent =
      queue.Send({.body = "two espressos",
                  .attributes = {{"count", {"Number.int", "2"}},
                                 {"raw", {"Binary", std::string("\0\1\2", 3)}},
                                 {"table", "7"}},
                  .group_id = "guest-1",
                  .trace_header = "Root=1-5759e988-bd862e3fe1be46a994272793"});
  ASSERT_OK(sent);
  const std::vector<ReceivedMessage> received = ReceiveExactly(queue, 1);
  const ReceivedMessage& m = received[0];
  EXPECT_EQ(m.body, "two espressos");
  EXPECT_EQ(m.message_id, sent->message_id);
  EXPECT_EQ(m.receive_count, 1);
  EXPECT_EQ(m.sent_at, clock_.Now());
  EXPECT_EQ(m.first_received_at, clock_.Now());
  EXPECT_EQ(m.group_id(), "guest-1");
  EXPECT_EQ(m.trace_header(), "Root=1-5759e988-bd862e3fe1be46a994272793");
  EXPECT_FALSE(m.sequence_number.has_value());
  const MessageAttributes expected = {{"count", {"Number.int", "2"}},
                                      {"raw", {"Binary", std::string("\0\1\2", 3)}},
                                      {"table", "7"}};
  EXPECT_EQ(m.attributes(), expected);
}

TEST_P(SendTest, MessageIdsAreDistinctUuidsOfVersion4) {
  Queue queue = Create("ids");
  std::set<std::string> ids;
  for (int i = 0; i < 300; ++i) {
    const absl::StatusOr<SendResult> sent = queue.Send({.body = "x"});
    ASSERT_OK(sent);
    const std::string id = sent->message_id.ToString();
    EXPECT_EQ(id[14], '4') << id;
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
    EXPECT_EQ(MessageId::Parse(id), sent->message_id);
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 300u);
}

TEST_P(SendTest, WrongEntryOfABatchFailsAloneAndTheOthersAreSent) {
  Queue queue = Create("batch");
  const std::vector<OutgoingMessage> batch = {
      {.body = "a"}, {.body = ""}, {.body = "b"}, {.body = "bad \x01"}};
  const std::vector<absl::StatusOr<SendResult>> results = queue.SendBatch(batch);
  ASSERT_EQ(results.size(), 4u);
  EXPECT_OK(results[0]);
  EXPECT_TRUE(FailsWith(results[1], "MissingParameter", "MessageBody"));
  EXPECT_OK(results[2]);
  EXPECT_TRUE(FailsWith(results[3], "InvalidMessageContents", "MessageBody"));
  const std::vector<ReceivedMessage> received = ReceiveExactly(queue, 2);
  std::set<std::string> bodies;
  for (const ReceivedMessage& m : received) bodies.insert(std::string(m.body));
  EXPECT_THAT(bodies, ElementsAre("a", "b"));
}

TEST_P(SendTest, DelayedMessageStaysInvisibleUntilItsDelayHasPassedAndNotLonger) {
  Queue queue = Create("delayed");
  ASSERT_OK(queue.Send({.body = "later", .delay = absl::Seconds(30)}));
  EXPECT_EQ(queue.Describe()->delayed, 1);
  EXPECT_EQ(queue.Describe()->visible, 0);
  Advance(absl::Milliseconds(29998));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  Advance(absl::Milliseconds(4));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "later");
  EXPECT_EQ(queue.Describe()->delayed, 0);
}

TEST_P(SendTest, QueueDelayAppliesUnlessTheMessageHasItsOwn) {
  Queue queue = Create("queue-delay", {.delay = absl::Seconds(10)});
  ASSERT_OK(queue.Send({.body = "queue's"}));
  ASSERT_OK(queue.Send({.body = "at once", .delay = absl::ZeroDuration()}));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "at once");
  Advance(absl::Seconds(11));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "queue's");
}

TEST_P(SendTest, WallClockStepsMoveNoDelay) {
  Queue queue = Create("steps");
  ASSERT_OK(queue.Send({.body = "later", .delay = absl::Seconds(30)}));
  clock_.StepWallClock(absl::Hours(1));
  Advance(absl::Seconds(1));
  EXPECT_TRUE(ReceiveAll(queue).empty());
  clock_.StepWallClock(-absl::Hours(2));
  Advance(absl::Seconds(30));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "later");
}

TEST_P(SendTest, BinaryQueueTakesAnyBytes) {
  Queue queue = Create("binary", {.body_charset = BodyCharset::kBinary});
  const std::string body("\xff\x00\x01", 3);
  ASSERT_OK(queue.Send({.body = body}));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, body);
}

TEST_P(SendTest, TraceContextTravelsWithTheMessage) {
  const std::string traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Queue queue = Create("orders");
  EXPECT_OK(queue.Send({.body = "espresso", .attributes = {{kTraceparent, traceparent.c_str()}}}));
  const std::vector<ReceivedMessage> received = ReceiveExactly(queue, 1);
  ASSERT_EQ(received.size(), 1u);
  const MessageAttributes attributes = received.front().attributes();
  ASSERT_EQ(attributes.size(), 1u);
  EXPECT_EQ(attributes.front().first, kTraceparent);
  EXPECT_EQ(attributes.front().second.data_type, "String");
  EXPECT_EQ(attributes.front().second.value, traceparent);
}

}  // namespace
}  // namespace barista::testing
