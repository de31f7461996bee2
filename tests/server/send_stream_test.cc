#include "broker/server/send_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The client's side of a stream.
class Sender {
 public:
  explicit Sender(v1::QueueService::Stub* stub) : stream_(stub->SendStream(&context_)) {}
  ~Sender() {
    if (!finished_) {
      context_.TryCancel();
      stream_->Finish();
    }
  }

  bool Send(const std::string& queue, const std::vector<std::string>& bodies,
            bool results = false) {
    v1::SendStreamRequest request;
    request.set_queue(queue);
    request.set_results(results);
    for (const std::string& body : bodies) request.add_entries()->set_body(body);
    return stream_->Write(request);
  }
  bool Write(const v1::SendStreamRequest& request) { return stream_->Write(request); }

  // Reads until the entries up to `settled` are settled; false if the stream ends before.
  bool ReadUntil(uint64_t settled) {
    v1::SendStreamResponse response;
    while (settled_ < settled) {
      if (!stream_->Read(&response)) return false;
      EXPECT_GT(response.settled(), settled_);
      settled_ = response.settled();
      for (const auto& failure : response.failures()) failures_.push_back(failure);
      for (const auto& result : response.results()) results_.push_back(result);
    }
    return true;
  }
  grpc::Status Finish() {
    stream_->WritesDone();
    return WaitForEnd();
  }
  // Which the server brings about.
  grpc::Status WaitForEnd() {
    finished_ = true;
    v1::SendStreamResponse response;
    while (stream_->Read(&response)) settled_ = response.settled();
    return stream_->Finish();
  }
  void Cancel() { context_.TryCancel(); }

  uint64_t settled() const { return settled_; }
  const std::vector<v1::StreamFailure>& failures() const { return failures_; }
  const std::vector<v1::SendMessageResult>& results() const { return results_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SendStreamRequest, v1::SendStreamResponse>> stream_;
  uint64_t settled_ = 0;
  std::vector<v1::StreamFailure> failures_;
  std::vector<v1::SendMessageResult> results_;
  bool finished_ = false;
};

class SendStreamTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    CreateQueue("orders");
  }
  std::string Waiting(const std::string& queue) {
    return Attribute(queue, "ApproximateNumberOfMessages");
  }
};

TEST_F(SendStreamTest, WhatIsSettledCanBeReceived) {
  Sender sender(stub_.get());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(sender.Send(i == 0 ? "orders" : "", std::vector<std::string>(100, "espresso")));
  }
  ASSERT_TRUE(sender.ReadUntil(2000));
  EXPECT_EQ(Waiting("orders"), "2000");
  EXPECT_THAT(sender.failures(), IsEmpty());
  EXPECT_THAT(sender.results(), IsEmpty());
  EXPECT_TRUE(sender.Finish().ok());
}

TEST_F(SendStreamTest, ClosedStreamEndsWhenEverythingIsSettled) {
  Sender sender(stub_.get());
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(sender.Send("orders", std::vector<std::string>(1000, "espresso")));
  }
  EXPECT_TRUE(sender.Finish().ok());
  EXPECT_EQ(sender.settled(), 5000u);
}

TEST_F(SendStreamTest, ResultsAreThoseOfTheMessages) {
  Sender sender(stub_.get());
  ASSERT_TRUE(sender.Send("orders", {"a", "", "c"}, /*results=*/true));
  ASSERT_TRUE(sender.ReadUntil(3));
  ASSERT_THAT(sender.results(), SizeIs(3));
  EXPECT_EQ(sender.results()[1].message_id(), "");
  std::vector<std::string> ids;
  for (const v1::Message& message : Receive("orders")) ids.push_back(message.message_id());
  EXPECT_THAT(ids, ElementsAre(sender.results()[0].message_id(), sender.results()[2].message_id()));
}

TEST_F(SendStreamTest, RefusedEntriesAreNamedAndTheOthersStored) {
  Sender sender(stub_.get());
  ASSERT_TRUE(sender.Send("orders", {"a", "", "", "d", "\x01"}));
  ASSERT_TRUE(sender.Send("orders", {"", "g"}));
  ASSERT_TRUE(sender.ReadUntil(7));
  ASSERT_THAT(sender.failures(), SizeIs(3));
  EXPECT_EQ(sender.failures()[0].first(), 2u);
  EXPECT_EQ(sender.failures()[0].count(), 2u) << "equal errors of neighbours are one failure";
  EXPECT_EQ(sender.failures()[0].error().reason(), "MissingParameter");
  EXPECT_EQ(sender.failures()[1].first(), 5u);
  EXPECT_EQ(sender.failures()[1].error().reason(), "InvalidMessageContents");
  EXPECT_EQ(sender.failures()[2].first(), 6u);
  EXPECT_EQ(Waiting("orders"), "3");
}

TEST_F(SendStreamTest, RequestOfTooManyBytesFailsAndTheStreamGoesOn) {
  Sender sender(stub_.get());
  ASSERT_TRUE(sender.Send("orders", std::vector<std::string>(5, std::string(1 << 20, 'm'))));
  ASSERT_TRUE(sender.Send("orders", std::vector<std::string>(1000, "m")));
  ASSERT_TRUE(sender.ReadUntil(1005));
  ASSERT_THAT(sender.failures(), SizeIs(1));
  EXPECT_EQ(sender.failures()[0].request(), 1u);
  EXPECT_EQ(sender.failures()[0].count(), 5u);
  EXPECT_EQ(sender.failures()[0].error().reason(), "BatchRequestTooLong");
  EXPECT_EQ(Waiting("orders"), "1000");
}

TEST_F(SendStreamTest, RequestOfTooManyEntriesEndsTheStreamAfterThoseBefore) {
  Sender sender(stub_.get());
  ASSERT_TRUE(sender.Send("orders", {"a"}));
  ASSERT_TRUE(sender.Send("", std::vector<std::string>(1001, "m")));
  EXPECT_TRUE(
      FailedWith(sender.Finish(), StatusCode::INVALID_ARGUMENT, "TooManyEntriesInBatchRequest"));
  EXPECT_EQ(sender.settled(), 1u);
  EXPECT_EQ(Waiting("orders"), "1");
}

TEST_F(SendStreamTest, EveryRequestMayNameAQueue) {
  CreateQueue("bills");
  Sender sender(stub_.get());
  ASSERT_TRUE(sender.Send("orders", {"a"}));
  ASSERT_TRUE(sender.Send("bills", {"b"}));
  ASSERT_TRUE(sender.Send("", {"c"}));
  ASSERT_TRUE(sender.Send("nobody", {"d", "e"}));
  ASSERT_TRUE(sender.Send("", {"f"}));
  ASSERT_TRUE(sender.Send("orders", {"g"}));
  ASSERT_TRUE(sender.ReadUntil(7));
  EXPECT_EQ(Waiting("orders"), "2");
  EXPECT_EQ(Waiting("bills"), "2");
  uint64_t failed = 0;
  for (const v1::StreamFailure& failure : sender.failures()) {
    EXPECT_EQ(failure.error().reason(), "QueueDoesNotExist");
    failed += failure.count();
  }
  EXPECT_EQ(failed, 3u);
}

TEST_F(SendStreamTest, QueueThatIsCreatedAgainIsFoundAgain) {
  Sender sender(stub_.get());
  ASSERT_TRUE(sender.Send("orders", {"a"}));
  ASSERT_TRUE(sender.ReadUntil(1));
  ASSERT_TRUE(server_->broker().DeleteQueue("orders").ok());
  ASSERT_TRUE(sender.Send("", {"b"}));
  ASSERT_TRUE(sender.ReadUntil(2));
  EXPECT_THAT(sender.failures(), SizeIs(1));
  CreateQueue("orders");
  ASSERT_TRUE(sender.Send("", {"c"}));
  ASSERT_TRUE(sender.ReadUntil(3));
  EXPECT_THAT(sender.failures(), SizeIs(1));
  EXPECT_EQ(Waiting("orders"), "1");
}

TEST_F(SendStreamTest, FirstRequestMustNameAQueue) {
  Sender sender(stub_.get());
  sender.Send("", {"a"});
  EXPECT_TRUE(FailedWith(sender.Finish(), StatusCode::INVALID_ARGUMENT, "MissingParameter"));
}

TEST_F(SendStreamTest, ClientThatReadsNothingIsHeldUp) {
  constexpr uint64_t kRequests = 100, kEntries = 1000;
  const auto stub = StubOfFixedWindows();
  Sender sender(stub.get());
  std::atomic<uint64_t> written{0};
  std::thread writer([&] {
    while (written < kRequests && sender.Send("orders", std::vector<std::string>(kEntries, "m"),
                                              /*results=*/true)) {
      ++written;
    }
  });
  // Results that nobody reads fill the windows; then no more is read than may be untold. (The
  // client's write returns when its window has taken it.)
  const uint64_t window = 64 << 10, result = 40;
  const uint64_t most = SendStream::kMaxUntoldEntries + kEntries + 2 * window / result;
  uint64_t sent = 0, before = 0;
  ASSERT_TRUE(Eventually([&] {
    before = sent;
    sent = server_->broker().Stats().messages_sent;
    return sent >= SendStream::kMaxUntoldEntries && sent == before;
  }));
  EXPECT_LE(sent, most);
  EXPECT_LT(written, kRequests);
  ASSERT_TRUE(sender.ReadUntil(kRequests * kEntries));
  writer.join();
  EXPECT_EQ(sender.results().size(), kRequests * kEntries);
  EXPECT_EQ(Waiting("orders"), "100000");
}

TEST_F(SendStreamTest, DrainingServerSettlesWhatItHasAndEndsTheStream) {
  Sender sender(stub_.get());
  ASSERT_TRUE(sender.Send("orders", {"a", "b"}));
  ASSERT_TRUE(sender.ReadUntil(2));
  server_->Drain();
  EXPECT_TRUE(FailedWith(sender.WaitForEnd(), StatusCode::UNAVAILABLE, "ServerDraining"));
  Sender late(stub_.get());
  EXPECT_TRUE(FailedWith(late.WaitForEnd(), StatusCode::UNAVAILABLE, "ServerDraining"));
}

// Under load: what was told is there, and the server ends in time.
TEST_F(SendStreamTest, ShutdownUnderLoadLosesNothingThatWasTold) {
  TemporaryDirectory directory;
  ServerOptions options = Options();
  options.broker.data_dir = directory / "data";
  options.broker.clock = nullptr;
  options.manual_clock = false;
  Start(options);
  CreateQueue("orders");
  uint64_t settled = 0;
  std::thread client([&] {
    Sender sender(stub_.get());
    for (uint64_t sent = 1;; ++sent) {
      if (!sender.Send("orders", std::vector<std::string>(100, "espresso"))) break;
      if (sent > 20 && !sender.ReadUntil((sent - 20) * 100)) break;
    }
    // (Without a reason where the connection closed before the client had read the end.)
    EXPECT_EQ(sender.WaitForEnd().error_code(), StatusCode::UNAVAILABLE);
    settled = sender.settled();
  });
  ASSERT_TRUE(Eventually([&] { return server_->broker().Stats().messages_sent > 5000; }));
  EXPECT_TRUE(server_->Shutdown().ok());
  client.join();
  Start(options);
  EXPECT_GE(settled, 5000u - 2000u);
  EXPECT_GE(std::stoull(Waiting("orders")), settled);
}

TEST_F(SendStreamTest, CancelledStreamLeavesTheServerWhole) {
  for (int i = 0; i < 50; ++i) {
    Sender sender(stub_.get());
    sender.Send("orders", std::vector<std::string>(100, "m"));
    if (i % 2 == 0) sender.Cancel();
  }
  ASSERT_TRUE(SendBody("orders", "m").ok());
}

}  // namespace
}  // namespace barista::server
