// A ReceiveMessage that ends before its reply has left takes nothing.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/relay.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A receive of up to ten messages that waits for an hour, on a thread of its own.
class WaitingReceive {
 public:
  WaitingReceive(v1::QueueService::Stub* stub, const std::string& queue,
                 absl::Duration deadline = kPatience) {
    context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(deadline));
    request_.set_queue(queue);
    request_.set_max_messages(10);
    request_.mutable_wait()->set_seconds(3600);
    thread_ = std::thread(
        [this, stub] { status_ = stub->ReceiveMessage(&context_, request_, &response_); });
  }
  ~WaitingReceive() {
    if (thread_.joinable()) thread_.join();
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Join() {
    thread_.join();
    return status_;
  }
  const v1::ReceiveMessageResponse& response() const { return response_; }

 private:
  grpc::ClientContext context_;
  v1::ReceiveMessageRequest request_;
  v1::ReceiveMessageResponse response_;
  grpc::Status status_;
  std::thread thread_;
};

class ReceiveCallTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    CreateQueue("orders");
  }
  // Sends a message and expects that the next receive is its first.
  void ExpectUntouched() {
    ASSERT_TRUE(SendBody("orders", "espresso").ok());
    const std::vector<v1::Message> received = Receive("orders", 1, absl::Seconds(1));
    ASSERT_THAT(received, SizeIs(1));
    EXPECT_EQ(received[0].receive_count(), 1);
    EXPECT_EQ(Attribute("orders", "ApproximateNumberOfMessagesNotVisible"), "1");
  }
};

TEST_F(ReceiveCallTest, CancelledWhileItWaitsTakesNothing) {
  WaitingReceive receive(stub_.get(), "orders");
  ASSERT_TRUE(EventuallyParked(1));
  receive.Cancel();
  EXPECT_EQ(receive.Join().error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(EventuallyParked(0));
  ExpectUntouched();
}

TEST_F(ReceiveCallTest, PastItsDeadlineTakesNothing) {
  WaitingReceive receive(stub_.get(), "orders", absl::Milliseconds(50));
  EXPECT_EQ(receive.Join().error_code(), StatusCode::DEADLINE_EXCEEDED);
  ExpectUntouched();
  EXPECT_TRUE(EventuallyParked(0));
}

TEST_F(ReceiveCallTest, OfABrokenConnectionTakesNothing) {
  Relay relay(server_->grpc_address());
  const auto channel = grpc::CreateChannel(relay.address(), grpc::InsecureChannelCredentials());
  const auto stub = v1::QueueService::NewStub(channel);
  WaitingReceive receive(stub.get(), "orders");
  ASSERT_TRUE(EventuallyParked(1));
  relay.Cut();
  EXPECT_EQ(receive.Join().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(EventuallyParked(0));
  ExpectUntouched();
}

// The client opens its window for 64 KiB and then cancels: the reply was built and could not leave.
TEST_F(ReceiveCallTest, WhoseReplyCouldNotLeavePutsItsMessagesBack) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(SendBody("orders", std::string(1 << 20, 'x')).ok());
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  grpc::GenericStub stub(grpc::CreateCustomChannel(server_->grpc_address(),
                                                   grpc::InsecureChannelCredentials(), arguments));
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  request.set_max_messages(3);
  const std::string bytes = request.SerializeAsString();
  grpc::Slice slice(bytes);
  const std::unique_ptr<grpc::ClientContext> context = Context();
  grpc::CompletionQueue queue;
  const auto call =
      stub.PrepareCall(context.get(), "/barista.v1.QueueService/ReceiveMessage", &queue);
  void* tag = nullptr;
  bool ok = false;
  call->StartCall(&tag);
  queue.Next(&tag, &ok);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, &tag);
  queue.Next(&tag, &ok);
  const auto in_flight = [&] {
    return server_->broker().GetQueue("orders")->Describe()->in_flight;
  };
  ASSERT_TRUE(Eventually([&] { return in_flight() == 3; }));
  context->TryCancel();
  grpc::Status status;
  call->Finish(&status, &tag);
  queue.Next(&tag, &ok);
  EXPECT_EQ(status.error_code(), StatusCode::CANCELLED);
  ASSERT_TRUE(Eventually([&] { return in_flight() == 0; }));
  const std::vector<v1::Message> received = Receive("orders", 3);
  ASSERT_THAT(received, SizeIs(3));
  for (const v1::Message& message : received) EXPECT_EQ(message.receive_count(), 1);
}

// A cancel races a send again and again: each message is in the reply, or untouched, or was on its
// way when the cancel came.
TEST_F(ReceiveCallTest, CancelThatRacesASendLosesNothing) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  int replied = 0, untouched = 0, on_the_way = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    WaitingReceive receive(stub_.get(), "orders");
    ASSERT_TRUE(EventuallyParked(1));
    std::atomic<bool> go = false;
    std::thread canceller([&, spins = random() % 100000] {
      while (!go.load()) std::this_thread::yield();
      for (unsigned i = 0; i < spins; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
      receive.Cancel();
    });
    go.store(true);
    const grpc::Status sent = SendBody("orders", "espresso");
    canceller.join();
    const grpc::Status status = receive.Join();
    ASSERT_TRUE(sent.ok()) << sent.error_message();
    ASSERT_TRUE(EventuallyParked(0));
    std::string handle;
    if (status.ok()) {
      ASSERT_THAT(receive.response().messages(), SizeIs(1));
      handle = receive.response().messages(0).receipt_handle();
      ++replied;
    } else {
      ASSERT_EQ(status.error_code(), StatusCode::CANCELLED);
      server_->manual_clock()->Advance(absl::Seconds(30));
      const std::vector<v1::Message> received = Receive("orders", 1, absl::Seconds(1));
      ASSERT_THAT(received, SizeIs(1)) << "round " << round;
      ++(received[0].receive_count() == 1 ? untouched : on_the_way);
      ASSERT_LE(received[0].receive_count(), 2) << "round " << round;
      handle = received[0].receipt_handle();
    }
    ASSERT_TRUE(Delete("orders", {handle}).ok());
  }
  std::printf("replied %d, untouched %d, on the way %d\n", replied, untouched, on_the_way);
  EXPECT_EQ(Attribute("orders", "ApproximateNumberOfMessages"), "0");
  EXPECT_EQ(Attribute("orders", "ApproximateNumberOfMessagesNotVisible"), "0");
}

TEST_F(ReceiveCallTest, DrainAnswersThoseThatWaitWithoutMessages) {
  WaitingReceive first(stub_.get(), "orders"), second(stub_.get(), "orders");
  ASSERT_TRUE(EventuallyParked(2));
  server_->Drain();
  EXPECT_TRUE(first.Join().ok());
  EXPECT_TRUE(second.Join().ok());
  EXPECT_THAT(first.response().messages(), IsEmpty());
  EXPECT_THAT(second.response().messages(), IsEmpty());
  // A draining server still takes and hands out messages, but no longer lets receives wait.
  ExpectUntouched();
  EXPECT_THAT(Receive("orders", 1, absl::Hours(1)), IsEmpty());
}

TEST_F(ReceiveCallTest, AThousandWaitAtOnceAndAllAreServed) {
  constexpr int kReceives = 1000;
  struct Call {
    grpc::ClientContext context;
    v1::ReceiveMessageRequest request;
    v1::ReceiveMessageResponse response;
  };
  std::vector<std::unique_ptr<Call>> calls;
  std::atomic<int> served = 0;
  for (int i = 0; i < kReceives; ++i) {
    auto call = std::make_unique<Call>();
    call->context.set_deadline(std::chrono::system_clock::now() +
                               absl::ToChronoMilliseconds(2 * kPatience));
    call->request.set_queue("orders");
    call->request.mutable_wait()->set_seconds(3600);
    stub_->async()->ReceiveMessage(&call->context, &call->request, &call->response,
                                   [&served, raw = call.get()](const grpc::Status& status) {
                                     if (status.ok() && raw->response.messages_size() == 1)
                                       ++served;
                                   });
    calls.push_back(std::move(call));
  }
  ASSERT_TRUE(EventuallyParked(kReceives));
  ASSERT_TRUE(Send("orders", std::vector<v1::SendMessageEntry>(kReceives, Entry("x"))).ok());
  EXPECT_TRUE(Eventually([&] { return served.load() == kReceives; })) << served.load();
}

}  // namespace
}  // namespace barista::server
