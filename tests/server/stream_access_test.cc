// Streams ask for a token when they begin, and for a role on each queue that they name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/server/server_fixture.h"
#include "tests/server/token_file.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;

class StreamAccessTest : public ServerTest {
 protected:
  void SetUp() override {
    WriteTokens("shop");
    ServerOptions options = Options();
    options.security.token_file = directory_ / "tokens.yaml";
    Start(options);
    for (const char* queue : {"orders", "bank"}) {
      ASSERT_TRUE(server_->broker().CreateQueue(queue).ok());
    }
  }

  // `sender` may send to orders, kitchen may receive from it.
  void WriteTokens(const std::string& sender) {
    WritePrivateFile(
        directory_ / "tokens.yaml",
        absl::StrCat("tokens:\n  - {name: ", sender, ", sha256: ", Sha256Hex(sender + "-secret"),
                     ", send: [orders]}\n", "  - {name: kitchen, sha256: ",
                     Sha256Hex("kitchen-secret"), ", receive: [orders]}\n"));
  }

  // A context of kPatience with the token NAME-secret, or none.
  static std::unique_ptr<grpc::ClientContext> As(const std::string& name) {
    auto context = Context();
    if (!name.empty()) context->AddMetadata("authorization", "Bearer " + name + "-secret");
    return context;
  }

  static v1::SendStreamRequest Batch(const std::string& queue, const std::string& body) {
    v1::SendStreamRequest request;
    request.set_queue(queue);
    *request.add_entries() = Entry(body);
    return request;
  }
  static v1::ConsumeStreamRequest Begin(const std::string& queue) {
    v1::ConsumeStreamRequest request;
    request.mutable_start()->set_queue(queue);
    request.set_credit(1);
    return request;
  }

  // How a stream ends that sends one message to `queue`.
  grpc::Status SendStatus(const std::string& name, const std::string& queue) {
    const auto context = As(name);
    const auto stream = stub_->SendStream(context.get());
    stream->Write(Batch(queue, "espresso"));
    stream->WritesDone();
    v1::SendStreamResponse response;
    while (stream->Read(&response)) continue;
    return stream->Finish();
  }
  // How a stream ends that consumes from `queue` and is closed after its first response.
  grpc::Status ConsumeStatus(const std::string& name, const std::string& queue) {
    const auto context = As(name);
    const auto stream = stub_->ConsumeStream(context.get());
    stream->Write(Begin(queue));
    v1::ConsumeStreamResponse response;
    stream->Read(&response);
    stream->WritesDone();
    while (stream->Read(&response)) continue;
    return stream->Finish();
  }

  int64_t Visible(const std::string& queue) {
    return server_->broker().GetQueue(queue)->Describe()->visible;
  }

  const TemporaryDirectory directory_;
};

TEST_F(StreamAccessTest, BeginsWithAKnownTokenOnly) {
  for (const auto& [name, reason] : {std::pair("", "MissingAuthenticationToken"),
                                     std::pair("stranger", "InvalidClientTokenId")}) {
    // Without a request: nothing has to be named to be refused.
    const auto sending = As(name);
    EXPECT_TRUE(FailedWith(stub_->SendStream(sending.get())->Finish(), StatusCode::UNAUTHENTICATED,
                           reason));
    const auto consuming = As(name);
    EXPECT_TRUE(FailedWith(stub_->ConsumeStream(consuming.get())->Finish(),
                           StatusCode::UNAUTHENTICATED, reason));
  }
}

TEST_F(StreamAccessTest, EachRoleHasItsStream) {
  const grpc::Status sent = SendStatus("shop", "orders");
  EXPECT_TRUE(sent.ok()) << sent.error_message();
  EXPECT_EQ(Visible("orders"), 1);
  const grpc::Status consumed = ConsumeStatus("kitchen", "orders");
  EXPECT_TRUE(consumed.ok()) << consumed.error_message();

  const grpc::Status wrong_sender = SendStatus("kitchen", "orders");
  EXPECT_TRUE(FailedWith(wrong_sender, StatusCode::PERMISSION_DENIED, "AccessDenied"));
  EXPECT_THAT(wrong_sender.error_message(), HasSubstr("SendStream on queue orders"));
  const grpc::Status wrong_consumer = ConsumeStatus("shop", "orders");
  EXPECT_TRUE(FailedWith(wrong_consumer, StatusCode::PERMISSION_DENIED, "AccessDenied"));
  EXPECT_THAT(wrong_consumer.error_message(), HasSubstr("ConsumeStream on queue orders"));
  EXPECT_EQ(Visible("orders"), 1);
  EXPECT_TRUE(
      FailedWith(SendStatus("shop", "bank"), StatusCode::PERMISSION_DENIED, "AccessDenied"));
  EXPECT_EQ(Visible("bank"), 0);
}

TEST_F(StreamAccessTest, QueueThatMayNotBeUsedEndsTheStreamAfterWhatWasBeforeIt) {
  const auto context = As("shop");
  const auto stream = stub_->SendStream(context.get());
  ASSERT_TRUE(stream->Write(Batch("orders", "espresso")));
  ASSERT_TRUE(stream->Write(Batch("bank", "a bill")));
  uint64_t settled = 0;
  v1::SendStreamResponse response;
  while (stream->Read(&response)) settled = response.settled();
  EXPECT_TRUE(FailedWith(stream->Finish(), StatusCode::PERMISSION_DENIED, "AccessDenied"));
  EXPECT_EQ(settled, 1u);
  EXPECT_EQ(Visible("orders"), 1);
  EXPECT_EQ(Visible("bank"), 0);
}

TEST_F(StreamAccessTest, OpenStreamGoesOnWithoutItsTokenUntilItNamesAnotherQueue) {
  const auto context = As("shop");
  const auto stream = stub_->SendStream(context.get());
  v1::SendStreamResponse response;
  ASSERT_TRUE(stream->Write(Batch("orders", "espresso")));
  ASSERT_TRUE(stream->Read(&response));
  WriteTokens("another-shop");
  ASSERT_TRUE(server_->Reload().ok());
  ASSERT_TRUE(stream->Write(Batch("", "ristretto")));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.settled(), 2u);
  ASSERT_TRUE(stream->Write(Batch("bank", "a bill")));
  while (stream->Read(&response)) continue;
  EXPECT_TRUE(FailedWith(stream->Finish(), StatusCode::UNAUTHENTICATED, "InvalidClientTokenId"));
}

}  // namespace
}  // namespace barista::server
