// What a client does when a broker refuses, drains, breaks off or says nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "barista/client.h"
#include "broker/base/mutex.h"
#include "tests/client/remote/scripted_service.h"

namespace barista::client {
namespace {

class FailureTest : public ::testing::Test {
 protected:
  void Open(absl::Duration timeout = absl::Seconds(30), int max_attempts = 8) {
    absl::StatusOr<std::unique_ptr<QueueHost>> host =
        Connect({.server = service_.address(),
                 .timeout = timeout,
                 .retry = {.max_attempts = max_attempts,
                           .initial_backoff = absl::Milliseconds(1),
                           .max_backoff = absl::Milliseconds(5)}});
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    absl::StatusOr<Queue> queue = host_->GetQueue("orders");
    ASSERT_TRUE(queue.ok()) << queue.status();
    queue_ = *queue;
  }
  // The streams settle whatever comes, once go_ says so.
  void SettleAfterGo() {
    service_.on_stream = [this](int, ScriptedService::Stream* stream) {
      go_.Wait();
      uint64_t entries = 0;
      v1::SendStreamRequest request;
      while (stream->Read(&request)) stream->Write(ScriptedService::Settle(request, &entries));
      return grpc::Status::OK;
    };
  }
  // Of a message whose callback form answers within the call.
  absl::Status SendOne() {
    const auto answer = std::make_shared<absl::Status>(absl::UnknownError("not answered yet"));
    const OutgoingMessage one{.body = "m"};
    queue_.SendBatchAsync(absl::MakeConstSpan(&one, 1),
                          [answer](std::vector<absl::StatusOr<SendResult>> results) {
                            *answer = results.front().status();
                          });
    return *answer;
  }
  static std::string Reason(const absl::Status& status) { return GetErrorInfo(status).reason; }

  Notification go_;  // outlives the handlers that wait for it
  ScriptedService service_;
  std::unique_ptr<QueueHost> host_;
  Queue queue_;
};

grpc::Status Broken() { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection reset"); }

// ---- Calls ----

TEST_F(FailureTest, RepeatableCallIsMadeAgainUntilItSucceeds) {
  Open();
  service_.on_delete = [](int call) { return call < 4 ? Broken() : grpc::Status::OK; };
  EXPECT_TRUE(queue_.Delete(ReceiptHandle()).ok());
  EXPECT_EQ(service_.deletes, 4);
}

TEST_F(FailureTest, AttemptsEndAtTheirMaximum) {
  Open(absl::Seconds(30), 3);
  service_.on_delete = [](int) { return Broken(); };
  const absl::Status status = queue_.Delete(ReceiptHandle());
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(Reason(status), "");
  EXPECT_EQ(service_.deletes, 3);
}

TEST_F(FailureTest, PurgeThatMayHaveHappenedIsNotMadeAgain) {
  Open();
  service_.on_purge = [](int) { return Broken(); };
  EXPECT_TRUE(absl::IsUnavailable(queue_.Purge()));
  EXPECT_EQ(service_.purges, 1);
}

TEST_F(FailureTest, PurgeThatTheBrokerHasNotDoneIsMadeAgain) {
  Open();
  service_.on_purge = [](int call) {
    return call < 3 ? ScriptedService::Refusal(absl::StatusCode::kResourceExhausted, "ServerBusy")
                    : grpc::Status::OK;
  };
  EXPECT_TRUE(queue_.Purge().ok());
  EXPECT_EQ(service_.purges, 3);
}

TEST_F(FailureTest, ErrorOfTheBrokerIsAnsweredAtOnceWithItsReason) {
  Open();
  service_.on_delete = [](int) {
    return ScriptedService::Refusal(absl::StatusCode::kUnavailable, "StoreUnavailable");
  };
  EXPECT_EQ(Reason(queue_.Delete(ReceiptHandle())), "StoreUnavailable");
  EXPECT_EQ(service_.deletes, 1);
}

TEST_F(FailureTest, CallEndsAtItsTimeout) {
  Open(absl::Milliseconds(300));
  service_.on_delete = [this](int) {
    go_.Wait();
    return grpc::Status::OK;
  };
  const absl::Status status = queue_.Delete(ReceiptHandle());
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(Reason(status), "");
  go_.Notify();
}

TEST_F(FailureTest, CloseEndsThePauseOfACallAndAnswersItsLastError) {
  absl::StatusOr<std::unique_ptr<QueueHost>> host =
      Connect({.server = service_.address(),
               .timeout = absl::Minutes(30),
               .retry = {.max_attempts = 100,
                         .initial_backoff = absl::Minutes(1),
                         .max_backoff = absl::Minutes(1)}});
  ASSERT_TRUE(host.ok());
  Queue queue = *(*host)->GetQueue("orders");
  service_.on_delete = [](int) { return Broken(); };
  std::vector<absl::Status> ended;
  const ReceiptHandle handle;
  queue.DeleteBatchAsync(absl::MakeConstSpan(&handle, 1),
                         [&](std::vector<absl::Status> statuses) { ended = std::move(statuses); });
  while (service_.deletes == 0) std::this_thread::yield();
  EXPECT_TRUE((*host)->Close().ok());
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(absl::IsUnavailable(ended[0])) << ended[0];
}

// ---- The stream of sends ----

TEST_F(FailureTest, SendsShareAStreamAndResultsComeByPosition) {
  Open();
  std::vector<OutgoingMessage> batch(5, OutgoingMessage{.body = "m"});
  batch[2].body = "";
  for (int i = 0; i < 3; ++i) {
    const std::vector<absl::StatusOr<SendResult>> results = queue_.SendBatch(batch);
    ASSERT_EQ(results.size(), 5u);
    for (size_t j = 0; j < 5; ++j) EXPECT_EQ(results[j].ok(), j != 2) << results[j].status();
    EXPECT_EQ(Reason(results[2].status()), "MissingParameter");
  }
  EXPECT_EQ(service_.streams, 1);
}

TEST_F(FailureTest, BrokenStreamFailsWhatIsUnsettledAndTheNextSendOpensAnother) {
  Open();
  service_.on_stream = [](int call, ScriptedService::Stream* stream) {
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) {
      if (call == 1) return Broken();
      stream->Write(ScriptedService::Settle(request, &entries));
    }
    return grpc::Status::OK;
  };
  const absl::Status lost = queue_.Send({.body = "m"}).status();
  EXPECT_TRUE(absl::IsUnavailable(lost)) << lost;
  EXPECT_EQ(Reason(lost), "");
  EXPECT_TRUE(queue_.Send({.body = "m"}).ok());
  EXPECT_EQ(service_.streams, 2);
}

TEST_F(FailureTest, DrainingBrokerIsAskedAgain) {
  Open();
  service_.on_stream = [](int call, ScriptedService::Stream* stream) {
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) {
      if (call < 3) {
        return ScriptedService::Refusal(absl::StatusCode::kUnavailable, "ServerDraining");
      }
      stream->Write(ScriptedService::Settle(request, &entries));
    }
    return grpc::Status::OK;
  };
  EXPECT_TRUE(queue_.Send({.body = "m"}).ok());
  EXPECT_EQ(service_.streams, 3);
}

TEST_F(FailureTest, EntriesThatTheBrokerHadNoRoomForAreSentAgainAlone) {
  Open();
  std::vector<int> sizes;
  service_.on_stream = [&](int, ScriptedService::Stream* stream) {
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) {
      v1::SendStreamResponse response = ScriptedService::Settle(request, &entries);
      sizes.push_back(request.entries_size());
      if (sizes.size() == 1) {
        v1::StreamFailure& failure = *response.add_failures();
        failure.set_first(2);
        failure.set_count(2);
        failure.mutable_error()->set_code(8);
        failure.mutable_error()->set_reason("IntakeFull");
      }
      stream->Write(response);
    }
    return grpc::Status::OK;
  };
  const std::vector<OutgoingMessage> batch(4, OutgoingMessage{.body = "m"});
  for (const auto& result : queue_.SendBatch(batch)) EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(host_->Close().ok());
  EXPECT_EQ(sizes, (std::vector<int>{4, 2}));
}

TEST_F(FailureTest, ErrorOfTheStreamFailsTheRequestThatCausedItAndTheOthersGoOn) {
  Open();
  Queue forbidden = *host_->GetQueue("forbidden");
  service_.on_stream = [&](int call, ScriptedService::Stream* stream) {
    if (call == 1) go_.Wait();
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) {
      if (request.queue() == "forbidden") {
        return ScriptedService::Refusal(absl::StatusCode::kPermissionDenied, "AccessDenied");
      }
      stream->Write(ScriptedService::Settle(request, &entries));
    }
    return grpc::Status::OK;
  };
  std::vector<absl::Status> ended(3, absl::UnknownError(""));
  std::atomic<int> count{0};
  const OutgoingMessage message{.body = "m"};
  int i = 0;
  for (Queue* queue : {&queue_, &forbidden, &queue_}) {
    queue->SendBatchAsync(absl::MakeConstSpan(&message, 1),
                          [&, i](std::vector<absl::StatusOr<SendResult>> results) {
                            ended[static_cast<size_t>(i)] = results.front().status();
                            ++count;
                          });
    ++i;
  }
  go_.Notify();
  EXPECT_TRUE(host_->Close().ok());
  EXPECT_EQ(count, 3);
  EXPECT_TRUE(ended[0].ok()) << ended[0];
  EXPECT_EQ(Reason(ended[1]), "AccessDenied") << ended[1];
  EXPECT_TRUE(ended[2].ok()) << ended[2];
}

TEST_F(FailureTest, WhatGathersWhileAWriteIsUnderWayGoesTogether) {
  Open();
  std::vector<int> sizes;
  service_.on_stream = [&](int, ScriptedService::Stream* stream) {
    go_.Wait();
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) {
      sizes.push_back(request.entries_size());
      stream->Write(ScriptedService::Settle(request, &entries));
    }
    return grpc::Status::OK;
  };
  // More than the windows of HTTP/2 take, so that writes have to wait for the broker.
  const std::string body(1 << 20, 'x');
  const OutgoingMessage large{.body = body};
  const std::vector<OutgoingMessage> small(400, OutgoingMessage{.body = "m"});
  std::atomic<int> sent{0};
  const auto count = [&](std::vector<absl::StatusOr<SendResult>> results) {
    for (const auto& result : results) sent += result.ok() ? 1 : 0;
  };
  for (int i = 0; i < 16; ++i) queue_.SendBatchAsync(absl::MakeConstSpan(&large, 1), count);
  for (int i = 0; i < 5; ++i) queue_.SendBatchAsync(small, count);
  go_.Notify();
  EXPECT_TRUE(host_->Close().ok());
  EXPECT_EQ(sent, 16 + 5 * 400);
  EXPECT_LT(sizes.size(), 16u);
  for (const int size : sizes) EXPECT_LE(size, 1000);
}

TEST_F(FailureTest, CallbackFormsAreRefusedAndBlockingFormsWaitWhenTooMuchIsOnItsWay) {
  Open();
  SettleAfterGo();
  const std::vector<OutgoingMessage> thousand(1000, OutgoingMessage{.body = "m"});
  std::atomic<int> sent{0};
  for (int i = 0; i < 10; ++i) {  // at the limit
    queue_.SendBatchAsync(thousand, [&](std::vector<absl::StatusOr<SendResult>> results) {
      for (const auto& result : results) sent += result.ok() ? 1 : 0;
    });
  }
  const absl::Status refused = SendOne();  // one past it
  EXPECT_EQ(Reason(refused), "IntakeFull");
  EXPECT_EQ(GetErrorInfo(refused).value, "10001 messages");
  EXPECT_EQ(GetErrorInfo(refused).limit, "10000 messages");
  std::atomic<bool> returned{false};
  std::thread blocking([&] {
    EXPECT_TRUE(queue_.Send({.body = "m"}).ok());
    returned = true;
  });
  EXPECT_FALSE(returned);
  go_.Notify();
  blocking.join();
  EXPECT_TRUE(host_->Close().ok());
  EXPECT_EQ(sent, 10'000);
}

TEST_F(FailureTest, BytesOnTheirWayAreLimitedToo) {
  Open();
  SettleAfterGo();
  const std::string body(1 << 20, 'x');
  const std::vector<OutgoingMessage> four(4, OutgoingMessage{.body = body});
  std::atomic<int> sent{0};
  for (int i = 0; i < 16; ++i) {  // at the limit
    queue_.SendBatchAsync(four, [&](std::vector<absl::StatusOr<SendResult>> results) {
      for (const auto& result : results) sent += result.ok() ? 1 : 0;
    });
  }
  const absl::Status refused = SendOne();  // one past it
  EXPECT_EQ(Reason(refused), "IntakeFull");
  EXPECT_EQ(GetErrorInfo(refused).value, "67108865 bytes");
  EXPECT_EQ(GetErrorInfo(refused).limit, "67108864 bytes");
  go_.Notify();
  EXPECT_TRUE(host_->Close().ok());
  EXPECT_EQ(sent, 64);
}

TEST_F(FailureTest, SilentStreamIsGivenUpAtTheTimeout) {
  Open(absl::Milliseconds(300));
  service_.on_stream = [](int call, ScriptedService::Stream* stream) {
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) {
      if (call > 1) stream->Write(ScriptedService::Settle(request, &entries));
    }
    return grpc::Status::OK;
  };
  const absl::Status status = queue_.Send({.body = "m"}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(queue_.Send({.body = "m"}).ok());
}

TEST_F(FailureTest, ResponseThatMakesNoSenseEndsTheStream) {
  Open();
  service_.on_stream = [](int call, ScriptedService::Stream* stream) {
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) {
      v1::SendStreamResponse response = ScriptedService::Settle(request, &entries);
      if (call == 1) response.add_results();
      stream->Write(response);
    }
    return grpc::Status::OK;
  };
  EXPECT_TRUE(absl::IsUnavailable(queue_.Send({.body = "m"}).status()));
  EXPECT_TRUE(queue_.Send({.body = "m"}).ok());
}

TEST_F(FailureTest, HostMayBeDestroyedInsideACallbackOfItsOwn) {
  Open();
  ASSERT_TRUE(queue_.Send({.body = "m"}).ok());  // there is a stream to end
  Notification destroyed;
  const ReceiptHandle handle;
  queue_.DeleteBatchAsync(absl::MakeConstSpan(&handle, 1), [&](std::vector<absl::Status>) {
    host_.reset();
    destroyed.Notify();
  });
  destroyed.Wait();
  // Not after it, but soon.
  const absl::Time limit = absl::Now() + absl::Seconds(30);
  while (Reason(queue_.Delete(handle)) != "BrokerClosed") {
    ASSERT_LT(absl::Now(), limit);
    std::this_thread::yield();
  }
}

TEST_F(FailureTest, LastQueueMayBeDroppedInsideACallback) {
  Open();
  auto queue = std::make_unique<Queue>(std::move(queue_));
  host_.reset();
  Notification dropped;
  const ReceiptHandle handle;
  queue->DeleteBatchAsync(absl::MakeConstSpan(&handle, 1), [&](std::vector<absl::Status> statuses) {
    EXPECT_EQ(Reason(statuses.front()), "BrokerClosed");
    dropped.Notify();
  });
  dropped.Wait();
  queue.reset();
}

TEST_F(FailureTest, QueueOutlivesItsHost) {
  Open();
  host_.reset();
  EXPECT_EQ(Reason(queue_.Send({.body = "m"}).status()), "BrokerClosed");
  EXPECT_EQ(Reason(queue_.Delete(ReceiptHandle())), "BrokerClosed");
  EXPECT_EQ(Reason(queue_.Receive().status()), "BrokerClosed");
}

}  // namespace
}  // namespace barista::client
