// ChangeMessageVisibility entry by entry, and the bytes of a receive, through a server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class VisibilityEntriesTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    CreateQueue("orders");
  }
  grpc::Status Change(const std::vector<v1::ChangeMessageVisibilityEntry>& entries) {
    v1::ChangeMessageVisibilityRequest request;
    request.set_queue("orders");
    for (const v1::ChangeMessageVisibilityEntry& entry : entries) *request.add_entries() = entry;
    response_.Clear();
    return stub_->ChangeMessageVisibility(Context().get(), request, &response_);
  }
  static v1::ChangeMessageVisibilityEntry Hide(const v1::Message& message, int64_t seconds) {
    v1::ChangeMessageVisibilityEntry entry;
    entry.set_receipt_handle(message.receipt_handle());
    entry.mutable_visibility_timeout()->set_seconds(seconds);
    return entry;
  }
  static v1::ChangeMessageVisibilityEntry Undelivered(const v1::Message& message) {
    v1::ChangeMessageVisibilityEntry entry;
    entry.set_receipt_handle(message.receipt_handle());
    entry.set_undelivered(true);
    return entry;
  }

  v1::ChangeMessageVisibilityResponse response_;
};

TEST_F(VisibilityEntriesTest, LastReceiveOnlyLeavesAMessageAloneThatWasReceivedAgain) {
  ASSERT_TRUE(SendBody("orders", "espresso").ok());
  const v1::Message first = Receive("orders").at(0);
  v1::ChangeMessageVisibilityEntry only_last = Hide(first, 3600);
  only_last.set_last_receive_only(true);
  EXPECT_TRUE(Change({only_last}).ok());
  ASSERT_TRUE(Change({Hide(first, 0)}).ok());
  const v1::Message second = Receive("orders").at(0);
  only_last.mutable_visibility_timeout()->set_seconds(0);
  EXPECT_TRUE(
      FailedWith(Change({only_last}), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  EXPECT_THAT(Receive("orders"), IsEmpty());
  only_last.set_receipt_handle(second.receipt_handle());
  EXPECT_TRUE(Change({only_last}).ok());
  EXPECT_THAT(Receive("orders"), SizeIs(1));
}

TEST_F(VisibilityEntriesTest, UndeliveredMessageIsVisibleAtOnceAndItsReceiveIsNotCounted) {
  ASSERT_TRUE(SendBody("orders", "espresso").ok());
  const v1::Message lost = Receive("orders").at(0);
  ASSERT_TRUE(Change({Undelivered(lost)}).ok());
  const std::vector<v1::Message> again = Receive("orders");
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].receive_count(), 1);
  // A handle that does not stand for the latest receive is ignored.
  ASSERT_TRUE(Change({Hide(again[0], 0)}).ok());
  ASSERT_THAT(Receive("orders"), SizeIs(1));
  ASSERT_TRUE(Change({Undelivered(lost)}).ok());
  EXPECT_THAT(Receive("orders"), IsEmpty());
}

TEST_F(VisibilityEntriesTest, EveryKindOfEntryIsAnsweredInItsPlace) {
  ASSERT_TRUE(Send("orders", {Entry("a"), Entry("b"), Entry("c")}).ok());
  const std::vector<v1::Message> held = Receive("orders");
  ASSERT_THAT(held, SizeIs(3));
  v1::ChangeMessageVisibilityEntry both = Hide(held[2], 10);
  both.set_undelivered(true);
  v1::ChangeMessageVisibilityEntry garbage = Undelivered(held[0]);
  garbage.set_receipt_handle("garbage");
  ASSERT_TRUE(
      Change({Hide(held[0], 43201), Undelivered(held[1]), both, Hide(held[0], 43200), garbage})
          .ok());
  ASSERT_THAT(response_.results(), SizeIs(5));
  EXPECT_EQ(response_.failed(), 3);
  EXPECT_EQ(response_.results(0).error().reason(), "InvalidParameterValue");
  EXPECT_FALSE(response_.results(1).has_error());
  EXPECT_EQ(response_.results(2).error().reason(), "InvalidParameterValue");
  EXPECT_EQ(response_.results(2).error().field(), "VisibilityTimeout");
  EXPECT_FALSE(response_.results(3).has_error());
  EXPECT_EQ(response_.results(4).error().reason(), "ReceiptHandleIsInvalid");
  EXPECT_THAT(Receive("orders"), SizeIs(1));
}

TEST_F(VisibilityEntriesTest, ReceiveTakesUpToMaxBytesButOneMessageAlways) {
  ASSERT_TRUE(
      Send("orders", {Entry(std::string(900, 'a')), Entry(std::string(900, 'b')), Entry("c")})
          .ok());
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  request.set_max_messages(10);
  request.mutable_wait()->set_seconds(0);
  request.set_max_bytes(1);
  v1::ReceiveMessageResponse response;
  ASSERT_TRUE(ReceiveStatus(request, &response).ok());
  ASSERT_THAT(response.messages(), SizeIs(1));
  request.set_max_bytes(1100);
  ASSERT_TRUE(ReceiveStatus(request, &response).ok());
  EXPECT_THAT(response.messages(), SizeIs(2));
  request.set_max_bytes(-1);
  EXPECT_TRUE(
      FailedWith(ReceiveStatus(request), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  EXPECT_EQ(DetailsOf(ReceiveStatus(request)).field, "MaxBytes");
}

}  // namespace
}  // namespace barista::server
