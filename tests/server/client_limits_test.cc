// What one client may have at once: streams, receives that wait, and replies that it does not read.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/message.h"
#include "broker/server/access.h"
#include "tests/server/server_fixture.h"
#include "tests/server/token_file.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;

class ClientLimitsTest : public ServerTest {
 protected:
  using Consume = grpc::ClientReaderWriter<v1::ConsumeStreamRequest, v1::ConsumeStreamResponse>;

  void SetUp() override {}
  void StartWithTwoStreams() {
    WritePrivateFile(directory_ / "tokens.yaml",
                     absl::StrCat("tokens:\n  - {name: a, sha256: ", Sha256Hex("a-secret"),
                                  ", admin: all}\n  - {name: b, sha256: ", Sha256Hex("b-secret"),
                                  ", admin: all}\n"));
    ServerOptions options = Options();
    options.security.token_file = directory_ / "tokens.yaml";
    options.security.max_client_streams = 2;
    Start(options);
    ASSERT_TRUE(server_->broker().CreateQueue("orders").ok());
  }
  static std::unique_ptr<grpc::ClientContext> As(const std::string& name) {
    auto context = Context();
    context->AddMetadata("authorization", absl::StrCat("Bearer ", name, "-secret"));
    return context;
  }

  // A stream of the token's that has begun, which the server keeps until it is dropped.
  struct Stream {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<Consume> stream;
    ~Stream() { context->TryCancel(); }
  };
  std::unique_ptr<Stream> Open(const std::string& name) {
    auto opened = std::make_unique<Stream>();
    opened->context = As(name);
    opened->stream = stub_->ConsumeStream(opened->context.get());
    v1::ConsumeStreamRequest request;
    request.mutable_start()->set_queue("orders");
    EXPECT_TRUE(opened->stream->Write(request));
    v1::ConsumeStreamResponse response;
    EXPECT_TRUE(opened->stream->Read(&response));  // it is settled
    return opened;
  }
  grpc::Status WaitingReceive(const std::string& name, int64_t seconds) {
    v1::ReceiveMessageRequest request;
    request.set_queue("orders");
    request.mutable_wait()->set_seconds(seconds);
    v1::ReceiveMessageResponse response;
    return stub_->ReceiveMessage(As(name).get(), request, &response);
  }

  static void ExpectTooMany(const grpc::Status& status) {
    EXPECT_TRUE(FailedWith(status, StatusCode::RESOURCE_EXHAUSTED, "TooManyStreams"));
    EXPECT_EQ(DetailsOf(status).field, "max_client_streams");
    EXPECT_EQ(DetailsOf(status).value, "3");
    EXPECT_EQ(DetailsOf(status).limit, "2");
    EXPECT_THAT(status.error_message(), HasSubstr("token a has 2 streams"));
  }

  const TemporaryDirectory directory_;
};

TEST_F(ClientLimitsTest, StreamTooManyIsRefusedUntilOneEnds) {
  StartWithTwoStreams();
  auto first = Open("a");
  const auto second = Open("a");
  ExpectTooMany(stub_->ConsumeStream(As("a").get())->Finish());
  const auto context = As("a");
  ExpectTooMany(stub_->SendStream(context.get())->Finish());
  const auto other = Open("b");
  first.reset();
  EXPECT_TRUE(Eventually([&] {
    const auto again = As("a");
    const auto stream = stub_->SendStream(again.get());
    stream->WritesDone();
    return stream->Finish().ok();
  }));
}

TEST_F(ClientLimitsTest, ReceiveThatHasToWaitCountsAndOneThatHasNotDoesNot) {
  StartWithTwoStreams();
  const auto first = Open("a");
  auto waiting = std::async(std::launch::async, [this] { return WaitingReceive("a", 20); });
  ASSERT_TRUE(EventuallyParked(1));
  ExpectTooMany(WaitingReceive("a", 20));
  EXPECT_TRUE(WaitingReceive("a", 0).ok());
  ExpectTooMany(stub_->ConsumeStream(As("a").get())->Finish());

  ASSERT_TRUE(server_->broker().GetQueue("orders")->Send({.body = "espresso"}).ok());
  EXPECT_TRUE(waiting.get().ok());
  auto again = std::async(std::launch::async, [this] { return WaitingReceive("a", 20); });
  ASSERT_TRUE(EventuallyParked(1));
  // The refused receive has taken nothing, and what comes now is for who waits.
  ASSERT_TRUE(server_->broker().GetQueue("orders")->Send({.body = "ristretto"}).ok());
  EXPECT_TRUE(again.get().ok());
  const auto described = server_->broker().GetQueue("orders")->Describe();
  EXPECT_EQ(described->in_flight, 2);
}

// A unary call as a stream, so that its reply is not read unless it is asked for.
template <typename Request, typename Response>
class Unread final : public grpc::ClientBidiReactor<Request, Response> {
 public:
  Unread(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
         const Request& request)
      : stub_(channel), request_(request) {
    stub_.PrepareBidiStreamingCall(&context_, "/barista.v1.QueueService/" + method, {}, this);
    this->StartWriteLast(&request_, grpc::WriteOptions());
    this->StartCall();
  }
  ~Unread() override {
    context_.TryCancel();
    done_.get_future().wait();
  }
  void Read() { this->StartRead(&response_); }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    ended_.store(true, std::memory_order_release);
    done_.set_value();  // nothing is touched after it
  }
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  // Of a call that has ended.
  const grpc::Status& status() const { return status_; }

 private:
  grpc::TemplatedGenericStub<Request, Response> stub_;
  grpc::ClientContext context_;
  Request request_;
  Response response_;
  grpc::Status status_;
  std::promise<void> done_;
  // OnDone stores it after status_, the test loads it before it reads that.
  std::atomic<bool> ended_{false};
};

class UnreadRepliesTest : public ServerTest {
 protected:
  static constexpr int kReply = 3;  // messages of 1 MiB
  static constexpr int kFull = static_cast<int>(Access::kMaxClientReplyBytes / (kReply << 20));

  void SetUp() override {
    ServerTest::SetUp();
    CreateQueue("orders");
    for (int i = 0; i < kReply * (kFull + 10); ++i) {
      ASSERT_TRUE(SendBody("orders", std::string(kMaxMessageBytes, 'm')).ok());
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    unread_ = grpc::CreateCustomChannel(server_->grpc_address(), grpc::InsecureChannelCredentials(),
                                        arguments);
  }
  int InFlight() {
    return static_cast<int>(server_->broker().GetQueue("orders")->Describe()->in_flight);
  }

  std::shared_ptr<grpc::Channel> unread_;
};

TEST_F(UnreadRepliesTest, OfReceivesAreBoundedAndWhatIsRefusedGoesBack) {
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  request.set_max_messages(kReply);
  using Call = Unread<v1::ReceiveMessageRequest, v1::ReceiveMessageResponse>;
  std::deque<Call> calls;
  for (int i = 0; i < kFull + 5; ++i) calls.emplace_back(unread_, "ReceiveMessage", request);
  // Those that were refused have ended without being read.
  ASSERT_TRUE(Eventually([&] {
    return std::count_if(calls.begin(), calls.end(), [](const Call& c) { return c.ended(); }) == 5;
  }));
  for (const Call& call : calls) {
    if (!call.ended()) continue;
    EXPECT_TRUE(FailedWith(call.status(), StatusCode::RESOURCE_EXHAUSTED, "TooManyReplyBytes"));
    EXPECT_EQ(DetailsOf(call.status()).limit, absl::StrCat(Access::kMaxClientReplyBytes));
  }
  EXPECT_TRUE(Eventually([&] { return InFlight() == kReply * kFull; }));
  // What is read makes room, what is given up too, and its messages are there again.
  for (Call& call : calls) {
    if (!call.ended()) call.Read();
  }
  for (Call& call : calls) EXPECT_TRUE(Eventually([&] { return call.ended(); }));
  EXPECT_EQ(Receive("orders", kReply).size(), static_cast<size_t>(kReply));
}

TEST_F(UnreadRepliesTest, OfPeeksAreBounded) {
  v1::PeekMessagesRequest request;
  request.set_queue("orders");
  request.set_max_messages(kReply);
  using Call = Unread<v1::PeekMessagesRequest, v1::PeekMessagesResponse>;
  std::deque<Call> calls;
  for (int i = 0; i < kFull + 5; ++i) calls.emplace_back(unread_, "PeekMessages", request);
  ASSERT_TRUE(Eventually([&] {
    return std::count_if(calls.begin(), calls.end(), [](const Call& c) { return c.ended(); }) == 5;
  }));
  for (const Call& call : calls) {
    if (call.ended()) {
      EXPECT_TRUE(FailedWith(call.status(), StatusCode::RESOURCE_EXHAUSTED, "TooManyReplyBytes"));
    }
  }
  calls.clear();
  EXPECT_TRUE(Eventually([&] {
    v1::PeekMessagesResponse response;
    return stub_->PeekMessages(Context().get(), request, &response).ok();
  }));
}

}  // namespace
}  // namespace barista::server
