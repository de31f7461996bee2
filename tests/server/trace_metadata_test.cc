// A trace context on its way from the metadata of a call into messages.
#include "broker/server/trace_metadata.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/trace_context.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

constexpr char kParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kOtherParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01";
// What a traceparent adds to the size of a message.
constexpr size_t kParentSize = sizeof("traceparent") - 1 + sizeof("String") - 1 + 55;

std::optional<TraceContext> Read(const std::vector<std::pair<const char*, const char*>>& metadata) {
  std::multimap<grpc::string_ref, grpc::string_ref> map;
  for (const auto& [key, value] : metadata) map.emplace(key, value);
  return TraceContextOf(map);
}

std::vector<std::string> Names(const OutgoingMessage& message) {
  std::vector<std::string> names;
  for (const auto& [name, value] : message.attributes) names.push_back(name);
  return names;
}

TEST(TraceMetadataTest, ContextIsRead) {
  const auto context = Read({{"traceparent", kParent}, {"tracestate", "a=1"}, {"other", "x"}});
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->traceparent, kParent);
  EXPECT_EQ(context->tracestate, "a=1");
  EXPECT_EQ(
      Read({{"traceparent", kParent}, {"tracestate", "a=1"}, {"tracestate", "b=2"}})->tracestate,
      "a=1,b=2");
}

TEST(TraceMetadataTest, WhatIsMalformedIsNone) {
  EXPECT_FALSE(Read({}).has_value());
  EXPECT_FALSE(Read({{"traceparent", "00-0-0-01"}}).has_value());
  EXPECT_FALSE(Read({{"traceparent", kParent}, {"traceparent", kOtherParent}}).has_value());
  EXPECT_FALSE(Read({{"tracestate", "a=1"}}).has_value());
  EXPECT_EQ(Read({{"traceparent", kParent}, {"tracestate", "\x01"}})->tracestate, "");
}

TEST(TraceMetadataTest, MessageThatHasAContextKeepsIt) {
  std::vector<OutgoingMessage> messages(2, OutgoingMessage{.body = "x"});
  messages[1].attributes = {{"traceparent", kOtherParent}};
  AddTraceContext({kParent, "a=1"}, kMaxMessageBytes, &messages);
  EXPECT_EQ(Names(messages[0]), (std::vector<std::string>{"traceparent", "tracestate"}));
  EXPECT_EQ(messages[0].attributes[0].second, MessageAttribute(kParent));
  EXPECT_EQ(messages[0].attributes[1].second, MessageAttribute("a=1"));
  ASSERT_EQ(Names(messages[1]), (std::vector<std::string>{"traceparent"}));
  EXPECT_EQ(messages[1].attributes[0].second, MessageAttribute(kOtherParent));
}

TEST(TraceMetadataTest, ContextTakesNoAttributeTooMany) {
  std::vector<OutgoingMessage> messages(2, OutgoingMessage{.body = "x"});
  for (size_t i = 0; i < kMaxMessageAttributes; ++i) {
    messages[0].attributes.emplace_back(absl::StrCat("a", i), "1");
    if (i > 0) messages[1].attributes.emplace_back(absl::StrCat("a", i), "1");
  }
  AddTraceContext({kParent, "a=1"}, kMaxMessageBytes, &messages);
  EXPECT_EQ(messages[0].attributes.size(), kMaxMessageAttributes);
  EXPECT_EQ(Names(messages[0]).back(), "a9");
  EXPECT_EQ(messages[1].attributes.size(), kMaxMessageAttributes);
  EXPECT_EQ(Names(messages[1]).back(), "traceparent");  // and no tracestate
}

TEST(TraceMetadataTest, ContextMakesNoMessageTooLarge) {
  const std::string fits(1024 - kParentSize, 'x');
  const std::string larger(1024 - kParentSize + 1, 'x');
  std::vector<OutgoingMessage> messages = {{.body = fits}, {.body = larger}};
  AddTraceContext({kParent, ""}, 1024, &messages);
  EXPECT_EQ(messages[0].attributes.size(), 1u);
  EXPECT_EQ(messages[1].attributes.size(), 0u);
}

TEST(TraceMetadataTest, ContextMakesNoBatchTooLarge) {
  // Room for the context of two of the four.
  const std::string body(kMaxBatchBytes / 4 - kParentSize / 2, 'x');
  std::vector<OutgoingMessage> messages(4, OutgoingMessage{.body = body});
  AddTraceContext({kParent, ""}, kMaxBatchBytes, &messages);
  size_t bytes = 0;
  size_t with_context = 0;
  for (const OutgoingMessage& message : messages) {
    bytes += MessageSize(message);
    with_context += message.attributes.size();
  }
  EXPECT_LE(bytes, kMaxBatchBytes);
  EXPECT_EQ(with_context, 2u);
}

class TraceTest : public ServerTest {};

TEST_F(TraceTest, ContextOfTheCallReachesTheReceiver) {
  CreateQueue("orders");
  v1::SendMessageRequest request;
  request.set_queue("orders");
  *request.add_entries() = Entry("espresso");
  const auto context = Context();
  context->AddMetadata("traceparent", kParent);
  context->AddMetadata("tracestate", "vendor=42");
  v1::SendMessageResponse response;
  ASSERT_TRUE(stub_->SendMessage(context.get(), request, &response).ok());
  const std::vector<v1::Message> received = Receive("orders");
  ASSERT_EQ(received.size(), 1u);
  ASSERT_EQ(received[0].attributes().size(), 2u);
  EXPECT_EQ(received[0].attributes().at("traceparent").data_type(), "String");
  EXPECT_EQ(received[0].attributes().at("traceparent").string_value(), kParent);
  EXPECT_EQ(received[0].attributes().at("tracestate").string_value(), "vendor=42");
}

TEST_F(TraceTest, MessageAtTheLimitOfItsQueueIsSentWithoutContext) {
  CreateQueue("small", {{"MaximumMessageSize", "1024"}});
  v1::SendMessageRequest request;
  request.set_queue("small");
  *request.add_entries() = Entry(std::string(1024, 'x'));
  const auto context = Context();
  context->AddMetadata("traceparent", kParent);
  v1::SendMessageResponse response;
  ASSERT_TRUE(stub_->SendMessage(context.get(), request, &response).ok());
  const std::vector<v1::Message> received = Receive("small");
  ASSERT_EQ(received.size(), 1u);
  EXPECT_TRUE(received[0].attributes().empty());
}

}  // namespace
}  // namespace barista::server
