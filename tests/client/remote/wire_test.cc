#include "client/remote/wire.h"

#include <gtest/gtest.h>

#include <string>

#include "barista/error.h"

namespace barista::client {
namespace {

constexpr char kId[] = "5fea7756-0ea4-451a-a703-a558b933e274";

v1::Message Full() {
  v1::Message message;
  message.set_message_id(kId);
  message.set_body(std::string("two\0espressos", 13));
  message.set_receipt_handle(std::string(48, 'A'));
  message.set_receive_count(3);
  message.mutable_sent_at()->set_seconds(1767225600);
  message.mutable_sent_at()->set_nanos(7'000'000);
  message.mutable_first_received_at()->set_seconds(1767225601);
  message.set_group_id("table 7");
  message.set_dedup_id("order-17");
  message.set_sequence_number(42);
  message.set_trace_header("Root=1");
  message.set_sender_id("bar");
  message.set_dead_letter_source("orders");
  v1::MessageAttributeValue& text = (*message.mutable_attributes())["table"];
  text.set_data_type("String");
  text.set_string_value("7");
  v1::MessageAttributeValue& raw = (*message.mutable_attributes())["raw"];
  raw.set_data_type("Binary.png");
  raw.set_binary_value(std::string("\0\1", 2));
  return message;
}

TEST(WireTest, ReceivedMessageHasAllItsPartsAndOutlivesTheReply) {
  ReceivedMessage message;
  {
    const absl::StatusOr<ReceivedMessage> decoded = DecodeReceivedMessage(Full());
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    message = *decoded;
  }
  EXPECT_EQ(message.message_id.ToString(), kId);
  EXPECT_EQ(message.body, absl::string_view("two\0espressos", 13));
  EXPECT_EQ(message.receipt_handle.ToString(), std::string(48, 'A'));
  EXPECT_EQ(message.receive_count, 3);
  EXPECT_EQ(message.sent_at, absl::FromUnixMillis(1767225600007));
  EXPECT_EQ(message.first_received_at, absl::FromUnixSeconds(1767225601));
  EXPECT_EQ(message.group_id(), "table 7");
  EXPECT_EQ(message.dedup_id(), "order-17");
  EXPECT_EQ(message.sequence_number, 42u);
  EXPECT_EQ(message.trace_header(), "Root=1");
  EXPECT_EQ(message.sender_id(), "bar");
  EXPECT_EQ(message.dead_letter_source(), "orders");
  const MessageAttributes expected = {{"raw", {"Binary.png", std::string("\0\1", 2)}},
                                      {"table", "7"}};
  EXPECT_EQ(message.attributes(), expected);
}

TEST(WireTest, WhatIsNotThereIsNotThere) {
  v1::Message wire;
  wire.set_message_id(kId);
  wire.set_body("m");
  v1::PeekedMessage peeked;
  *peeked.mutable_message() = wire;
  peeked.set_state(v1::MESSAGE_STATE_DELAYED);
  peeked.mutable_visible_at()->set_seconds(5);
  const absl::StatusOr<PeekedMessage> message = DecodePeekedMessage(peeked);
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->state, MessageState::kDelayed);
  EXPECT_EQ(message->visible_at, absl::FromUnixSeconds(5));
  EXPECT_EQ(message->first_received_at, absl::InfiniteFuture());
  EXPECT_FALSE(message->has_attributes());
  EXPECT_FALSE(message->has_fields());
  EXPECT_FALSE(message->sequence_number.has_value());
}

TEST(WireTest, WhatCannotBeReadIsAnInternalError) {
  v1::Message message = Full();
  message.set_message_id("not a UUID");
  EXPECT_TRUE(absl::IsInternal(DecodeReceivedMessage(message).status()));
  message = Full();
  message.set_receipt_handle("short");
  EXPECT_TRUE(absl::IsInternal(DecodeReceivedMessage(message).status()));
  EXPECT_TRUE(absl::IsInternal(DecodeSendResult(v1::SendMessageResult()).status()));
  v1::Queue queue;
  (*queue.mutable_attributes())["DelaySeconds"] = "soon";
  EXPECT_TRUE(absl::IsInternal(DecodeDescription(queue).status()));
}

TEST(WireTest, AttributesOfANewerBrokerAreLeftOut) {
  v1::Queue queue;
  queue.set_name("orders");
  (*queue.mutable_attributes())["DelaySeconds"] = "5";
  (*queue.mutable_attributes())["ColourOfTheCup"] = "red";
  (*queue.mutable_attributes())["ApproximateNumberOfMessages"] = "17";
  const absl::StatusOr<QueueDescription> description = DecodeDescription(queue);
  ASSERT_TRUE(description.ok()) << description.status();
  EXPECT_EQ(description->attributes.delay, absl::Seconds(5));
  EXPECT_EQ(description->visible, 17);
}

TEST(WireTest, ErrorsKeepWhatAProgramCompares) {
  v1::Error error;
  error.set_code(3);
  error.set_reason("InvalidParameterValue");
  error.set_message("too long");
  error.set_field("MessageBody");
  error.set_value("1025");
  error.set_limit("1024");
  const absl::Status status = DecodeError(error);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), "too long");
  EXPECT_EQ(GetErrorInfo(status).field, "MessageBody");
  EXPECT_EQ(GetErrorInfo(status).limit, "1024");
  for (const int code : {0, 17, -1}) {
    error.set_code(code);
    EXPECT_TRUE(absl::IsUnknown(DecodeError(error))) << code;
  }
}

TEST(WireTest, DurationsRoundTrip) {
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Milliseconds(1500), absl::Nanoseconds(1), absl::Hours(12)}) {
    google::protobuf::Duration wire;
    EncodeDuration(duration, &wire);
    EXPECT_EQ(absl::Seconds(wire.seconds()) + absl::Nanoseconds(wire.nanos()), duration);
    EXPECT_LT(wire.nanos(), 1'000'000'000);
  }
}

}  // namespace
}  // namespace barista::client
