// A ReceiveMessage that ends before its reply has left takes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

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

TEST_F(ReceiveCallTest, OfAClientThatIsGoneTakesNothing) {
  WaitingReceive receive(stub_.get(), "orders");
  ASSERT_TRUE(EventuallyParked(1));
  // Another connection stays; the first one breaks with its call.
  receive.Cancel();
  receive.Join();
  stub_.reset();
  channel_.reset();
  EXPECT_TRUE(EventuallyParked(0));
  EXPECT_EQ(server_->broker().GetQueue("orders")->Describe()->in_flight, 0);
}

// A cancel races a send again and again: each message is either in the reply or untouched.
TEST_F(ReceiveCallTest, CancelThatRacesASendLosesAndCountsNothing) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  int replied = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    WaitingReceive receive(stub_.get(), "orders");
    ASSERT_TRUE(EventuallyParked(1));
    std::atomic<bool> go = false;
    std::thread canceller([&, spins = random() % 4000] {
      while (!go.load()) std::this_thread::yield();
      for (volatile unsigned i = 0; i < spins; i = i + 1) {
      }
      receive.Cancel();
    });
    go.store(true);
    const grpc::Status sent = SendBody("orders", "espresso");
    canceller.join();
    const grpc::Status status = receive.Join();
    ASSERT_TRUE(sent.ok()) << sent.error_message();
    std::string handle;
    if (status.ok()) {
      ASSERT_THAT(receive.response().messages(), SizeIs(1));
      handle = receive.response().messages(0).receipt_handle();
      ++replied;
    } else {
      ASSERT_EQ(status.error_code(), StatusCode::CANCELLED);
      // Back at the latest when the server knows that the call is gone.
      const std::vector<v1::Message> received = Receive("orders", 1, absl::Seconds(1));
      ASSERT_THAT(received, SizeIs(1)) << "round " << round;
      EXPECT_EQ(received[0].receive_count(), 1) << "round " << round;
      handle = received[0].receipt_handle();
    }
    ASSERT_TRUE(Delete("orders", {handle}).ok());
    ASSERT_TRUE(EventuallyParked(0));
  }
  std::printf("%d of %d cancels came too late\n", replied, kRounds);
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
