#include "client/load/ledger.h"

#include <gtest/gtest.h>

#include <string>

namespace barista::load {
namespace {

constexpr uint32_t kRun = 0xc0ffee;

std::string Body(const MessageText& text, const LoadMessage& message) {
  std::string body(text.sizes().most(), '\0');
  body.resize(text.Write(message, body.data()));
  return body;
}

TEST(NumberSetTest, InsertSaysWhetherTheNumberIsNew) {
  NumberSet set;
  for (const uint64_t number :
       {uint64_t{0}, uint64_t{63}, uint64_t{64}, uint64_t{1} << 20, NumberSet::kLimit - 1}) {
    EXPECT_FALSE(set.Contains(number));
    EXPECT_TRUE(set.Insert(number));
    EXPECT_FALSE(set.Insert(number));
    EXPECT_TRUE(set.Contains(number));
  }
  EXPECT_FALSE(set.Contains(1));
}

TEST(MessageTextTest, ReadsWhatItWrites) {
  for (const size_t bytes : {MessageText::kHeaderBytes, size_t{1024}}) {
    const MessageText text(kRun, bytes);
    const auto message = text.Read(Body(text, {7, 123456789, 987654321}));
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->producer, 7u);
    EXPECT_EQ(message->number, 123456789u);
    EXPECT_EQ(message->intended_ns, 987654321);
  }
}

TEST(MessageTextTest, RefusesEveryAlteredByte) {
  const MessageText text(kRun, 100);
  const std::string body = Body(text, {1, 2, 3});
  for (size_t i = 0; i < body.size(); ++i) {
    std::string altered = body;
    altered[i] = '!';
    EXPECT_FALSE(text.Read(altered).has_value()) << "byte " << i;
  }
  EXPECT_FALSE(text.Read(body + "x").has_value());
  EXPECT_FALSE(text.Read(absl::string_view(body).substr(1)).has_value());
}

TEST(MessageTextTest, HasTheSizeOfItsNumber) {
  const MessageText text(kRun, *BodySizes::InTurn({100, 1024}));
  EXPECT_EQ(Body(text, {1, 2, 3}).size(), 100u);
  const std::string longer = Body(text, {1, 3, 3});
  EXPECT_EQ(longer.size(), 1024u);
  EXPECT_EQ(text.Read(longer)->number, 3u);
  EXPECT_FALSE(text.Read(absl::string_view(longer).substr(0, 100)).has_value());
}

TEST(MessageTextTest, RefusesMessagesOfAnotherRun) {
  const MessageText text(kRun, 100), other(kRun + 1, 100);
  EXPECT_FALSE(text.Read(Body(other, {1, 2, 3})).has_value());
}

class LedgerTest : public testing::Test {
 protected:
  void Send(uint64_t number) {
    ledger_.Sent({0, number, 0});
    ledger_.Acknowledged({0, number, 0});
  }
  void Deliver(uint64_t number) { ledger_.Delivered(Body(ledger_.text(), {0, number, 0})); }

  Ledger ledger_{1, MessageText(kRun, 64)};
};

TEST_F(LedgerTest, EachMessageOnceIsExact) {
  for (uint64_t n = 0; n < 10; ++n) Send(n);
  EXPECT_EQ(ledger_.outstanding(), 10);
  for (uint64_t n = 10; n-- > 0;) Deliver(n);
  EXPECT_EQ(ledger_.outstanding(), 0);
  EXPECT_TRUE(ledger_.Judge().exact());
}

TEST_F(LedgerTest, AnAcknowledgedMessageThatNeverCameIsLost) {
  Send(0);
  Send(1);
  Deliver(1);
  EXPECT_EQ(ledger_.Judge().lost, 1u);
  EXPECT_FALSE(ledger_.Judge().exact());
}

TEST_F(LedgerTest, AnUnacknowledgedMessageMayComeOrNot) {
  ledger_.Sent({0, 0, 0});
  ledger_.Sent({0, 1, 0});
  Deliver(1);
  EXPECT_TRUE(ledger_.Judge().exact());
}

TEST_F(LedgerTest, ASecondDeliveryIsADuplicate) {
  Send(0);
  Deliver(0);
  Deliver(0);
  EXPECT_EQ(ledger_.Judge().duplicates, 1u);
  EXPECT_FALSE(ledger_.Judge().exact());
}

TEST_F(LedgerTest, WhatWasNeverSentIsForeign) {
  Send(0);
  Deliver(0);
  Deliver(1);                                          // a number that was not reached
  ledger_.Delivered(Body(ledger_.text(), {1, 0, 0}));  // a producer that there is not
  ledger_.Delivered("hello");
  EXPECT_EQ(ledger_.Judge().foreign, 3u);
  EXPECT_FALSE(ledger_.Judge().exact());
}

}  // namespace
}  // namespace barista::load
