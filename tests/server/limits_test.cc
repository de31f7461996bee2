// The limits of the gRPC API: at each one, and one past it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

class LimitsTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    CreateQueue("orders");
  }
  std::vector<v1::SendMessageEntry> Entries(size_t count, size_t body_bytes = 1) {
    return std::vector<v1::SendMessageEntry>(count, Entry(std::string(body_bytes, 'x')));
  }
};

TEST_F(LimitsTest, BatchOfOneToAThousandEntries) {
  EXPECT_TRUE(FailedWith(Send("orders", {}), StatusCode::INVALID_ARGUMENT, "EmptyBatchRequest"));
  v1::SendMessageResponse response;
  ASSERT_TRUE(Send("orders", Entries(kMaxBatchEntries), &response).ok());
  EXPECT_THAT(response.results(), SizeIs(kMaxBatchEntries));
  EXPECT_EQ(response.failed(), 0);

  const grpc::Status past = Send("orders", Entries(kMaxBatchEntries + 1));
  EXPECT_TRUE(FailedWith(past, StatusCode::INVALID_ARGUMENT, "TooManyEntriesInBatchRequest"));
  EXPECT_EQ(DetailsOf(past).field, "Entries");
  EXPECT_EQ(DetailsOf(past).value, "1001");
  EXPECT_THAT(DetailsOf(past).limit, HasSubstr("1000"));
  EXPECT_EQ(Attribute("orders", "ApproximateNumberOfMessages"), "1000");  // I9
}

TEST_F(LimitsTest, BatchOfFourMebibytes) {
  v1::SendMessageResponse response;
  ASSERT_TRUE(Send("orders", Entries(8, kMaxBatchBytes / 8), &response).ok());
  EXPECT_EQ(response.failed(), 0);
  std::vector<v1::SendMessageEntry> past = Entries(8, kMaxBatchBytes / 8);
  past[0].mutable_body()->push_back('x');
  EXPECT_TRUE(
      FailedWith(Send("orders", past), StatusCode::INVALID_ARGUMENT, "BatchRequestTooLong"));
  EXPECT_EQ(Attribute("orders", "ApproximateNumberOfMessages"), "8");
}

TEST_F(LimitsTest, MessageOfOneMebibyte) {
  EXPECT_TRUE(Send("orders", Entries(1, kMaxMessageBytes)).ok());
  const grpc::Status past = Send("orders", Entries(1, kMaxMessageBytes + 1));
  EXPECT_TRUE(FailedWith(past, StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  EXPECT_THAT(past.error_message(), HasSubstr("1048577"));
  EXPECT_THAT(past.error_message(), HasSubstr("1048576"));
}

TEST_F(LimitsTest, RequestOfEightMebibytes) {
  const grpc::Status past = Send("orders", Entries(9, 1 << 20));
  EXPECT_EQ(past.error_code(), StatusCode::RESOURCE_EXHAUSTED) << past.error_message();
  EXPECT_TRUE(FailedWith(Send("orders", Entries(7, 1 << 20)), StatusCode::INVALID_ARGUMENT,
                         "BatchRequestTooLong"));
}

TEST_F(LimitsTest, TenAttributes) {
  v1::SendMessageEntry entry = Entry("x");
  for (size_t i = 0; i < kMaxMessageAttributes; ++i) {
    v1::MessageAttributeValue& value = (*entry.mutable_attributes())[absl::StrCat("a", i)];
    value.set_data_type("String");
    value.set_string_value("v");
  }
  EXPECT_TRUE(Send("orders", {entry}).ok());
  (*entry.mutable_attributes())["past"] = entry.attributes().at("a0");
  EXPECT_TRUE(
      FailedWith(Send("orders", {entry}), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
}

TEST_F(LimitsTest, DelayOfFifteenMinutes) {
  v1::SendMessageEntry entry = Entry("x");
  entry.mutable_delay()->set_seconds(900);
  EXPECT_TRUE(Send("orders", {entry}).ok());
  entry.mutable_delay()->set_nanos(1'000'000);
  EXPECT_TRUE(
      FailedWith(Send("orders", {entry}), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  entry.mutable_delay()->set_seconds(-1);
  entry.mutable_delay()->set_nanos(0);
  EXPECT_TRUE(
      FailedWith(Send("orders", {entry}), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
}

TEST_F(LimitsTest, DurationThatIsNoneIsRefusedByName) {
  v1::SendMessageEntry entry = Entry("x");
  entry.mutable_delay()->set_seconds(1);
  entry.mutable_delay()->set_nanos(-1);
  const grpc::Status status = Send("orders", {entry});
  EXPECT_TRUE(FailedWith(status, StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  EXPECT_EQ(DetailsOf(status).field, "DelaySeconds");
}

TEST_F(LimitsTest, ReceiveOfOneToAThousandMessages) {
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  for (const int max : {-1, kMaxReceiveMessages + 1}) {
    request.set_max_messages(max);
    const grpc::Status status = ReceiveStatus(request);
    EXPECT_TRUE(FailedWith(status, StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
    EXPECT_EQ(DetailsOf(status).value, absl::StrCat(max));
  }
  ASSERT_TRUE(Send("orders", Entries(kMaxBatchEntries)).ok());
  request.set_max_messages(kMaxReceiveMessages);
  v1::ReceiveMessageResponse response;
  ASSERT_TRUE(ReceiveStatus(request, &response).ok());
  EXPECT_THAT(response.messages(), SizeIs(kMaxReceiveMessages));
}

TEST_F(LimitsTest, WaitOfAnHourAndVisibilityOfTwelve) {
  ASSERT_TRUE(SendBody("orders", "x").ok());
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  request.mutable_wait()->set_seconds(3601);
  EXPECT_TRUE(
      FailedWith(ReceiveStatus(request), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  request.mutable_wait()->set_seconds(3600);
  request.mutable_visibility_timeout()->set_seconds(43201);
  EXPECT_TRUE(
      FailedWith(ReceiveStatus(request), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  request.mutable_visibility_timeout()->set_seconds(43200);
  v1::ReceiveMessageResponse response;
  ASSERT_TRUE(ReceiveStatus(request, &response).ok());
  ASSERT_THAT(response.messages(), SizeIs(1));
  EXPECT_EQ(response.messages(0).receive_count(), 1);
}

TEST_F(LimitsTest, ReplyTakesWhatAClientAcceptsAndLeavesTheRestVisible) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Send("orders", Entries(1, kMaxMessageBytes)).ok());
  size_t taken = 0;
  while (taken < 5) {
    // The client's own limit is gRPC's default of 4 MiB: a larger reply would be an error.
    const std::vector<v1::Message> received = Receive("orders", 5, absl::Seconds(1));
    ASSERT_FALSE(received.empty());
    EXPECT_THAT(received, SizeIs(Le(3u)));
    for (const v1::Message& message : received) EXPECT_EQ(message.receive_count(), 1);
    taken += received.size();
  }
  EXPECT_EQ(taken, 5u);
  EXPECT_THAT(Receive("orders"), IsEmpty());
}

TEST_F(LimitsTest, PeekTakesWhatAClientAccepts) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Send("orders", Entries(1, kMaxMessageBytes)).ok());
  v1::PeekMessagesRequest request;
  request.set_queue("orders");
  v1::PeekMessagesResponse response;
  const grpc::Status status = stub_->PeekMessages(Context().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.messages(), SizeIs(3));
  for (const int max : {-1, kMaxReceiveMessages + 1}) {
    request.set_max_messages(max);
    EXPECT_TRUE(FailedWith(stub_->PeekMessages(Context().get(), request, &response),
                           StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  }
}

TEST_F(LimitsTest, HandlesOfOneDeleteAreOneToAThousand) {
  EXPECT_TRUE(FailedWith(Delete("orders", {}), StatusCode::INVALID_ARGUMENT, "EmptyBatchRequest"));
  EXPECT_TRUE(FailedWith(Delete("orders", std::vector<std::string>(kMaxBatchEntries + 1, "h")),
                         StatusCode::INVALID_ARGUMENT, "TooManyEntriesInBatchRequest"));
  ASSERT_TRUE(Send("orders", Entries(kMaxBatchEntries)).ok());
  std::vector<std::string> handles;
  for (const v1::Message& message : Receive("orders", kMaxReceiveMessages)) {
    handles.push_back(message.receipt_handle());
  }
  ASSERT_THAT(handles, SizeIs(kMaxBatchEntries));
  v1::DeleteMessageResponse response;
  ASSERT_TRUE(Delete("orders", handles, &response).ok());
  EXPECT_EQ(response.failed(), 0);
  EXPECT_EQ(Attribute("orders", "ApproximateNumberOfMessagesNotVisible"), "0");
}

TEST_F(LimitsTest, ChangesOfOneCallAreOneToAThousand) {
  v1::ChangeMessageVisibilityRequest request;
  request.set_queue("orders");
  v1::ChangeMessageVisibilityResponse response;
  EXPECT_TRUE(FailedWith(stub_->ChangeMessageVisibility(Context().get(), request, &response),
                         StatusCode::INVALID_ARGUMENT, "EmptyBatchRequest"));
  for (size_t i = 0; i <= kMaxBatchEntries; ++i) request.add_entries();
  EXPECT_TRUE(FailedWith(stub_->ChangeMessageVisibility(Context().get(), request, &response),
                         StatusCode::INVALID_ARGUMENT, "TooManyEntriesInBatchRequest"));
}

TEST_F(LimitsTest, InFlightLimitIsOverLimitWithoutAWait) {
  CreateQueue("small", {{"MaximumInFlightMessages", "1"}});
  ASSERT_TRUE(Send("small", {Entry("a"), Entry("b")}).ok());
  const std::vector<v1::Message> first = Receive("small");
  ASSERT_THAT(first, SizeIs(1));
  v1::ReceiveMessageRequest request;
  request.set_queue("small");
  EXPECT_TRUE(FailedWith(ReceiveStatus(request), StatusCode::RESOURCE_EXHAUSTED, "OverLimit"));
  ASSERT_TRUE(Delete("small", {first[0].receipt_handle()}).ok());
  EXPECT_THAT(Receive("small"), SizeIs(1));
}

}  // namespace
}  // namespace barista::server
