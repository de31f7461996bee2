#include "broker/server/consume_stream.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/clock.h"
#include "tests/server/relay.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Request = v1::ConsumeStreamRequest;
using Response = v1::ConsumeStreamResponse;

Request StartRequest(const std::string& queue, uint32_t credit) {
  Request request;
  request.mutable_start()->set_queue(queue);
  request.set_credit(credit);
  return request;
}
Request DeleteRequest(uint64_t first, uint64_t count = 1, uint32_t credit = 0) {
  Request request;
  v1::DeliveryRange* range = request.add_deletes();
  range->set_first(first);
  range->set_count(count);
  request.set_credit(credit);
  return request;
}

// The client's side of a stream.
class Consumer {
 public:
  Consumer(v1::QueueService::Stub* stub, const Request& first,
           absl::Duration deadline = 2 * kPatience) {
    context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(deadline));
    stream_ = stub->ConsumeStream(&context_);
    Write(first);
  }
  Consumer(v1::QueueService::Stub* stub, const std::string& queue, uint32_t credit)
      : Consumer(stub, StartRequest(queue, credit)) {}
  ~Consumer() {
    if (!finished_) Cancel();
  }

  bool Write(const Request& request) { return stream_->Write(request); }

  bool Read() {
    Response response;
    if (!stream_->Read(&response)) return false;
    EXPECT_GE(response.settled(), settled_);
    settled_ = response.settled();
    draining_ = response.draining();
    for (const auto& failure : response.failures()) failures_.push_back(failure);
    if (response.messages_size() > 0) {
      EXPECT_EQ(response.first_delivery(), messages_.size() + 1);
    }
    for (const auto& message : response.messages()) messages_.push_back(message);
    return true;
  }
  // Reads until so many have been delivered in all / so many requests are settled / the news of the
  // drain has come.
  bool ReadMessages(size_t count) {
    while (messages_.size() < count) {
      if (!Read()) return false;
    }
    return true;
  }
  bool ReadSettled(uint64_t requests) {
    while (settled_ < requests) {
      if (!Read()) return false;
    }
    return true;
  }
  bool ReadDraining() {
    while (!draining_) {
      if (!Read()) return false;
    }
    return true;
  }

  grpc::Status Finish() {
    finished_ = true;
    stream_->WritesDone();
    while (Read()) {
    }
    return stream_->Finish();
  }
  // As a client that is gone without a word.
  void Cancel() {
    finished_ = true;
    context_.TryCancel();
    stream_->Finish();
  }

  const std::vector<v1::Message>& messages() const { return messages_; }
  const std::vector<v1::StreamFailure>& failures() const { return failures_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
  std::vector<v1::Message> messages_;
  std::vector<v1::StreamFailure> failures_;
  uint64_t settled_ = 0;
  bool draining_ = false;
  bool finished_ = false;
};

class ConsumeStreamTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    CreateQueue("orders", {{"MaximumInFlightMessages", "1000000"}});
  }
  void SendMany(int count, const std::string& body = "espresso") {
    std::vector<v1::SendMessageEntry> entries;
    for (int sent = 0; sent < count; sent += 1000) {
      entries.assign(static_cast<size_t>(std::min(1000, count - sent)), Entry(body));
      ASSERT_TRUE(Send("orders", entries).ok());
    }
  }
  int Visible() { return std::stoi(Attribute("orders", "ApproximateNumberOfMessages")); }
  int InFlight() { return std::stoi(Attribute("orders", "ApproximateNumberOfMessagesNotVisible")); }
};

TEST_F(ConsumeStreamTest, DeliversWhatThereIsAndWhatComes) {
  SendMany(3);
  Consumer consumer(stub_.get(), "orders", 10);
  ASSERT_TRUE(consumer.ReadMessages(3));
  SendMany(2, "cortado");
  ASSERT_TRUE(consumer.ReadMessages(5));
  EXPECT_EQ(consumer.messages()[0].body(), "espresso");
  EXPECT_EQ(consumer.messages()[4].body(), "cortado");
  EXPECT_EQ(consumer.messages()[0].receive_count(), 1);
  EXPECT_EQ(consumer.messages()[0].receipt_handle(), "");
  EXPECT_EQ(InFlight(), 5);
}

TEST_F(ConsumeStreamTest, DeliversNoMoreThanTheCredit) {
  SendMany(100);
  Consumer consumer(stub_.get(), "orders", 7);
  ASSERT_TRUE(consumer.ReadMessages(7));
  // A request that is settled has been looked at; if there were credit, a frame had come before.
  ASSERT_TRUE(consumer.Write(DeleteRequest(1, 7)));
  ASSERT_TRUE(consumer.ReadSettled(2));
  EXPECT_THAT(consumer.messages(), SizeIs(7));
  EXPECT_EQ(InFlight(), 0);
  EXPECT_EQ(Visible(), 93);
  Request more;
  more.set_credit(3);
  ASSERT_TRUE(consumer.Write(more));
  ASSERT_TRUE(consumer.ReadMessages(10));
  EXPECT_EQ(InFlight(), 3);
}

TEST_F(ConsumeStreamTest, DeletedMessagesAreGone) {
  SendMany(2500);
  Consumer consumer(stub_.get(), "orders", 2500);
  ASSERT_TRUE(consumer.ReadMessages(2500));
  ASSERT_TRUE(consumer.Write(DeleteRequest(1, 2400)));
  ASSERT_TRUE(consumer.ReadSettled(2));
  EXPECT_EQ(InFlight(), 100);
  EXPECT_THAT(consumer.failures(), IsEmpty());
  EXPECT_TRUE(consumer.Finish().ok());
  EXPECT_EQ(Visible(), 100);
}

TEST_F(ConsumeStreamTest, EndOfAStreamReleasesWhatIsOpenAtOnce) {
  SendMany(10);
  const auto expect_released = [&](int receives) {
    ASSERT_TRUE(Eventually([&] { return Visible() == 10; }));
    std::vector<v1::Message> received = Receive("orders");
    ASSERT_THAT(received, SizeIs(10));
    EXPECT_EQ(received[0].receive_count(), receives) << "what has been delivered counts";
    for (const v1::Message& message : received) {
      ASSERT_TRUE(server_->broker()
                      .GetQueue("orders")
                      ->ChangeMessageVisibility(*ReceiptHandle::Parse(message.receipt_handle()),
                                                absl::ZeroDuration())
                      .ok());
    }
  };
  {
    Consumer consumer(stub_.get(), "orders", 100);
    ASSERT_TRUE(consumer.ReadMessages(10));
    EXPECT_TRUE(consumer.Finish().ok());
    expect_released(2);
  }
  {
    Consumer consumer(stub_.get(), "orders", 100);
    ASSERT_TRUE(consumer.ReadMessages(10));
    consumer.Cancel();
    expect_released(4);
  }
  Relay relay(server_->grpc_address());
  const auto channel = grpc::CreateChannel(relay.address(), grpc::InsecureChannelCredentials());
  const auto stub = v1::QueueService::NewStub(channel);
  Consumer consumer(stub.get(), "orders", 100);
  ASSERT_TRUE(consumer.ReadMessages(10));
  relay.Cut();
  expect_released(6);
}

TEST_F(ConsumeStreamTest, CancelledWhileItWaitsTakesNothing) {
  {
    Consumer consumer(stub_.get(), "orders", 100);
    ASSERT_TRUE(EventuallyParked(1));
  }
  EXPECT_TRUE(EventuallyParked(0));
  SendMany(1);
  EXPECT_EQ(Receive("orders")[0].receive_count(), 1);
}

TEST_F(ConsumeStreamTest, WhatNeverLeftIsReleasedUncounted) {
  SendMany(3, std::string(1 << 20, 'm'));
  {
    // Nobody reads: the first fills the window.
    const auto stub = StubOfFixedWindows();
    Consumer consumer(stub.get(), "orders", 3);
    ASSERT_TRUE(Eventually([&] { return InFlight() > 0; }));
    EXPECT_EQ(InFlight(), 1);
  }
  ASSERT_TRUE(Eventually([&] { return Visible() == 3; }));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Receive("orders", 1)[0].receive_count(), 1);
}

TEST_F(ConsumeStreamTest, ReleasedMessageIsVisibleAfterItsDelay) {
  SendMany(2);
  Consumer consumer(stub_.get(), "orders", 2);
  ASSERT_TRUE(consumer.ReadMessages(2));
  Request request;
  request.add_releases()->mutable_deliveries()->set_first(1);
  v1::DeliveryRelease* later = request.add_releases();
  later->mutable_deliveries()->set_first(2);
  later->mutable_delay()->set_seconds(600);
  ASSERT_TRUE(consumer.Write(request));
  ASSERT_TRUE(consumer.ReadSettled(2));
  EXPECT_EQ(Visible(), 1);
  // They are not the stream's any more.
  EXPECT_TRUE(consumer.Finish().ok());
  EXPECT_EQ(InFlight(), 1);
  server_->manual_clock()->Advance(absl::Seconds(600));
  EXPECT_TRUE(Eventually([&] { return Visible() == 2; }));
}

TEST_F(ConsumeStreamTest, ExtendedMessageStaysHiddenAndOpen) {
  SendMany(1);
  Consumer consumer(stub_.get(), "orders", 1);
  ASSERT_TRUE(consumer.ReadMessages(1));
  Request request;
  v1::DeliveryExtension* extension = request.add_extensions();
  extension->mutable_deliveries()->set_first(1);
  extension->mutable_visibility_timeout()->set_seconds(3600);
  ASSERT_TRUE(consumer.Write(request));
  ASSERT_TRUE(consumer.ReadSettled(2));
  server_->manual_clock()->Advance(absl::Seconds(3599));
  EXPECT_THAT(Receive("orders", 1, absl::ZeroDuration()), IsEmpty());
  ASSERT_TRUE(consumer.Write(DeleteRequest(1)));
  ASSERT_TRUE(consumer.ReadSettled(3));
  EXPECT_EQ(InFlight(), 0);
}

TEST_F(ConsumeStreamTest, MessageThatIsGoneFailsAloneByItsNumber) {
  SendMany(3);
  Consumer consumer(stub_.get(), "orders", 3);
  ASSERT_TRUE(consumer.ReadMessages(3));
  ASSERT_TRUE(server_->broker().GetQueue("orders")->Purge().ok());
  Request request;
  v1::DeliveryExtension* extension = request.add_extensions();
  extension->mutable_deliveries()->set_first(1);
  extension->mutable_deliveries()->set_count(2);
  extension->mutable_visibility_timeout()->set_seconds(60);
  ASSERT_TRUE(consumer.Write(request));
  ASSERT_TRUE(consumer.ReadSettled(2));
  uint64_t failed = 0;
  for (const v1::StreamFailure& failure : consumer.failures()) {
    EXPECT_EQ(failure.error().reason(), "InvalidParameterValue");
    failed += failure.count();
  }
  EXPECT_EQ(failed, 2u);
  EXPECT_TRUE(consumer.Finish().ok());
}

TEST_F(ConsumeStreamTest, ReceiptHandlesComeIfAskedForAndWorkElsewhere) {
  SendMany(1);
  Request request = StartRequest("orders", 1);
  request.mutable_start()->set_receipt_handles(true);
  Consumer consumer(stub_.get(), request);
  ASSERT_TRUE(consumer.ReadMessages(1));
  EXPECT_TRUE(Delete("orders", {consumer.messages()[0].receipt_handle()}).ok());
  EXPECT_EQ(InFlight(), 0);
  EXPECT_TRUE(consumer.Finish().ok());
  EXPECT_EQ(Visible(), 0);
}

TEST_F(ConsumeStreamTest, WrongRequestsEndTheStreamWithTheirReasonAndChangeNothing) {
  SendMany(2);
  const auto ends_with = [&](const std::vector<Request>& requests, StatusCode code,
                             const std::string& reason, const std::string& field) {
    Consumer consumer(stub_.get(), requests[0]);
    for (size_t i = 1; i < requests.size(); ++i) {
      // (Deliveries are there before they are named.)
      EXPECT_TRUE(consumer.ReadMessages(2));
      consumer.Write(requests[i]);
    }
    while (consumer.Read()) {
    }
    const grpc::Status status = consumer.Finish();
    EXPECT_TRUE(FailedWith(status, code, reason));
    EXPECT_EQ(DetailsOf(status).field, field);
    EXPECT_TRUE(Eventually([&] { return Visible() == 2; })) << reason << " " << field;
  };
  const StatusCode invalid = StatusCode::INVALID_ARGUMENT;
  const Request start = StartRequest("orders", 10);
  ends_with({Request()}, invalid, "MissingParameter", "start");
  ends_with({StartRequest("nobody", 1)}, StatusCode::NOT_FOUND, "QueueDoesNotExist", "QueueName");
  ends_with({StartRequest("orders", ConsumeStream::kMaxCredit + 1)}, invalid,
            "InvalidParameterValue", "credit");
  ends_with({start, start}, invalid, "InvalidParameterValue", "start");
  Request credit;
  credit.set_credit(ConsumeStream::kMaxCredit - 9);
  ends_with({start, credit}, invalid, "InvalidParameterValue", "credit");
  ends_with({start, DeleteRequest(3)}, invalid, "InvalidParameterValue", "first");
  ends_with({start, DeleteRequest(0)}, invalid, "InvalidParameterValue", "first");
  ends_with({start, DeleteRequest(1, 3)}, invalid, "InvalidParameterValue", "first");
  ends_with({start, DeleteRequest(1, ~uint64_t{0})}, invalid, "InvalidParameterValue", "count");
  Request twice = DeleteRequest(1, 2);
  twice.add_releases()->mutable_deliveries()->set_first(1);
  ends_with({start, twice}, invalid, "InvalidParameterValue", "first");
  Request late;
  late.add_releases()->mutable_deliveries()->set_first(1);
  late.mutable_releases(0)->mutable_delay()->set_seconds(43201);
  ends_with({start, late}, invalid, "InvalidParameterValue", "VisibilityTimeout");
  // The most that may be named, over all ranges.
  Request again_and_again;
  for (size_t i = 0; i <= ConsumeStream::kMaxNamed / 2; ++i) {
    v1::DeliveryExtension* extension = again_and_again.add_extensions();
    extension->mutable_deliveries()->set_first(1);
    extension->mutable_deliveries()->set_count(2);
    extension->mutable_visibility_timeout()->set_seconds(60);
  }
  ends_with({start, again_and_again}, invalid, "InvalidParameterValue", "count");
  Request nameless;
  nameless.add_extensions()->mutable_deliveries()->set_first(1);
  ends_with({start, nameless}, invalid, "MissingParameter", "VisibilityTimeout");
  Request long_timeout = start;
  long_timeout.mutable_start()->mutable_visibility_timeout()->set_seconds(43201);
  ends_with({long_timeout}, invalid, "InvalidParameterValue", "VisibilityTimeout");
  Request short_heartbeat = start;
  short_heartbeat.mutable_start()->set_heartbeat(true);
  short_heartbeat.mutable_start()->mutable_visibility_timeout()->set_nanos(999'000'000);
  ends_with({short_heartbeat}, invalid, "InvalidParameterValue", "VisibilityTimeout");
}

// All the credit there may be is used: what a request deletes makes room for its own credit.
TEST_F(ConsumeStreamTest, DeletesMakeRoomForCredit) {
  constexpr int kMax = ConsumeStream::kMaxCredit;
  SendMany(kMax + 1);
  Consumer consumer(stub_.get(), "orders", kMax);
  ASSERT_TRUE(consumer.ReadMessages(kMax));
  ASSERT_TRUE(consumer.Write(DeleteRequest(1, 1, /*credit=*/1)));
  ASSERT_TRUE(consumer.ReadMessages(kMax + 1));
}

// A lease that lapsed is another's to have.
TEST_F(ConsumeStreamTest, WhatAnotherHasReceivedSinceIsNeitherReleasedNorExtended) {
  SendMany(3);
  Consumer consumer(stub_.get(), "orders", 3);
  ASSERT_TRUE(consumer.ReadMessages(3));
  server_->manual_clock()->Advance(absl::Seconds(30));
  ASSERT_TRUE(Eventually([&] { return Visible() == 3; }));
  ASSERT_THAT(Receive("orders", 10), SizeIs(3));
  Request request;
  request.add_releases()->mutable_deliveries()->set_first(1);
  v1::DeliveryExtension* extension = request.add_extensions();
  extension->mutable_deliveries()->set_first(2);
  extension->mutable_visibility_timeout()->set_seconds(3600);
  ASSERT_TRUE(consumer.Write(request));
  ASSERT_TRUE(consumer.ReadSettled(2));
  ASSERT_THAT(consumer.failures(), SizeIs(1)) << "neighbours with one error";
  EXPECT_EQ(consumer.failures()[0].request(), 2u);
  EXPECT_EQ(consumer.failures()[0].first(), 1u);
  EXPECT_EQ(consumer.failures()[0].count(), 2u);
  EXPECT_TRUE(consumer.Finish().ok());
  EXPECT_EQ(InFlight(), 3);
  server_->manual_clock()->Advance(absl::Seconds(30));
  EXPECT_TRUE(Eventually([&] { return Visible() == 3; }));
}

// gRPC's own word for it is the end of the requests.
TEST_F(ConsumeStreamTest, BytesThatAreNoRequestEndTheStreamWithAnError) {
  SendMany(1);
  grpc::TemplatedGenericStub<v1::SendStreamRequest, Response> wrong(channel_);
  class Reactor : public grpc::ClientBidiReactor<v1::SendStreamRequest, Response> {
   public:
    explicit Reactor(grpc::TemplatedGenericStub<v1::SendStreamRequest, Response>* stub) {
      // Field 1 of a ConsumeStreamRequest is a message.
      request_.set_queue("\xff\xff\xff");
      stub->PrepareBidiStreamingCall(&context_, "/barista.v1.QueueService/ConsumeStream", {}, this);
      StartWrite(&request_);
      StartCall();
    }
    void OnDone(const grpc::Status& status) override { done_.set_value(status); }
    grpc::Status Wait() { return done_.get_future().get(); }

   private:
    grpc::ClientContext context_;
    v1::SendStreamRequest request_;
    std::promise<grpc::Status> done_;
  };
  Reactor reactor(&wrong);
  EXPECT_TRUE(FailedWith(reactor.Wait(), StatusCode::INVALID_ARGUMENT, "MalformedRequest"));
}

TEST_F(ConsumeStreamTest, EndsWithItsQueue) {
  Consumer consumer(stub_.get(), "orders", 10);
  ASSERT_TRUE(EventuallyParked(1));
  ASSERT_TRUE(server_->broker().DeleteQueue("orders").ok());
  while (consumer.Read()) {
  }
  EXPECT_TRUE(FailedWith(consumer.Finish(), StatusCode::NOT_FOUND, "QueueDoesNotExist"));
}

TEST_F(ConsumeStreamTest, DrainingServerDeliversNothingMoreAndWaitsForWhatIsOpen) {
  SendMany(2);
  Consumer busy(stub_.get(), "orders", 2);
  ASSERT_TRUE(busy.ReadMessages(2));
  Consumer idle(stub_.get(), "orders", 10);
  ASSERT_TRUE(EventuallyParked(1));
  server_->Drain();
  while (idle.Read()) {
  }
  EXPECT_TRUE(FailedWith(idle.Finish(), StatusCode::UNAVAILABLE, "ServerDraining"));
  ASSERT_TRUE(busy.ReadDraining());
  SendMany(1);
  Request more = DeleteRequest(1, 1, /*credit=*/5);
  ASSERT_TRUE(busy.Write(more));
  ASSERT_TRUE(busy.ReadSettled(2));
  ASSERT_TRUE(busy.Write(DeleteRequest(2)));
  while (busy.Read()) {
  }
  EXPECT_THAT(busy.messages(), SizeIs(2));
  EXPECT_TRUE(FailedWith(busy.Finish(), StatusCode::UNAVAILABLE, "ServerDraining"));
  EXPECT_EQ(Visible(), 1);
  EXPECT_EQ(InFlight(), 0);
}

int Threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

TEST_F(ConsumeStreamTest, ThousandIdleStreamsHoldNoThread) {
  // What gRPC needs for any is there.
  std::vector<std::unique_ptr<Consumer>> consumers;
  const auto open = [&](size_t count) {
    while (consumers.size() < count) {
      consumers.push_back(std::make_unique<Consumer>(stub_.get(), "orders", 1));
    }
    ASSERT_TRUE(EventuallyParked(static_cast<int64_t>(count)));
  };
  open(50);
  const int before = Threads();
  open(1000);
  EXPECT_LE(Threads(), before + 20);
  SendMany(1000);
  for (const auto& consumer : consumers) ASSERT_TRUE(consumer->ReadMessages(1));
  consumers.clear();
  EXPECT_TRUE(Eventually([&] { return Visible() == 1000; }));
}

TEST_F(ConsumeStreamTest, ThousandStreamsThatNobodyReadsHoldLittle) {
  constexpr int kStreams = 1000, kBody = 1000, kMessages = 300'000;
  SendMany(kMessages, std::string(kBody, 'm'));
  const auto stub = StubOfFixedWindows();
  std::vector<std::unique_ptr<Consumer>> consumers;
  for (int i = 0; i < kStreams; ++i) {
    consumers.push_back(std::make_unique<Consumer>(stub.get(), "orders", 10'000));
  }
  // All have begun, and none goes on.
  int in_flight = 0;
  ASSERT_TRUE(Eventually([&] {
    const int before = in_flight;
    in_flight = InFlight();
    return in_flight >= kStreams * ConsumeStream::kMinFrameBytes / kBody * 3 / 4 &&
           in_flight == before;
  }));
  // Two frames, of which one has left into the window. (A client's window may grow.)
  std::printf("%d messages of %d bytes in flight\n", in_flight, kBody);
  EXPECT_LE(in_flight, kStreams * 8 * ConsumeStream::kMinFrameBytes / kBody);
  consumers.clear();
  EXPECT_TRUE(Eventually([&] { return Visible() == kMessages; }));
}

// Real time: the heartbeat follows the client's, not the broker's clock.
TEST_F(ConsumeStreamTest, HeartbeatKeepsMessagesHiddenWhileTheStreamLives) {
  ServerOptions options = Options();
  options.manual_clock = false;
  Start(options);
  CreateQueue("orders");
  SendMany(3);
  Request request = StartRequest("orders", 10);
  request.mutable_start()->set_heartbeat(true);
  request.mutable_start()->mutable_visibility_timeout()->set_seconds(1);
  auto consumer = std::make_unique<Consumer>(stub_.get(), request);
  ASSERT_TRUE(consumer->ReadMessages(3));
  EXPECT_THAT(Receive("orders", 10, absl::Seconds(3)), IsEmpty()) << "three timeouts have passed";
  ASSERT_TRUE(consumer->Write(DeleteRequest(1, 2)));
  ASSERT_TRUE(consumer->ReadSettled(2));
  EXPECT_EQ(InFlight(), 1);
  consumer.reset();
  const std::vector<v1::Message> again = Receive("orders", 10, absl::Seconds(20));
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].receive_count(), 2);
}

// Streams that come and go, delete, release and break off: every message is deleted in the end, by
// exactly one consumer that was told so.
TEST_F(ConsumeStreamTest, NoMessageIsLostWhateverStreamsDo) {
  const unsigned seed = std::random_device()();
  std::printf("seed %u\n", seed);
  constexpr int kMessages = 20'000;
  std::atomic<int> deleted{0};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int sent = 0; sent < kMessages; sent += 500) SendMany(500);
  });
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      while (deleted < kMessages) {
        // (The deadline ends those that wait when nothing is left.)
        Consumer consumer(stub_.get(), StartRequest("orders", 1 + random() % 300),
                          absl::Milliseconds(500));
        uint64_t requests = 1, next = 1;
        for (int reads = 0; reads < 40 && deleted < kMessages; ++reads) {
          if (!consumer.ReadMessages(next)) break;
          const uint64_t count = consumer.messages().size() - next + 1;
          const uint64_t some = 1 + random() % count;
          Request request = DeleteRequest(next, some, static_cast<uint32_t>(some));
          const uint64_t rest = count - some;
          if (rest > 0) {
            v1::DeliveryRange* range = request.add_releases()->mutable_deliveries();
            range->set_first(next + some);
            range->set_count(rest);
          }
          if (!consumer.Write(request) || !consumer.ReadSettled(++requests)) break;
          deleted += static_cast<int>(some);
          next += count;
          if (random() % 10 == 0) break;
        }
        if (random() % 2 == 0) {
          consumer.Cancel();
        } else {
          consumer.Finish();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(deleted, kMessages);
  EXPECT_EQ(server_->broker().Stats().messages_deleted, static_cast<uint64_t>(kMessages));
  EXPECT_TRUE(Eventually([&] { return Visible() + InFlight() == 0; }));
}

}  // namespace
}  // namespace barista::server
