#include <gmock/gmock.h>

#include <set>

#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

using ::testing::ElementsAre;

class SendTest : public ConformanceTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, SendTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(SendTest, SentMessageIsReceivedWithAllItsParts) {
  Queue queue = Create("orders");
  const absl::StatusOr<SendResult> sent =
      queue.Send({.body = "two espressos",
                  .attributes = {{"table", "7"},
                                 {"count", {"Number.int", "2"}},
                                 {"raw", {"Binary", std::string("\0\1\2", 3)}}},
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
  const MessageAttributes expected = {{"table", "7"},
                                      {"count", {"Number.int", "2"}},
                                      {"raw", {"Binary", std::string("\0\1\2", 3)}}};
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

}  // namespace
}  // namespace barista::testing
