// Every limit: a test at it and one past it; the error names field, value and limit, and nothing
// has changed (I9).

#include <gmock/gmock.h>

#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

class LimitsTest : public ConformanceTest {
 protected:
  template <typename T>
  void ExpectRefused(const T& result, const std::string& reason, const std::string& field,
                     const std::string& value, const std::string& limit) {
    const ErrorInfo info = GetErrorInfo(StatusOf(result));
    EXPECT_EQ(info.reason, reason) << StatusOf(result);
    EXPECT_EQ(info.field, field) << StatusOf(result);
    EXPECT_EQ(info.value, value) << StatusOf(result);
    EXPECT_EQ(info.limit, limit) << StatusOf(result);
  }
};
// Limits do not depend on threads: one kind in memory, one on disk.
INSTANTIATE_TEST_SUITE_P(Kinds, LimitsTest, ::testing::ValuesIn(OneOfEachStorage()), KindName);

TEST_P(LimitsTest, QueueName) {
  EXPECT_OK(host().CreateQueue(std::string(80, 'a')));
  EXPECT_OK(host().CreateQueue("A-z_09"));
  for (const std::string& bad : {std::string(), std::string(81, 'a'), std::string("a b"),
                                 std::string("a.fifo"), std::string("caf\xc3\xa9")}) {
    ExpectRefused(host().CreateQueue(bad), "InvalidParameterValue", "QueueName", bad,
                  "1 to 80 of [A-Za-z0-9_-]");
  }
  EXPECT_EQ(host().ListQueues()->names.size(), 2u);
}

TEST_P(LimitsTest, QueueAttributesAsText) {
  struct Range {
    const char* name;
    int64_t min, max;
  };
  for (const Range& range :
       {Range{"VisibilityTimeout", 0, 43200}, Range{"DelaySeconds", 0, 900},
        Range{"MessageRetentionPeriod", 60, 1209600}, Range{"ReceiveMessageWaitTimeSeconds", 0, 20},
        Range{"MaximumMessageSize", 1024, 1048576},
        Range{"MaximumInFlightMessages", 1, 1000000000}}) {
    EXPECT_OK(ParseQueueAttributes({{range.name, std::to_string(range.min)}}));
    EXPECT_OK(ParseQueueAttributes({{range.name, std::to_string(range.max)}}));
    const std::string limit =
        "an integer from " + std::to_string(range.min) + " to " + std::to_string(range.max);
    for (const std::string& bad : {std::to_string(range.min - 1), std::to_string(range.max + 1),
                                   std::string("1.5"), std::string("x"), std::string()}) {
      ExpectRefused(ParseQueueAttributes({{range.name, bad}}), "InvalidAttributeValue", range.name,
                    bad, limit);
    }
  }
  EXPECT_TRUE(
      FailsWith(ParseQueueAttributes({{"Bogus", "1"}}), "InvalidAttributeName", "Attributes"));
  EXPECT_TRUE(
      FailsWith(ParseQueueAttributes({{"QueueArn", "1"}}), "InvalidAttributeName", "Attributes"));
  EXPECT_TRUE(FailsWith(ParseQueueAttributes({{"Durability", "raid"}}), "InvalidAttributeValue",
                        "Durability"));
  EXPECT_TRUE(FailsWith(ParseQueueAttributes({{"BodyCharset", "ebcdic"}}), "InvalidAttributeValue",
                        "BodyCharset"));
  for (const char* policy :
       {"x", "[]", "{}", R"({"maxReceiveCount":3})",
        R"({"deadLetterTargetArn":"arn:aws:sqs:r:a:q"})",
        R"({"deadLetterTargetArn":"q","maxReceiveCount":3})",
        R"({"deadLetterTargetArn":"arn:aws:sqs:r:a:q","maxReceiveCount":0})",
        R"({"deadLetterTargetArn":"arn:aws:sqs:r:a:q","maxReceiveCount":1001})",
        R"({"deadLetterTargetArn":"arn:aws:sqs:r:a:q","maxReceiveCount":3,"x":1})"}) {
    EXPECT_TRUE(FailsWith(ParseQueueAttributes({{"RedrivePolicy", policy}}),
                          "InvalidParameterValue", "RedrivePolicy"))
        << policy;
  }
}

TEST_P(LimitsTest, QueueAttributesAsStruct) {
  EXPECT_OK(host().CreateQueue("max", {.visibility_timeout = absl::Hours(12),
                                       .delay = absl::Minutes(15),
                                       .retention = absl::Hours(24 * 14),
                                       .receive_wait = absl::Seconds(20),
                                       .maximum_message_size = 1024}));
  EXPECT_TRUE(
      FailsWith(host().CreateQueue("q", {.visibility_timeout = absl::Hours(12) + absl::Seconds(1)}),
                "InvalidAttributeValue", "VisibilityTimeout"));
  EXPECT_TRUE(FailsWith(host().CreateQueue("q", {.visibility_timeout = absl::Milliseconds(1500)}),
                        "InvalidAttributeValue", "VisibilityTimeout"));
  EXPECT_TRUE(FailsWith(host().CreateQueue("q", {.redrive_policy = RedrivePolicy{"missing", 3}}),
                        "InvalidParameterValue", "RedrivePolicy"));
  Create("dead");
  EXPECT_TRUE(FailsWith(host().CreateQueue("q", {.redrive_policy = RedrivePolicy{"dead", 0}}),
                        "InvalidParameterValue", "RedrivePolicy"));
  EXPECT_OK(host().CreateQueue("q", {.redrive_policy = RedrivePolicy{"dead", 1000}}));
  EXPECT_TRUE(FailsWith(
      host().GetQueue("q")->SetAttributes({.redrive_policy = RedrivePolicy{"dead", 1001}}),
      "InvalidParameterValue", "RedrivePolicy"));
  EXPECT_EQ(host().GetQueue("q")->Describe()->attributes.redrive_policy->max_receive_count, 1000);
  if (GetParam().on_disk) {
    EXPECT_TRUE(FailsWith(host().GetQueue("q")->SetAttributes({.durability = Durability::kMemory}),
                          "InvalidAttributeValue", "Durability"));
    Queue weak = Create("weak", {.durability = Durability::kMemory});
    EXPECT_TRUE(FailsWith(host().CreateQueue("r", {.redrive_policy = RedrivePolicy{"weak", 3}}),
                          "InvalidParameterValue", "RedrivePolicy"));
  } else {
    EXPECT_TRUE(FailsWith(host().CreateQueue("r", {.durability = Durability::kFsync}),
                          "InvalidAttributeValue", "Durability"));
  }
}

TEST_P(LimitsTest, MessageSizeCountsBodyAndAttributes) {
  Queue queue = Create("q", {.maximum_message_size = 1024});
  EXPECT_OK(queue.Send({.body = std::string(1024, 'x')}));
  ExpectRefused(queue.Send({.body = std::string(1025, 'x')}), "InvalidParameterValue",
                "MessageBody", "1025", "1024");
  // name 1 + type 6 + value 3
  EXPECT_OK(queue.Send({.body = std::string(1014, 'x'), .attributes = {{"n", "abc"}}}));
  ExpectRefused(queue.Send({.body = std::string(1015, 'x'), .attributes = {{"n", "abc"}}}),
                "InvalidParameterValue", "MessageBody", "1025", "1024");
  Queue large = Create("large");
  EXPECT_OK(large.Send({.body = std::string(1 << 20, 'x')}));
  ExpectRefused(large.Send({.body = std::string((1 << 20) + 1, 'x')}), "InvalidParameterValue",
                "MessageBody", "1048577", "1048576");
  EXPECT_EQ(queue.Describe()->visible, 2);
  EXPECT_EQ(large.Describe()->visible, 1);
}

TEST_P(LimitsTest, BodyCharacters) {
  Queue queue = Create("q");
  for (const char* good : {"\t\n\r", " ~\x7f", "\xc2\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_OK(queue.Send({.body = good}));
  }
  struct Bad {
    std::string body;
    int offset;
  };
  for (const Bad& bad :
       {Bad{std::string("ab\0", 3), 2}, Bad{"\x01", 0}, Bad{"a\x1f", 1}, Bad{"\xc3", 0},
        Bad{"ok\xff", 2}, Bad{"\xc0\x80", 0}, Bad{"\xed\xa0\x80", 0}, Bad{"x\xef\xbf\xbe", 1},
        Bad{"\xef\xbf\xbf", 0}, Bad{"\xf4\x90\x80\x80", 0}, Bad{"\xe2\x82", 0},
        Bad{"\xf0\x80\x80\x80", 0}, Bad{"\x80", 0}}) {
    const absl::StatusOr<SendResult> result = queue.Send({.body = bad.body});
    EXPECT_TRUE(FailsWith(result, "InvalidMessageContents", "MessageBody"));
    EXPECT_EQ(GetErrorInfo(result.status()).value, "offset " + std::to_string(bad.offset));
  }
  // At any place of a body that is looked at in blocks.
  for (size_t at = 0; at < 700; ++at) {
    std::string body(700, 'b');
    body[at] = at % 2 == 0 ? '\x01' : '\xff';
    const absl::StatusOr<SendResult> result = queue.Send({.body = body});
    EXPECT_TRUE(FailsWith(result, "InvalidMessageContents", "MessageBody"));
    EXPECT_EQ(GetErrorInfo(result.status()).value, "offset " + std::to_string(at));
  }
  EXPECT_EQ(queue.Describe()->visible, 8);
}

TEST_P(LimitsTest, MessageAttributes) {
  Queue queue = Create("q");
  MessageAttributes ten;
  for (int i = 0; i < 10; ++i) ten.push_back({"a" + std::to_string(i), "v"});
  EXPECT_OK(queue.Send({.body = "m", .attributes = ten}));
  ten.push_back({"one-more", "v"});
  ExpectRefused(queue.Send({.body = "m", .attributes = ten}), "InvalidParameterValue",
                "MessageAttributes", "11", "10");
  const auto send = [&](const std::string& name, const std::string& type,
                        const std::string& value) {
    return queue.Send({.body = "m", .attributes = {{name, {type, value}}}});
  };
  EXPECT_OK(send(std::string(256, 'n'), "String", "v"));
  EXPECT_OK(send("a.b_c-D9", "String", "v"));
  EXPECT_OK(send("\xc3\xb8", "String", "v"));
  EXPECT_OK(send("n", "String." + std::string(249, 't'), "v"));
  EXPECT_OK(send("n", "Binary.png", std::string("\0", 1)));
  for (const char* number :
       {"0", "-1", "+1.5", "1e10", "1.5E-7", ".5", "12345678901234567890123456789012345678"})
    EXPECT_OK(send("n", "Number", number));
  for (const std::string& name :
       {std::string(), std::string(257, 'n'), std::string("AWS.x"), std::string("aws.x"),
        std::string("Amazon.x"), std::string(".a"), std::string("a."), std::string("a..b"),
        std::string("a b"), std::string("a!")}) {
    EXPECT_TRUE(FailsWith(send(name, "String", "v"), "InvalidParameterValue",
                          "MessageAttributes." + name.substr(0, 128)))
        << name;
  }
  for (const std::string& type : {std::string(), std::string("string"), std::string("Text"),
                                  std::string("Stringy"), "String." + std::string(250, 't')}) {
    EXPECT_TRUE(FailsWith(send("n", type, "v"), "InvalidParameterValue", "MessageAttributes.n"))
        << type;
  }
  for (const char* number :
       {"x", "1x", "", "--1", "1e", "1e1000", "0x10", "123456789012345678901234567890123456789"}) {
    EXPECT_TRUE(
        FailsWith(send("n", "Number", number), "InvalidParameterValue", "MessageAttributes.n"))
        << number;
  }
  EXPECT_TRUE(FailsWith(send("n", "String", ""), "InvalidParameterValue", "MessageAttributes.n"));
  EXPECT_TRUE(FailsWith(send("n", "Binary", ""), "InvalidParameterValue", "MessageAttributes.n"));
  EXPECT_TRUE(
      FailsWith(send("n", "String", "\x01"), "InvalidParameterValue", "MessageAttributes.n"));
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m", .attributes = {{"n", "1"}, {"n", "2"}}}),
                        "InvalidParameterValue", "MessageAttributes.n"));
}

TEST_P(LimitsTest, DelayGroupDedupTraceAndSender) {
  Queue queue = Create("q");
  EXPECT_OK(queue.Send({.body = "m", .delay = absl::Minutes(15)}));
  ExpectRefused(queue.Send({.body = "m", .delay = absl::Minutes(15) + absl::Seconds(1)}),
                "InvalidParameterValue", "DelaySeconds", "15m1s", "0s to 15m");
  ExpectRefused(queue.Send({.body = "m", .delay = -absl::Seconds(1)}), "InvalidParameterValue",
                "DelaySeconds", "-1s", "0s to 15m");
  const std::string group(128, 'g');
  EXPECT_OK(queue.Send({.body = "m", .group_id = group}));
  const std::string long_group(129, 'g');
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m", .group_id = long_group}), "InvalidParameterValue",
                        "MessageGroupId"));
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m", .group_id = ""}), "InvalidParameterValue",
                        "MessageGroupId"));
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m", .group_id = "a b"}), "InvalidParameterValue",
                        "MessageGroupId"));
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m", .dedup_id = "d"}), "InvalidParameterValue",
                        "MessageDeduplicationId"));
  const std::string trace(1024, 't');
  const std::string long_trace(1025, 't');
  EXPECT_OK(queue.Send({.body = "m", .trace_header = trace}));
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m", .trace_header = long_trace}),
                        "InvalidParameterValue", "AWSTraceHeader"));
  const std::string sender(129, 's');
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m", .sender_id = sender}), "InvalidParameterValue",
                        "SenderId"));
}

TEST_P(LimitsTest, Batches) {
  Queue queue = Create("q");
  const std::string body(4000, 'x');
  std::vector<OutgoingMessage> thousand(1000, OutgoingMessage{.body = body});
  for (const auto& result : queue.SendBatch(thousand)) ASSERT_OK(result);
  thousand.push_back({.body = "x"});
  ExpectRefused(queue.SendBatch(thousand)[1000], "TooManyEntriesInBatchRequest", "Entries", "1001",
                "1000");
  EXPECT_TRUE(FailsWith(queue.SendBatch({})[0], "EmptyBatchRequest", "Entries"));
  const std::string quarter(1 << 20, 'x');
  std::vector<OutgoingMessage> full(4, OutgoingMessage{.body = quarter});
  for (const auto& result : queue.SendBatch(full)) EXPECT_OK(result);
  full.push_back({.body = "x"});
  ExpectRefused(queue.SendBatch(full)[0], "BatchRequestTooLong", "Entries", "4194305", "4194304");
  EXPECT_TRUE(FailsWith(queue.DeleteBatch({})[0], "EmptyBatchRequest", "Entries"));
  EXPECT_TRUE(FailsWith(queue.DeleteBatch(std::vector<ReceiptHandle>(1001))[0],
                        "TooManyEntriesInBatchRequest", "Entries"));
  EXPECT_TRUE(FailsWith(queue.ChangeMessageVisibilityBatch({})[0], "EmptyBatchRequest", "Entries"));
  EXPECT_TRUE(FailsWith(queue.ChangeMessageVisibilityBatch(std::vector<VisibilityChange>(1001))[0],
                        "TooManyEntriesInBatchRequest", "Entries"));
  EXPECT_EQ(queue.Describe()->visible, 1004);
}

TEST_P(LimitsTest, Receive) {
  Queue queue = Create("q");
  EXPECT_OK(queue.Receive({.max_messages = 1000, .visibility_timeout = absl::Hours(12)}));
  ExpectRefused(queue.Receive({.max_messages = 0}), "InvalidParameterValue", "MaxNumberOfMessages",
                "0", "1 to 1000");
  ExpectRefused(queue.Receive({.max_messages = 1001}), "InvalidParameterValue",
                "MaxNumberOfMessages", "1001", "1 to 1000");
  ExpectRefused(queue.Receive({.wait = absl::Hours(1) + absl::Seconds(1)}), "InvalidParameterValue",
                "WaitTimeSeconds", "1h1s", "0s to 1h");
  ExpectRefused(queue.Receive({.wait = -absl::Seconds(1)}), "InvalidParameterValue",
                "WaitTimeSeconds", "-1s", "0s to 1h");
  ExpectRefused(queue.Receive({.visibility_timeout = absl::Hours(12) + absl::Seconds(1)}),
                "InvalidParameterValue", "VisibilityTimeout", "12h1s", "0s to 12h");
  ASSERT_OK(queue.Send({.body = "m"}));
  const ReceivedMessage m = ReceiveExactly(queue, 1)[0];
  EXPECT_OK(queue.ChangeMessageVisibility(m.receipt_handle, absl::Hours(12)));
  ExpectRefused(queue.ChangeMessageVisibility(m.receipt_handle, absl::Hours(12) + absl::Seconds(1)),
                "InvalidParameterValue", "VisibilityTimeout", "12h1s", "0s to 12h");
  EXPECT_TRUE(
      FailsWith(queue.Peek({.max_messages = 0}), "InvalidParameterValue", "MaxNumberOfMessages"));
  EXPECT_TRUE(FailsWith(queue.Peek({.max_messages = 1001}), "InvalidParameterValue",
                        "MaxNumberOfMessages"));
}

TEST_P(LimitsTest, Tags) {
  Queue queue = Create("q");
  QueueTags fifty;
  for (int i = 0; i < 50; ++i) fifty["k" + std::to_string(i)] = "v";
  EXPECT_OK(queue.Tag(fifty));
  EXPECT_TRUE(FailsWith(queue.Tag({{"one-more", "v"}}), "InvalidParameterValue", "Tags"));
  EXPECT_OK(queue.Tag({{"k1", std::string(256, 'v')}}));
  EXPECT_TRUE(
      FailsWith(queue.Tag({{"k1", std::string(257, 'v')}}), "InvalidParameterValue", "Tags"));
  EXPECT_TRUE(
      FailsWith(queue.Tag({{std::string(129, 'k'), "v"}}), "InvalidParameterValue", "Tags"));
  EXPECT_TRUE(FailsWith(queue.Tag({{"", "v"}}), "InvalidParameterValue", "Tags"));
  EXPECT_EQ(queue.Describe()->tags.size(), 50u);
}

TEST_P(LimitsTest, MemoryQueuesRefuseSendsAtTheirBudgetAndTakeThemAgainAfterADrain) {
  options_.memory_limit_bytes = 64 << 20;
  Restart();
  Queue queue = Create("m", {.durability = Durability::kMemory});
  const std::string body(1 << 20, 'x');
  int sent = 0;
  absl::StatusOr<SendResult> result = queue.Send({.body = body});
  for (; result.ok() && sent < 100; ++sent) result = queue.Send({.body = body});
  EXPECT_TRUE(FailsWith(result, "MemoryFull", "memory_limit"));
  EXPECT_EQ(queue.Describe()->visible, sent);
  const ReceivedMessage m = ReceiveAll(queue)[0];
  ASSERT_OK(queue.Delete(m.receipt_handle));
  EXPECT_OK(queue.Send({.body = body}));
}

TEST_P(LimitsTest, MovesToADeadLetterQueueInMemoryKeepTheBudget) {
  options_.memory_limit_bytes = 64 << 20;
  Restart();
  Create("dead", {.durability = Durability::kMemory});
  Queue queue =
      Create("m", {.redrive_policy = RedrivePolicy{"dead", 1}, .durability = Durability::kMemory});
  const std::string body(1 << 20, 'x');
  int sent = 0;
  absl::StatusOr<SendResult> result = queue.Send({.body = body});
  for (; result.ok() && sent < 200; ++sent) {
    ASSERT_OK(queue.Receive({.visibility_timeout = absl::ZeroDuration()}));
    ASSERT_OK(queue.Receive());
    result = queue.Send({.body = body});
  }
  EXPECT_TRUE(FailsWith(result, "MemoryFull", "memory_limit"));
  EXPECT_LE(broker().Stats().resident_bytes, 64 << 20);
}

}  // namespace
}  // namespace barista::testing
