#include "client/cli/message_format.h"

#include <boost/json/serialize.hpp>
#include <string>

#include "gtest/gtest.h"

namespace barista::cli {
namespace {

v1::Message Example() {
  v1::Message message;
  message.set_message_id("5fea7756-0ea4-451a-a703-a558b933e274");
  message.set_body("two espressos");
  message.set_receipt_handle("handle");
  message.set_receive_count(1);
  message.mutable_sent_at()->set_seconds(1767323045);
  message.mutable_sent_at()->set_nanos(678999999);
  return message;
}

TEST(MessageFormatTest, JsonOfAMessageIsTheContract) {
  v1::Message message = Example();
  (*message.mutable_attributes())["b"].set_data_type("Binary");
  (*message.mutable_attributes())["b"].set_binary_value("\xff");
  (*message.mutable_attributes())["a"].set_data_type("String");
  (*message.mutable_attributes())["a"].set_string_value("x");
  message.set_group_id("g");
  message.set_dedup_id("d");
  message.set_sequence_number(7);
  EXPECT_EQ(
      boost::json::serialize(MessageToJson(message)),
      R"({"message_id":"5fea7756-0ea4-451a-a703-a558b933e274","body":"two espressos","receipt_handle":"handle",)"
      R"("receive_count":1,"sent_at":"2026-01-02T03:04:05.678Z",)"
      R"("attributes":{"a":{"type":"String","value":"x"},"b":{"type":"Binary","value_base64":"/w=="}},)"
      R"("group_id":"g","dedup_id":"d","sequence_number":7})");
}

TEST(MessageFormatTest, BodyThatIsNotUtf8IsBase64) {
  v1::Message message = Example();
  message.set_body("\xff");
  const boost::json::object json = MessageToJson(message);
  EXPECT_FALSE(json.contains("body"));
  EXPECT_EQ(json.at("body_base64"), "/w==");
}

TEST(MessageFormatTest, PeekedMessageHasAStateAndNoHandle) {
  v1::PeekedMessage peeked;
  *peeked.mutable_message() = Example();
  peeked.mutable_message()->clear_receipt_handle();
  peeked.set_state(v1::MESSAGE_STATE_VISIBLE);
  boost::json::object json = PeekedToJson(peeked);
  EXPECT_EQ(json.at("state"), "visible");
  EXPECT_FALSE(json.contains("receipt_handle"));
  EXPECT_FALSE(json.contains("visible_at"));
  peeked.set_state(v1::MESSAGE_STATE_IN_FLIGHT);
  peeked.mutable_visible_at()->set_seconds(0);
  json = PeekedToJson(peeked);
  EXPECT_EQ(json.at("state"), "in_flight");
  EXPECT_EQ(json.at("visible_at"), "1970-01-01T00:00:00.000Z");
}

TEST(MessageFormatTest, Utf8IsStrict) {
  for (const char* text : {"", "a", "\u00e9", "\u2615", "\U0001f980", "\xf4\x8f\xbf\xbf",
                           "\xed\x9f\xbf", "\xee\x80\x80"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* bytes :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x98", "\xe2\x28\xa1", "a\xc3"}) {
    EXPECT_FALSE(IsUtf8(bytes));
  }
}

TEST(MessageFormatTest, TextShowsFactsAndThenTheBody) {
  const std::string text = MessageToText(Example());
  EXPECT_NE(text.find("handle     handle\n\ntwo espressos\n"), std::string::npos);
  EXPECT_NE(text.find("2026-01-02T03:04:05.678Z, received 1 time\n"), std::string::npos);
}

}  // namespace
}  // namespace barista::cli
