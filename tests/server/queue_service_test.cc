// The gRPC API of queues over a real server and a real channel: every call, what it answers and
// what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class QueueServiceTest : public ServerTest {
 protected:
  grpc::Status Create(const std::string& name, const std::string& key = "",
                      const std::string& value = "") {
    v1::CreateQueueRequest request;
    request.set_queue(name);
    if (!key.empty()) (*request.mutable_attributes())[key] = value;
    v1::CreateQueueResponse response;
    return stub_->CreateQueue(Context().get(), request, &response);
  }
};

// ---- Definition ----

TEST_F(QueueServiceTest, CreateQueueAnswersWithItsDescription) {
  v1::CreateQueueRequest request;
  request.set_queue("orders");
  (*request.mutable_attributes())["VisibilityTimeout"] = "45";
  (*request.mutable_tags())["team"] = "kitchen";
  v1::CreateQueueResponse response;
  const grpc::Status status = stub_->CreateQueue(Context().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::Queue& queue = response.queue();
  EXPECT_EQ(queue.name(), "orders");
  EXPECT_EQ(queue.arn(), "arn:aws:sqs:us-east-1:000000000000:orders");
  EXPECT_EQ(queue.url(), absl::StrCat("http://", server_->http_address(), "/000000000000/orders"));
  EXPECT_EQ(queue.attributes().at("VisibilityTimeout"), "45");
  EXPECT_EQ(queue.attributes().at("DelaySeconds"), "0");
  EXPECT_EQ(queue.attributes().at("MaximumMessageSize"), "1048576");
  EXPECT_EQ(queue.attributes().at("ApproximateNumberOfMessages"), "0");
  EXPECT_EQ(queue.attributes().at("QueueArn"), queue.arn());
  EXPECT_EQ(queue.tags().at("team"), "kitchen");
}

TEST_F(QueueServiceTest, CreateQueueAgainWithTheSameAttributesIsTheSameQueue) {
  ASSERT_TRUE(Create("orders", "DelaySeconds", "5").ok());
  ASSERT_TRUE(Create("orders", "DelaySeconds", "5").ok());
  EXPECT_TRUE(Create("orders").ok());
}

TEST_F(QueueServiceTest, CreateQueueAgainWithOtherAttributesIsRefused) {
  ASSERT_TRUE(Create("orders", "DelaySeconds", "5").ok());
  EXPECT_TRUE(FailedWith(Create("orders", "DelaySeconds", "6"), StatusCode::ALREADY_EXISTS,
                         "QueueNameExists"));
  EXPECT_EQ(Attribute("orders", "DelaySeconds"), "5");
}

TEST_F(QueueServiceTest, CreateQueueRefusesBadNamesAndTakesTheLongest) {
  for (const std::string& name : {std::string(), std::string("a b"), std::string(81, 'x')}) {
    EXPECT_TRUE(FailedWith(Create(name), StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"))
        << name;
  }
  EXPECT_TRUE(Create(std::string(80, 'x')).ok());
}

TEST_F(QueueServiceTest, BadAttributesAreNamedWithValueAndRange) {
  const grpc::Status unknown = Create("orders", "VisibilityTimeut", "1");
  EXPECT_TRUE(FailedWith(unknown, StatusCode::INVALID_ARGUMENT, "InvalidAttributeName"));

  const grpc::Status past = Create("orders", "VisibilityTimeout", "43201");
  EXPECT_TRUE(FailedWith(past, StatusCode::INVALID_ARGUMENT, "InvalidAttributeValue"));
  EXPECT_EQ(DetailsOf(past).field, "VisibilityTimeout");
  EXPECT_EQ(DetailsOf(past).value, "43201");
  EXPECT_THAT(DetailsOf(past).limit, HasSubstr("43200"));
  EXPECT_THAT(past.error_message(), HasSubstr("43201"));

  EXPECT_TRUE(Create("orders", "VisibilityTimeout", "43200").ok());
}

TEST_F(QueueServiceTest, SetQueueAttributesChangesOnlyTheGiven) {
  ASSERT_TRUE(Create("orders", "DelaySeconds", "5").ok());
  v1::SetQueueAttributesRequest request;
  request.set_queue("orders");
  (*request.mutable_attributes())["VisibilityTimeout"] = "7";
  v1::SetQueueAttributesResponse response;
  ASSERT_TRUE(stub_->SetQueueAttributes(Context().get(), request, &response).ok());
  EXPECT_EQ(Attribute("orders", "VisibilityTimeout"), "7");
  EXPECT_EQ(Attribute("orders", "DelaySeconds"), "5");

  (*request.mutable_attributes())["VisibilityTimeout"] = "8";
  (*request.mutable_attributes())["DelaySeconds"] = "901";
  EXPECT_TRUE(FailedWith(stub_->SetQueueAttributes(Context().get(), request, &response),
                         StatusCode::INVALID_ARGUMENT, "InvalidAttributeValue"));
  EXPECT_EQ(Attribute("orders", "VisibilityTimeout"), "7");  // I9
}

TEST_F(QueueServiceTest, ListQueuesPagesThroughTheNamesOfAPrefix) {
  for (const char* name : {"a1", "b3", "b1", "b2", "c1"}) CreateQueue(name);
  v1::ListQueuesRequest request;
  request.set_prefix("b");
  request.set_max_results(2);
  v1::ListQueuesResponse first;
  ASSERT_TRUE(stub_->ListQueues(Context().get(), request, &first).ok());
  EXPECT_THAT(first.queues(), ElementsAre("b1", "b2"));
  ASSERT_FALSE(first.next_token().empty());
  request.set_next_token(first.next_token());
  v1::ListQueuesResponse second;
  ASSERT_TRUE(stub_->ListQueues(Context().get(), request, &second).ok());
  EXPECT_THAT(second.queues(), ElementsAre("b3"));
  EXPECT_THAT(second.next_token(), IsEmpty());
}

TEST_F(QueueServiceTest, ListQueuesRefusesPagesOutOfRange) {
  v1::ListQueuesResponse response;
  for (const int results : {-1, 1001}) {
    v1::ListQueuesRequest request;
    request.set_max_results(results);
    EXPECT_TRUE(FailedWith(stub_->ListQueues(Context().get(), request, &response),
                           StatusCode::INVALID_ARGUMENT, "InvalidParameterValue"));
  }
  v1::ListQueuesRequest request;
  request.set_max_results(1000);
  EXPECT_TRUE(stub_->ListQueues(Context().get(), request, &response).ok());
}

TEST_F(QueueServiceTest, TagsAreAddedOverwrittenAndRemoved) {
  CreateQueue("orders");
  v1::TagQueueRequest tag;
  tag.set_queue("orders");
  (*tag.mutable_tags())["team"] = "bar";
  (*tag.mutable_tags())["cost"] = "low";
  v1::TagQueueResponse tagged;
  ASSERT_TRUE(stub_->TagQueue(Context().get(), tag, &tagged).ok());
  v1::UntagQueueRequest untag;
  untag.set_queue("orders");
  untag.add_tag_keys("cost");
  untag.add_tag_keys("never-there");
  v1::UntagQueueResponse untagged;
  ASSERT_TRUE(stub_->UntagQueue(Context().get(), untag, &untagged).ok());

  v1::GetQueueRequest get;
  get.set_queue("orders");
  v1::GetQueueResponse got;
  ASSERT_TRUE(stub_->GetQueue(Context().get(), get, &got).ok());
  EXPECT_THAT(got.queue().tags(), SizeIs(1));
  EXPECT_EQ(got.queue().tags().at("team"), "bar");
}

TEST_F(QueueServiceTest, PurgeRemovesReadyInFlightAndDelayedMessages) {
  CreateQueue("orders");
  v1::SendMessageEntry delayed = Entry("later");
  delayed.mutable_delay()->set_seconds(60);
  ASSERT_TRUE(Send("orders", {Entry("one"), Entry("two"), delayed}).ok());
  ASSERT_THAT(Receive("orders", 1), SizeIs(1));
  v1::PurgeQueueRequest request;
  request.set_queue("orders");
  v1::PurgeQueueResponse response;
  ASSERT_TRUE(stub_->PurgeQueue(Context().get(), request, &response).ok());
  server_->manual_clock()->Advance(absl::Hours(13));
  EXPECT_THAT(Receive("orders"), IsEmpty());
  ASSERT_TRUE(SendBody("orders", "after").ok());
  EXPECT_THAT(Receive("orders"), SizeIs(1));
}

TEST_F(QueueServiceTest, DeletedQueueDoesNotExist) {
  CreateQueue("orders");
  v1::DeleteQueueRequest request;
  request.set_queue("orders");
  v1::DeleteQueueResponse response;
  ASSERT_TRUE(stub_->DeleteQueue(Context().get(), request, &response).ok());
  EXPECT_TRUE(FailedWith(stub_->DeleteQueue(Context().get(), request, &response),
                         StatusCode::NOT_FOUND, "QueueDoesNotExist"));
}

TEST_F(QueueServiceTest, EveryCallOnAnUnknownQueueSaysSo) {
  const auto expect = [](const grpc::Status& status) {
    EXPECT_TRUE(FailedWith(status, StatusCode::NOT_FOUND, "QueueDoesNotExist"));
    EXPECT_EQ(DetailsOf(status).value, "nowhere");
  };
  const auto call = [&](auto method, auto request, auto response) {
    request.set_queue("nowhere");
    expect((stub_.get()->*method)(Context().get(), request, &response));
  };
  using Stub = v1::QueueService::Stub;
  call(&Stub::GetQueue, v1::GetQueueRequest(), v1::GetQueueResponse());
  call(&Stub::SetQueueAttributes, v1::SetQueueAttributesRequest(),
       v1::SetQueueAttributesResponse());
  call(&Stub::DeleteQueue, v1::DeleteQueueRequest(), v1::DeleteQueueResponse());
  call(&Stub::PurgeQueue, v1::PurgeQueueRequest(), v1::PurgeQueueResponse());
  call(&Stub::TagQueue, v1::TagQueueRequest(), v1::TagQueueResponse());
  call(&Stub::UntagQueue, v1::UntagQueueRequest(), v1::UntagQueueResponse());
  call(&Stub::SendMessage, v1::SendMessageRequest(), v1::SendMessageResponse());
  call(&Stub::ReceiveMessage, v1::ReceiveMessageRequest(), v1::ReceiveMessageResponse());
  call(&Stub::DeleteMessage, v1::DeleteMessageRequest(), v1::DeleteMessageResponse());
  call(&Stub::ChangeMessageVisibility, v1::ChangeMessageVisibilityRequest(),
       v1::ChangeMessageVisibilityResponse());
  call(&Stub::PeekMessages, v1::PeekMessagesRequest(), v1::PeekMessagesResponse());
}

// ---- Messages ----

TEST_F(QueueServiceTest, MessageArrivesWithAllThatWasSent) {
  CreateQueue("orders");
  v1::SendMessageEntry entry = Entry("two espressos");
  v1::MessageAttributeValue& table = (*entry.mutable_attributes())["table"];
  table.set_data_type("Number.int");
  table.set_string_value("7");
  v1::MessageAttributeValue& raw = (*entry.mutable_attributes())["raw"];
  raw.set_data_type("Binary");
  raw.set_binary_value(std::string("\x00\xFF\x80", 3));
  entry.set_group_id("bar");
  entry.set_trace_header("Root=1-5759e988-bd862e3fe1be46a994272793");
  v1::SendMessageResponse sent;
  ASSERT_TRUE(Send("orders", {entry}, &sent).ok());
  ASSERT_THAT(sent.results(), SizeIs(1));
  EXPECT_EQ(sent.failed(), 0);
  EXPECT_FALSE(sent.results(0).has_error());

  const std::vector<v1::Message> received = Receive("orders");
  ASSERT_THAT(received, SizeIs(1));
  const v1::Message& message = received[0];
  EXPECT_EQ(message.message_id(), sent.results(0).message_id());
  EXPECT_THAT(message.message_id(), SizeIs(36));
  EXPECT_EQ(message.body(), "two espressos");
  EXPECT_EQ(message.attributes().at("table").data_type(), "Number.int");
  EXPECT_EQ(message.attributes().at("table").string_value(), "7");
  EXPECT_EQ(message.attributes().at("raw").binary_value(), raw.binary_value());
  EXPECT_EQ(message.group_id(), "bar");
  EXPECT_EQ(message.trace_header(), entry.trace_header());
  EXPECT_EQ(message.receive_count(), 1);
  EXPECT_EQ(message.sent_at().seconds(), absl::ToUnixSeconds(server_->manual_clock()->Now()));
  EXPECT_TRUE(message.has_first_received_at());
  EXPECT_FALSE(message.receipt_handle().empty());
  EXPECT_FALSE(message.has_sequence_number());
  EXPECT_FALSE(message.has_dead_letter_source());
}

TEST_F(QueueServiceTest, BinaryQueueTakesAnyByteAndTextQueueNamesTheOffset) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  CreateQueue("binary", {{"BodyCharset", "binary"}});
  ASSERT_TRUE(SendBody("binary", bytes).ok());
  const std::vector<v1::Message> received = Receive("binary");
  ASSERT_THAT(received, SizeIs(1));
  EXPECT_EQ(received[0].body(), bytes);

  CreateQueue("text");
  const grpc::Status refused = SendBody("text", "abc\x01");
  EXPECT_TRUE(FailedWith(refused, StatusCode::INVALID_ARGUMENT, "InvalidMessageContents"));
  EXPECT_THAT(refused.error_message(), HasSubstr("3"));
}

TEST_F(QueueServiceTest, OfSeveralEntriesAWrongOneFailsAlone) {
  CreateQueue("orders");
  v1::SendMessageEntry mismatched = Entry("kind");
  (*mismatched.mutable_attributes())["a"].set_data_type("Binary");
  (*mismatched.mutable_attributes())["a"].set_string_value("text");
  v1::SendMessageResponse response;
  ASSERT_TRUE(
      Send("orders", {Entry("first"), Entry(""), mismatched, Entry("last")}, &response).ok());
  ASSERT_THAT(response.results(), SizeIs(4));
  EXPECT_EQ(response.failed(), 2);
  EXPECT_FALSE(response.results(0).has_error());
  EXPECT_FALSE(response.results(3).has_error());
  const v1::Error& empty = response.results(1).error();
  EXPECT_EQ(empty.code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(empty.reason(), "MissingParameter");
  EXPECT_FALSE(empty.message().empty());
  EXPECT_EQ(empty.field(), "MessageBody");
  EXPECT_THAT(response.results(1).message_id(), IsEmpty());
  EXPECT_EQ(response.results(2).error().field(), "MessageAttributes.a");

  std::set<std::string> bodies;
  for (const v1::Message& message : Receive("orders")) bodies.insert(message.body());
  EXPECT_THAT(bodies, ElementsAre("first", "last"));
}

TEST_F(QueueServiceTest, TheErrorOfAnOnlyEntryIsTheCalls) {
  CreateQueue("orders");
  v1::SendMessageResponse response;
  EXPECT_TRUE(FailedWith(Send("orders", {Entry("")}, &response), StatusCode::INVALID_ARGUMENT,
                         "MissingParameter"));
  EXPECT_THAT(response.results(), IsEmpty());
}

TEST_F(QueueServiceTest, LongPollAnswersWithTheFirstMessage) {
  CreateQueue("orders");
  auto received =
      std::async(std::launch::async, [&] { return Receive("orders", 10, absl::Hours(1)); });
  ASSERT_TRUE(EventuallyParked(1));
  ASSERT_TRUE(SendBody("orders", "espresso").ok());
  EXPECT_THAT(received.get(), SizeIs(1));
}

TEST_F(QueueServiceTest, LongPollIsEmptyWhenItsWaitHasPassed) {
  CreateQueue("orders", {{"ReceiveMessageWaitTimeSeconds", "20"}});
  v1::ReceiveMessageRequest request;  // no wait: the queue's
  request.set_queue("orders");
  v1::ReceiveMessageResponse response;
  auto status = std::async(std::launch::async, [&] { return ReceiveStatus(request, &response); });
  ASSERT_TRUE(EventuallyParked(1));
  server_->manual_clock()->Advance(absl::Seconds(20));
  EXPECT_TRUE(status.get().ok());
  EXPECT_THAT(response.messages(), IsEmpty());
}

TEST_F(QueueServiceTest, DelayedMessageAppearsWhenItIsDue) {
  CreateQueue("orders");
  v1::SendMessageEntry entry = Entry("later");
  entry.mutable_delay()->set_nanos(500'000'000);
  ASSERT_TRUE(Send("orders", {entry}).ok());
  EXPECT_THAT(Receive("orders"), IsEmpty());
  server_->manual_clock()->Advance(absl::Milliseconds(500));
  EXPECT_THAT(Receive("orders", 1, absl::Seconds(1)), SizeIs(1));
}

TEST_F(QueueServiceTest, VisibilityTimeoutOfTheReceiveHidesTheMessage) {
  CreateQueue("orders");
  ASSERT_TRUE(SendBody("orders", "espresso").ok());
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  request.mutable_visibility_timeout()->set_seconds(5);
  v1::ReceiveMessageResponse response;
  ASSERT_TRUE(ReceiveStatus(request, &response).ok());
  ASSERT_THAT(response.messages(), SizeIs(1));
  EXPECT_THAT(Receive("orders"), IsEmpty());
  EXPECT_EQ(Attribute("orders", "ApproximateNumberOfMessagesNotVisible"), "1");
  server_->manual_clock()->Advance(absl::Seconds(5));
  const std::vector<v1::Message> again = Receive("orders", 1, absl::Seconds(1));
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].receive_count(), 2);
}

TEST_F(QueueServiceTest, DeleteSettlesEachHandleAlone) {
  CreateQueue("orders");
  CreateQueue("others");
  ASSERT_TRUE(SendBody("orders", "mine").ok());
  ASSERT_TRUE(SendBody("others", "foreign").ok());
  const std::string mine = Receive("orders")[0].receipt_handle();
  const std::string foreign = Receive("others")[0].receipt_handle();
  v1::DeleteMessageResponse response;
  ASSERT_TRUE(Delete("orders", {"garbage", mine, foreign, mine}, &response).ok());
  ASSERT_THAT(response.results(), SizeIs(4));
  EXPECT_EQ(response.failed(), 2);
  EXPECT_EQ(response.results(0).error().reason(), "ReceiptHandleIsInvalid");
  EXPECT_FALSE(response.results(1).has_error());
  EXPECT_EQ(response.results(2).error().reason(), "ReceiptHandleIsInvalid");
  EXPECT_FALSE(response.results(3).has_error());  // gone already: fine
  EXPECT_TRUE(FailedWith(Delete("orders", {"garbage"}), StatusCode::INVALID_ARGUMENT,
                         "ReceiptHandleIsInvalid"));
  server_->manual_clock()->Advance(absl::Hours(1));
  EXPECT_THAT(Receive("orders"), IsEmpty());
  EXPECT_THAT(Receive("others", 1, absl::Seconds(1)), SizeIs(1));
}

TEST_F(QueueServiceTest, ChangeMessageVisibilityToZeroMakesVisibleAtOnce) {
  CreateQueue("orders");
  ASSERT_TRUE(SendBody("orders", "espresso").ok());
  const std::string handle = Receive("orders")[0].receipt_handle();
  v1::ChangeMessageVisibilityRequest request;
  request.set_queue("orders");
  request.add_entries()->set_receipt_handle(handle);
  v1::ChangeMessageVisibilityResponse response;
  EXPECT_TRUE(FailedWith(stub_->ChangeMessageVisibility(Context().get(), request, &response),
                         StatusCode::INVALID_ARGUMENT, "MissingParameter"));
  EXPECT_THAT(Receive("orders"), IsEmpty());
  request.mutable_entries(0)->mutable_visibility_timeout()->set_seconds(0);
  ASSERT_TRUE(stub_->ChangeMessageVisibility(Context().get(), request, &response).ok());
  EXPECT_EQ(response.failed(), 0);
  EXPECT_THAT(Receive("orders", 1, absl::Seconds(1)), SizeIs(1));
}

TEST_F(QueueServiceTest, ChangeMessageVisibilityOfSeveralNamesTheWrongOnes) {
  CreateQueue("orders");
  ASSERT_TRUE(Send("orders", {Entry("a"), Entry("b")}).ok());
  const std::vector<v1::Message> received = Receive("orders");
  ASSERT_THAT(received, SizeIs(2));
  ASSERT_TRUE(Delete("orders", {received[1].receipt_handle()}).ok());
  v1::ChangeMessageVisibilityRequest request;
  request.set_queue("orders");
  const auto add = [&](const std::string& handle, int64_t seconds) {
    v1::ChangeMessageVisibilityEntry& entry = *request.add_entries();
    entry.set_receipt_handle(handle);
    entry.mutable_visibility_timeout()->set_seconds(seconds);
  };
  add(received[0].receipt_handle(), 43200);  // at the limit
  add(received[0].receipt_handle(), 43201);  // past it
  add(received[1].receipt_handle(), 10);     // gone
  add("garbage", 10);
  v1::ChangeMessageVisibilityResponse response;
  ASSERT_TRUE(stub_->ChangeMessageVisibility(Context().get(), request, &response).ok());
  ASSERT_THAT(response.results(), SizeIs(4));
  EXPECT_EQ(response.failed(), 3);
  EXPECT_FALSE(response.results(0).has_error());
  EXPECT_EQ(response.results(1).error().reason(), "InvalidParameterValue");
  EXPECT_EQ(response.results(2).error().reason(), "InvalidParameterValue");
  EXPECT_EQ(response.results(3).error().reason(), "ReceiptHandleIsInvalid");
}

TEST_F(QueueServiceTest, PeekShowsEveryStateAndChangesNothing) {
  CreateQueue("orders");
  ASSERT_TRUE(SendBody("orders", "in flight").ok());
  ASSERT_THAT(Receive("orders"), SizeIs(1));
  v1::SendMessageEntry delayed = Entry("delayed");
  delayed.mutable_delay()->set_seconds(60);
  ASSERT_TRUE(Send("orders", {Entry("visible"), delayed}).ok());
  v1::PeekMessagesRequest request;
  request.set_queue("orders");
  v1::PeekMessagesResponse response;
  ASSERT_TRUE(stub_->PeekMessages(Context().get(), request, &response).ok());
  std::map<std::string, v1::PeekedMessage> by_body;
  for (const v1::PeekedMessage& peeked : response.messages()) {
    by_body[peeked.message().body()] = peeked;
  }
  ASSERT_THAT(by_body, SizeIs(3));
  EXPECT_EQ(by_body["in flight"].state(), v1::MESSAGE_STATE_IN_FLIGHT);
  EXPECT_TRUE(by_body["in flight"].has_visible_at());
  EXPECT_EQ(by_body["in flight"].message().receive_count(), 1);
  EXPECT_EQ(by_body["visible"].state(), v1::MESSAGE_STATE_VISIBLE);
  EXPECT_FALSE(by_body["visible"].has_visible_at());
  EXPECT_EQ(by_body["visible"].message().receive_count(), 0);
  EXPECT_FALSE(by_body["visible"].message().has_first_received_at());
  EXPECT_THAT(by_body["visible"].message().receipt_handle(), IsEmpty());
  EXPECT_EQ(by_body["delayed"].state(), v1::MESSAGE_STATE_DELAYED);
  EXPECT_EQ(by_body["delayed"].visible_at().seconds(),
            absl::ToUnixSeconds(server_->manual_clock()->Now() + absl::Seconds(60)));
  const std::vector<v1::Message> received = Receive("orders");
  ASSERT_THAT(received, SizeIs(1));
  EXPECT_EQ(received[0].receive_count(), 1);
}

TEST_F(QueueServiceTest, ExhaustedMessageIsInTheDeadLetterQueueWithItsSource) {
  CreateQueue("dead");
  CreateQueue(
      "orders",
      {{"RedrivePolicy",
        R"({"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1})"}});
  ASSERT_TRUE(SendBody("orders", "poison").ok());
  ASSERT_THAT(Receive("orders"), SizeIs(1));
  server_->manual_clock()->Advance(absl::Seconds(30));
  // The receive that would take it a second time moves it.
  std::vector<v1::Message> dead;
  ASSERT_TRUE(Eventually([&] {
    EXPECT_THAT(Receive("orders"), IsEmpty());
    dead = Receive("dead");
    return !dead.empty();
  }));
  EXPECT_EQ(dead[0].body(), "poison");
  EXPECT_EQ(dead[0].dead_letter_source(), "orders");
}

}  // namespace
}  // namespace barista::server
