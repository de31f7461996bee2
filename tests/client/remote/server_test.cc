// The client against a server: many threads, restarts, TLS and tokens.
#include "broker/server/server.h"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/client.h"
#include "tests/server/certificates.h"
#include "tests/server/server_fixture.h"
#include "tests/server/token_file.h"

namespace barista::client {
namespace {

using server::Server;
using server::ServerOptions;
using server::TemporaryDirectory;

class RemoteServerTest : public ::testing::Test {
 protected:
  static ServerOptions Options() {
    ServerOptions options;
    options.http_listen = options.admin_listen = options.grpc_listen = "127.0.0.1:0";
    return options;
  }
  void Start(const ServerOptions& options) {
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::unique_ptr<QueueHost> Connected(ConnectOptions options = {}) {
    options.server = server_->grpc_address();
    absl::StatusOr<std::unique_ptr<QueueHost>> host = Connect(options);
    EXPECT_TRUE(host.ok()) << host.status();
    return *std::move(host);
  }
  static std::string Reason(const absl::Status& status) { return GetErrorInfo(status).reason; }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Server> server_;
};

TEST_F(RemoteServerTest, ManyThreadsSendToManyQueuesAndEachMessageArrivesOnceWhereItBelongs) {
  Start(Options());
  const std::unique_ptr<QueueHost> host = Connected();
  constexpr int kThreads = 4;
  constexpr int kQueues = 3;
  constexpr int kBatches = 60;
  constexpr int kPerBatch = 7;
  std::vector<Queue> queues;
  for (int i = 0; i < kQueues; ++i) queues.push_back(*host->CreateQueue(absl::StrCat("q-", i)));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int b = 0; b < kBatches; ++b) {
        std::vector<std::string> bodies;
        for (int i = 0; i < kPerBatch; ++i) {
          bodies.push_back(absl::StrCat("q-", b % kQueues, " ", t, " ", b, " ", i));
        }
        std::vector<OutgoingMessage> batch;
        for (const std::string& body : bodies) batch.push_back({.body = body});
        for (const auto& result : queues[static_cast<size_t>(b % kQueues)].SendBatch(batch)) {
          EXPECT_TRUE(result.ok()) << result.status();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> bodies;
  for (Queue& queue : queues) {
    for (;;) {
      const auto got = queue.Receive({.max_messages = 1000, .wait = absl::ZeroDuration()});
      ASSERT_TRUE(got.ok()) << got.status();
      if (got->empty()) break;
      std::vector<ReceiptHandle> handles;
      for (const ReceivedMessage& message : *got) {
        EXPECT_EQ(message.body.substr(0, 3), queue.name());
        EXPECT_TRUE(bodies.insert(std::string(message.body)).second) << message.body;
        handles.push_back(message.receipt_handle);
      }
      for (const absl::Status& status : queue.DeleteBatch(handles)) EXPECT_TRUE(status.ok());
    }
  }
  EXPECT_EQ(bodies.size(), static_cast<size_t>(kThreads * kBatches * kPerBatch));
}

TEST_F(RemoteServerTest, RestartOfTheServerIsSurvivedByTheSameQueue) {
  ServerOptions options = Options();
  options.broker.data_dir = directory_ / "data";
  options.grpc_listen = absl::StrCat("unix:", directory_ / "socket");
  Start(options);
  const std::unique_ptr<QueueHost> host = Connected();
  Queue queue = *host->CreateQueue("orders");
  ASSERT_TRUE(queue.Send({.body = "before"}).ok());
  ASSERT_TRUE(server_->Shutdown().ok());
  server_.reset();
  // Sends wait for a connection, and calls are made again.
  absl::StatusOr<SendResult> sent = absl::UnknownError("not yet");
  std::thread sending([&] { sent = queue.Send({.body = "after"}); });
  Start(options);
  sending.join();
  EXPECT_TRUE(sent.ok()) << sent.status();
  EXPECT_EQ(queue.Describe()->visible, 2);
}

TEST_F(RemoteServerTest, TokenSaysWhatMayBeDoneAndAQueueWithoutRightsLeavesTheOthersAlone) {
  ServerOptions options = Options();
  options.security.token_file = directory_ / "tokens.yaml";
  server::WritePrivateFile(directory_ / "tokens.yaml",
                           absl::StrCat("tokens:\n  - {name: bar, sha256: ",
                                        server::Sha256Hex("bar-secret"), ", admin: [bar-*]}\n"));
  Start(options);
  const std::unique_ptr<QueueHost> nobody = Connected();
  EXPECT_EQ(Reason(nobody->CreateQueue("bar-1").status()), "MissingAuthenticationToken");
  const std::unique_ptr<QueueHost> wrong = Connected({.token = "guess"});
  EXPECT_EQ(Reason(wrong->CreateQueue("bar-1").status()), "InvalidClientTokenId");
  const std::unique_ptr<QueueHost> bar = Connected({.token = "bar-secret"});
  EXPECT_EQ(Reason(bar->CreateQueue("kitchen").status()), "AccessDenied");
  Queue queue = *bar->CreateQueue("bar-1");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.Send({.body = "m"}).ok());
  EXPECT_EQ(queue.Receive({.max_messages = 10})->size(), 3u);
}

TEST_F(RemoteServerTest, TlsIsSpokenWithTheRootsOfTheBrokersCertificate) {
  const server::CertificateAuthority authority("roots");
  const server::PemPair pair = authority.Issue();
  Write("ca.pem", authority.root());
  Write("cert.pem", pair.certificate);
  server::WritePrivateFile(directory_ / "key.pem", pair.key);
  ServerOptions options = Options();
  options.security.tls.certificate = directory_ / "cert.pem";
  options.security.tls.key = directory_ / "key.pem";
  Start(options);
  const std::unique_ptr<QueueHost> host = Connected({.tls_ca = directory_ / "ca.pem"});
  const absl::StatusOr<Queue> queue = host->CreateQueue("orders");
  EXPECT_TRUE(queue.ok()) << queue.status();
  const std::unique_ptr<QueueHost> plain = Connected({.retry = {.max_attempts = 1}});
  EXPECT_TRUE(absl::IsUnavailable(plain->GetQueue("orders").status()));
}

TEST_F(RemoteServerTest, NobodyThereIsUnavailable) {
  const std::string socket = absl::StrCat("unix:", directory_ / "nobody");
  absl::StatusOr<std::unique_ptr<QueueHost>> host =
      Connect({.server = socket, .retry = {.max_attempts = 2}});
  ASSERT_TRUE(host.ok());
  const absl::Status status = (*host)->GetQueue("orders").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("cannot be reached"), std::string::npos) << status;
}

TEST_F(RemoteServerTest, NamesAndTagsThatCannotBeSentAreRefusedByName) {
  Start(Options());
  const std::unique_ptr<QueueHost> host = Connected();
  EXPECT_EQ(Reason(host->GetQueue("\xff").status()), "QueueDoesNotExist");
  EXPECT_EQ(Reason(host->DeleteQueue("\xff")), "QueueDoesNotExist");
  EXPECT_EQ(host->ListQueues({.prefix = "\xff"})->names.size(), 0u);
  EXPECT_EQ(GetErrorInfo(host->ListQueues({.next_token = "\xff"}).status()).field, "NextToken");
  Queue queue = *host->CreateQueue("orders");
  EXPECT_EQ(GetErrorInfo(queue.Tag({{"\xff", "v"}})).field, "Tags");
  EXPECT_EQ(GetErrorInfo(queue.Tag({{"k", "\xff"}})).field, "Tags");
  EXPECT_EQ(GetErrorInfo(queue.SetAttributes({.redrive_policy = RedrivePolicy{"\xff", 3}})).field,
            "RedrivePolicy");
  const std::string unknown = "\xff";
  EXPECT_TRUE(queue.Untag(absl::MakeConstSpan(&unknown, 1)).ok());
  EXPECT_EQ(GetErrorInfo(queue.Peek({.max_messages = 0}).status()).field, "MaxNumberOfMessages");
  EXPECT_EQ(GetErrorInfo(queue.Peek({.max_messages = 1001}).status()).field, "MaxNumberOfMessages");
  const absl::Status sender = queue.Send({.body = "m", .sender_id = "me"}).status();
  EXPECT_EQ(Reason(sender), "InvalidParameterValue");
  EXPECT_EQ(GetErrorInfo(sender).field, "SenderId");
  EXPECT_EQ(queue.Describe()->visible, 0);
}

TEST_F(RemoteServerTest, MaximumMessageSizeIsAsTheBrokerToldLast) {
  Start(Options());
  const std::unique_ptr<QueueHost> host = Connected();
  Queue queue = *host->CreateQueue("orders", {.maximum_message_size = 2048});
  EXPECT_EQ(queue.maximum_message_size(), 2048u);
  ASSERT_TRUE(queue.SetAttributes({.maximum_message_size = 4096}).ok());
  EXPECT_EQ(queue.maximum_message_size(), 4096u);
  ASSERT_TRUE(
      server_->broker().GetQueue("orders")->SetAttributes({.maximum_message_size = 1024}).ok());
  EXPECT_EQ(queue.maximum_message_size(), 4096u);
  ASSERT_TRUE(queue.Describe().ok());
  EXPECT_EQ(queue.maximum_message_size(), 1024u);
}

}  // namespace
}  // namespace barista::client
