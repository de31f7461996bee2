// What only a Consumer and a Worker of a broker behind a server can show; what they share with
// those of a broker in the process is in tests/conformance.

#include <gmock/gmock.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/client.h"
#include "barista/worker.h"
#include "tests/client/remote/scripted_service.h"
#include "tests/server/relay.h"
#include "tests/server/server_fixture.h"

namespace barista::client {
namespace {

using server::Entry;
using server::Eventually;
using server::kPatience;
using server::Relay;
using server::Server;
using server::ServerOptions;
using server::ServerTest;

using ::testing::SizeIs;

std::unique_ptr<QueueHost> ConnectTo(const std::string& address) {
  ConnectOptions options;
  options.server = address;
  auto host = Connect(options);
  EXPECT_TRUE(host.ok()) << host.status();
  return *std::move(host);
}

std::string ReasonOf(const absl::Status& status) { return GetErrorInfo(status).reason; }

class RemoteConsumerTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    CreateQueue("orders", {{"MaximumInFlightMessages", "1000000"}});
    host_ = ConnectTo(server_->grpc_address());
    queue_ = *host_->GetQueue("orders");
  }
  void TearDown() override {
    host_ = nullptr;
    ServerTest::TearDown();
  }
  void SendMany(int count) {
    for (int sent = 0; sent < count; sent += 1000) {
      const size_t batch = static_cast<size_t>(std::min(1000, count - sent));
      ASSERT_TRUE(Send("orders", std::vector<v1::SendMessageEntry>(batch, Entry("espresso"))).ok());
    }
  }
  std::vector<ReceivedMessage> TakeMany(Consumer& consumer, size_t count) {
    std::vector<ReceivedMessage> messages;
    while (messages.size() < count) {
      auto message = consumer.Next(kPatience);
      if (!message.ok() || !message->has_value()) {
        ADD_FAILURE() << "after " << messages.size() << " messages: " << message.status();
        break;
      }
      messages.push_back(**std::move(message));
    }
    return messages;
  }
  int Visible() { return std::stoi(Attribute("orders", "ApproximateNumberOfMessages")); }
  int InFlight() { return std::stoi(Attribute("orders", "ApproximateNumberOfMessagesNotVisible")); }

  std::unique_ptr<QueueHost> host_;
  Queue queue_;
};

TEST_F(RemoteConsumerTest, MoreThanARequestMayNameAreDeleted) {
  constexpr int kMessages = 25'000;
  SendMany(kMessages);
  auto consumer = *queue_.Consume({.credit = kMessages});
  const std::vector<ReceivedMessage> messages = TakeMany(*consumer, kMessages);
  ASSERT_THAT(messages, SizeIs(kMessages));
  // Every other one first: nothing is next to anything.
  for (size_t i = 0; i < kMessages; i += 2) ASSERT_TRUE(consumer->Delete(messages[i]).ok());
  for (size_t i = 1; i < kMessages; i += 2) ASSERT_TRUE(consumer->Release(messages[i]).ok());
  EXPECT_TRUE(consumer->Close().ok());
  EXPECT_EQ(Visible(), kMessages / 2);
  EXPECT_EQ(InFlight(), 0);
}

TEST_F(RemoteConsumerTest, ReceiptHandlesComeIfAskedForAndWorkElsewhere) {
  SendMany(2);
  auto without = *queue_.Consume({.credit = 1});
  EXPECT_EQ(TakeMany(*without, 1)[0].receipt_handle, ReceiptHandle());
  auto with = *queue_.Consume({.credit = 1, .receipt_handles = true});
  EXPECT_TRUE(queue_.Delete(TakeMany(*with, 1)[0].receipt_handle).ok());
  EXPECT_EQ(InFlight(), 1);
}

TEST_F(RemoteConsumerTest, BrokenConnectionEndsItAndReleasesWhatIsOpen) {
  SendMany(10);
  Relay relay(server_->grpc_address());
  const auto host = ConnectTo(relay.address());
  auto consumer = *host->GetQueue("orders")->Consume({.credit = 5});
  const std::vector<ReceivedMessage> open = TakeMany(*consumer, 2);
  relay.Cut();
  absl::Status error;
  while (error.ok()) error = consumer->Next(kPatience).status();
  EXPECT_TRUE(absl::IsUnavailable(error)) << error;
  EXPECT_EQ(ReasonOf(error), "");
  EXPECT_EQ(consumer->Delete(open[0]), error);
  EXPECT_EQ(consumer->status(), error);
  EXPECT_TRUE(consumer->Close().ok()) << "nothing was asked that is not done";
  EXPECT_TRUE(Eventually([&] { return Visible() == 10; }));
}

TEST_F(RemoteConsumerTest, DrainingServerEndsItWhenWhatIsOpenIsSettled) {
  SendMany(3);
  auto consumer = *queue_.Consume();
  const std::vector<ReceivedMessage> open = TakeMany(*consumer, 2);
  ASSERT_TRUE(Eventually([&] { return InFlight() == 3; }));
  Broker& broker = server_->broker();
  server_->Drain();
  // One that nobody has taken yet is handed out still.
  const std::vector<ReceivedMessage> last = TakeMany(*consumer, 1);
  ASSERT_TRUE(consumer->Delete(open[0]).ok());
  ASSERT_TRUE(consumer->Release(open[1]).ok());
  ASSERT_TRUE(consumer->Delete(last[0]).ok());
  absl::Status error;
  while (error.ok()) error = consumer->Next(kPatience).status();
  EXPECT_EQ(ReasonOf(error), "ServerDraining");
  EXPECT_TRUE(consumer->Flush().ok());
  EXPECT_EQ(broker.GetQueue("orders")->Describe()->visible, 1);
}

TEST_F(RemoteConsumerTest, QueueThatIsGoneIsToldByNext) {
  const auto broker = &server_->broker();
  ASSERT_TRUE(broker->DeleteQueue("orders").ok());
  auto consumer = *queue_.Consume();
  EXPECT_EQ(ReasonOf(consumer->Next(kPatience).status()), "QueueDoesNotExist");
}

TEST_F(RemoteConsumerTest, HostThatClosesEndsItsConsumers) {
  SendMany(2);
  auto consumer = *queue_.Consume({.credit = 1});
  TakeMany(*consumer, 1);
  EXPECT_TRUE(host_->Close().ok());
  EXPECT_EQ(ReasonOf(consumer->Next().status()), "BrokerClosed");
  EXPECT_EQ(ReasonOf(queue_.Consume().status()), "BrokerClosed");
  EXPECT_TRUE(Eventually([&] { return Visible() == 2; }));
}

TEST_F(RemoteConsumerTest, OneThatIsDroppedOutlivesItsHostUntilTheStreamHasEnded) {
  SendMany(100);
  for (int i = 0; i < 20; ++i) {
    auto host = ConnectTo(server_->grpc_address());
    auto consumer = *host->GetQueue("orders")->Consume({.credit = 5});
    ASSERT_TRUE(consumer->Delete(TakeMany(*consumer, 1)[0]).ok());
    if (i % 2 == 0) host = nullptr;
  }
  EXPECT_TRUE(Eventually([&] { return InFlight() == 0; }));
}

TEST_F(RemoteConsumerTest, NextWaitsForAsLongAsItIsTold) {
  auto consumer = *queue_.Consume();
  const auto none = consumer->Next(absl::Milliseconds(1));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->has_value());
}

// ---- Against a service that says what a test wants ----

void AddMessage(v1::ConsumeStreamResponse* response, uint64_t number) {
  std::array<uint8_t, MessageId::kSize> id{};
  id[0] = static_cast<uint8_t>(number);
  id[1] = static_cast<uint8_t>(number >> 8);
  v1::Message* message = response->add_messages();
  message->set_message_id(MessageId(id).ToString());
  message->set_body("espresso");
  if (response->first_delivery() == 0) response->set_first_delivery(number);
}

Queue QueueOf(QueueHost& host) { return *host.GetQueue("orders"); }

TEST(ScriptedConsumerTest, WhatGathersGoesTogetherAsRangesWithItsCredit) {
  constexpr uint32_t kCredit = 1000;
  std::mutex mutex;
  v1::ConsumeStreamRequest first;
  std::vector<v1::ConsumeStreamRequest> requests;
  ScriptedService broker;
  broker.on_consume = [&](ScriptedService::ConsumerStream* stream) {
    v1::ConsumeStreamRequest request;
    if (!stream->Read(&request)) return grpc::Status::OK;
    {
      std::lock_guard<std::mutex> lock(mutex);
      first = request;
    }
    v1::ConsumeStreamResponse response;
    for (uint64_t number = 1; number <= kCredit; ++number) AddMessage(&response, number);
    stream->Write(response);
    for (uint64_t settled = 2; stream->Read(&request); ++settled) {
      {
        std::lock_guard<std::mutex> lock(mutex);
        requests.push_back(request);
      }
      v1::ConsumeStreamResponse told;
      told.set_settled(settled);
      stream->Write(told);
    }
    return grpc::Status::OK;
  };
  const auto host = ConnectTo(broker.address());
  auto consumer = *QueueOf(*host).Consume(
      {.credit = kCredit, .visibility_timeout = absl::Seconds(90), .heartbeat = true});
  std::vector<ReceivedMessage> messages;
  while (messages.size() < kCredit) {
    auto message = consumer->Next(kPatience);
    ASSERT_TRUE(message.ok() && message->has_value()) << message.status();
    messages.push_back(**message);
  }
  for (const ReceivedMessage& message : messages) ASSERT_TRUE(consumer->Delete(message).ok());
  EXPECT_TRUE(consumer->Close().ok());

  std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(first.start().queue(), "orders");
  EXPECT_EQ(first.start().visibility_timeout().seconds(), 90);
  EXPECT_TRUE(first.start().heartbeat());
  EXPECT_FALSE(first.start().receipt_handles());
  EXPECT_EQ(first.credit(), kCredit);
  uint64_t next = 1, credit = 0;
  for (const v1::ConsumeStreamRequest& request : requests) {
    EXPECT_FALSE(request.has_start());
    EXPECT_LE(request.deletes_size(), 1) << "neighbours are one range";
    for (const v1::DeliveryRange& range : request.deletes()) {
      EXPECT_EQ(range.first(), next);
      next += std::max<uint64_t>(range.count(), 1);
    }
    credit += request.credit();
    EXPECT_LE(credit, next - 1) << "credit for no more than has been settled";
  }
  EXPECT_EQ(next, kCredit + 1);
  EXPECT_LT(requests.size(), kCredit / 2) << "they did not go together";
}

TEST(ScriptedConsumerTest, ChangesNameWhatIsOpenAndTheLastExtensionCounts) {
  std::mutex mutex;
  std::vector<v1::ConsumeStreamRequest> requests;
  std::atomic<bool> read{false};
  ScriptedService broker;
  broker.on_consume = [&](ScriptedService::ConsumerStream* stream) {
    v1::ConsumeStreamRequest request;
    stream->Read(&request);
    v1::ConsumeStreamResponse response;
    for (uint64_t number = 1; number <= 4; ++number) AddMessage(&response, number);
    stream->Write(response);
    uint64_t settled = 1;
    while (stream->Read(&request)) {
      std::lock_guard<std::mutex> lock(mutex);
      requests.push_back(request);
      v1::ConsumeStreamResponse told;
      told.set_settled(++settled);
      for (const v1::DeliveryRelease& release : request.releases()) {
        v1::StreamFailure* failure = told.add_failures();
        failure->set_first(release.deliveries().first());
        failure->set_count(1);
        failure->set_request(settled);
        failure->mutable_error()->set_code(3);
        failure->mutable_error()->set_reason("InvalidParameterValue");
      }
      stream->Write(told);
    }
    return grpc::Status::OK;
  };
  const auto host = ConnectTo(broker.address());
  auto consumer = *QueueOf(*host).Consume({.credit = 4});
  std::vector<ReceivedMessage> messages;
  while (messages.size() < 4) {
    auto message = consumer->Next(kPatience);
    ASSERT_TRUE(message.ok() && message->has_value()) << message.status();
    messages.push_back(**message);
  }
  ASSERT_TRUE(consumer->Extend(messages[0], absl::Seconds(5)).ok());
  ASSERT_TRUE(consumer->Extend(messages[0], absl::Seconds(7)).ok());
  EXPECT_TRUE(consumer->Flush(kPatience).ok());
  ASSERT_TRUE(consumer->Release(messages[1], absl::Milliseconds(1500)).ok());
  const absl::Status failure = consumer->Flush(kPatience);
  EXPECT_EQ(ReasonOf(failure), "InvalidParameterValue");
  EXPECT_THAT(std::string(failure.message()),
              ::testing::HasSubstr(messages[1].message_id.ToString()));
  EXPECT_TRUE(consumer->Close().ok());

  std::lock_guard<std::mutex> lock(mutex);
  std::map<uint64_t, int64_t> extended;
  std::vector<uint64_t> released;
  for (const v1::ConsumeStreamRequest& request : requests) {
    for (const v1::DeliveryExtension& extension : request.extensions())
      extended[extension.deliveries().first()] = extension.visibility_timeout().seconds();
    for (const v1::DeliveryRelease& release : request.releases()) {
      released.push_back(release.deliveries().first());
      EXPECT_EQ(release.delay().seconds(), 1);
      EXPECT_EQ(release.delay().nanos(), 500'000'000);
    }
  }
  EXPECT_EQ(extended, (std::map<uint64_t, int64_t>{{1, 7}}));
  EXPECT_THAT(released, ::testing::ElementsAre(2u)) << "the broker releases what is open itself";
}

TEST(ScriptedConsumerTest, WhatCannotBeUnderstoodEndsIt) {
  const std::vector<std::function<void(v1::ConsumeStreamResponse*)>> wrongs = {
      [](v1::ConsumeStreamResponse* response) { AddMessage(response, 2); },
      [](v1::ConsumeStreamResponse* response) {
        AddMessage(response, 1);
        response->mutable_messages(0)->set_message_id("no id");
      },
      [](v1::ConsumeStreamResponse* response) {
        AddMessage(response, 1);
        response->mutable_messages(0)->set_receipt_handle("no handle");
      }};
  for (const auto& wrong : wrongs) {
    ScriptedService broker;
    broker.on_consume = [&](ScriptedService::ConsumerStream* stream) {
      v1::ConsumeStreamRequest request;
      stream->Read(&request);
      v1::ConsumeStreamResponse response;
      wrong(&response);
      stream->Write(response);
      while (stream->Read(&request)) {
      }
      return grpc::Status::OK;
    };
    const auto host = ConnectTo(broker.address());
    auto consumer = *QueueOf(*host).Consume();
    EXPECT_TRUE(absl::IsInternal(consumer->Next(kPatience).status()));
  }
}

// ---- Workers ----

TEST(RemoteWorkerTest, EveryAcknowledgedMessageIsHandledWhileTheBrokerRestarts) {
  constexpr int kMessages = 4000;
  constexpr int kRestarts = 3;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  server::TemporaryDirectory directory;
  ServerOptions options;
  options.http_listen = options.admin_listen = "127.0.0.1:0";
  options.grpc_listen = "unix:" + (directory / "grpc");
  options.broker.data_dir = directory / "data";
  options.drain_time = absl::Milliseconds(200);
  const auto start = [&] {
    auto server = Server::Start(options);
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  };
  std::unique_ptr<Server> server = start();
  const auto host = ConnectTo(options.grpc_listen);
  // What a broker that ends takes along is visible soon after.
  Queue queue = *host->CreateQueue("orders", {.visibility_timeout = absl::Seconds(2)});

  std::mutex mutex;
  std::mt19937 random(seed);
  std::map<std::string, int> handled;
  WorkerOptions worker_options;
  worker_options.concurrency = 8;
  auto worker = Worker::Start(queue, worker_options, [&](const ReceivedMessage& message) {
    std::lock_guard<std::mutex> lock(mutex);
    if (random() % 8 == 0) return absl::InternalError("one of eight");
    ++handled[std::string(message.body)];
    return absl::OkStatus();
  });
  ASSERT_TRUE(worker.ok()) << worker.status();
  const auto count = [&] {
    std::lock_guard<std::mutex> lock(mutex);
    return handled.size();
  };

  // What was refused, or whose answer was lost, is sent again: it may be stored twice.
  std::thread sender([&] {
    for (int sent = 0; sent < kMessages;) {
      std::vector<std::string> bodies;
      for (int i = 0; i < 100; ++i) bodies.push_back(std::to_string(sent + i));
      std::vector<OutgoingMessage> batch;
      for (const std::string& body : bodies) batch.push_back({.body = body});
      bool stored = true;
      for (const auto& result : queue.SendBatch(batch)) stored = stored && result.ok();
      if (stored) sent += 100;
    }
  });
  for (int i = 1; i <= kRestarts; ++i) {
    EXPECT_TRUE(Eventually(
        [&] { return count() >= static_cast<size_t>(i * kMessages / (kRestarts + 2)); }));
    EXPECT_TRUE(server->Shutdown().ok());
    server = nullptr;
    server = start();
  }
  sender.join();
  EXPECT_TRUE(Eventually([&] { return count() == kMessages; }));
  const auto left = [&] {
    const QueueDescription description = *server->broker().GetQueue("orders")->Describe();
    return description.visible + description.in_flight;
  };
  EXPECT_TRUE(Eventually([&] { return left() == 0; })) << left() << " messages are left";
  (*worker)->Stop();
  EXPECT_TRUE((*worker)->Wait().ok());
  EXPECT_TRUE(server->Shutdown().ok());
}

}  // namespace
}  // namespace barista::client
