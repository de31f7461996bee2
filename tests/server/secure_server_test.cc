// A server with certificates, tokens and limits, over real connections.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <future>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "client/channel.h"
#include "client/queue_client.h"
#include "tests/server/certificates.h"
#include "tests/server/https_client.h"
#include "tests/server/log_capture.h"
#include "tests/server/server_fixture.h"
#include "tests/server/token_file.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SecureServerTest : public ServerTest {
 protected:
  void SetUp() override {}

  std::string File(const std::string& name, const std::string& text) {
    WritePrivateFile(directory_ / name, text);
    return directory_ / name;
  }

  // Writes the files of `pair` as those of the server.
  TlsFiles ServerFiles(const PemPair& pair) {
    return {File("cert.pem", pair.certificate), File("key.pem", pair.key), ""};
  }

  // Tokens with the secret NAME-secret.
  std::string TokenFile(const std::map<std::string, std::string>& roles_by_name) {
    std::string text = "tokens:\n";
    for (const auto& [name, roles] : roles_by_name) {
      absl::StrAppend(&text, "  - {name: ", name, ", sha256: ", Sha256Hex(name + "-secret"),
                      roles.empty() ? "" : ", ", roles, "}\n");
    }
    return File("tokens.yaml", text);
  }

  std::unique_ptr<client::QueueClient> Client(client::ChannelOptions options = {}) {
    options.server = server_->grpc_address();
    auto made = client::QueueClient::Open(options, kPatience);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  // A client that trusts `root` and shows `certificate`, if there is one.
  std::unique_ptr<client::QueueClient> TlsClient(const std::string& root,
                                                 const PemPair& certificate = {},
                                                 const std::string& token = "") {
    client::ChannelOptions options;
    options.tls_ca = File("client-root.pem", root);
    if (!certificate.certificate.empty()) {
      options.tls_certificate = File("client-cert.pem", certificate.certificate);
      options.tls_key = File("client-key.pem", certificate.key);
    }
    options.token = token;
    return Client(options);
  }

  // One call that needs nothing but to come in.
  static absl::Status List(client::QueueClient& client) { return client.ListQueues({}).status(); }
  static absl::Status List(const std::unique_ptr<client::QueueClient>& client) {
    return List(*client);
  }
  static bool Unreachable(const absl::Status& status) {
    return absl::IsUnavailable(status) && GetErrorInfo(status).reason.empty();
  }

  absl::Status StartStatus(const ServerOptions& options) { return Server::Start(options).status(); }

  const TemporaryDirectory directory_;
  const CertificateAuthority authority_{"root"};
  const CertificateAuthority stranger_{"another root"};
};

// ---- TLS ----

TEST_F(SecureServerTest, AllListenersSpeakTls) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  Start(options);
  const auto client = TlsClient(authority_.root());
  EXPECT_TRUE(List(client).ok()) << List(client);
  EXPECT_EQ(HttpsClient(server_->admin_address(), authority_.root()).Get("/healthz").status, 200);
  EXPECT_EQ(HttpsClient(server_->http_address(), authority_.root()).Get("/").status, 501);

  EXPECT_TRUE(Unreachable(List(Client())));
  EXPECT_EQ(Http(server_->admin_address(), "GET", "/healthz").status, 0);
  EXPECT_EQ(Http(server_->http_address(), "GET", "/").status, 0);
}

TEST_F(SecureServerTest, ClientsOfAnotherRootDoNotTrustTheServer) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  Start(options);
  EXPECT_TRUE(Unreachable(List(TlsClient(stranger_.root()))));
  EXPECT_EQ(HttpsClient(server_->admin_address(), stranger_.root()).Get("/healthz").status, 0);
}

TEST_F(SecureServerTest, ClientCertificateIsNeededWhereItIsAskedFor) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  const CertificateAuthority clients("clients");
  options.security.tls.client_ca = File("client-ca.pem", clients.root());
  Start(options);
  const PemPair good = clients.Issue();
  const PemPair expired = clients.Issue(absl::Now() - absl::Hours(2), absl::Now() - absl::Hours(1));
  const PemPair strange = stranger_.Issue();

  const absl::Status in = List(TlsClient(authority_.root(), good));
  EXPECT_TRUE(in.ok()) << in;
  EXPECT_TRUE(Unreachable(List(TlsClient(authority_.root()))));
  EXPECT_TRUE(Unreachable(List(TlsClient(authority_.root(), expired))));
  EXPECT_TRUE(Unreachable(List(TlsClient(authority_.root(), strange))));

  const auto https = [&](const PemPair& pair) {
    return HttpsClient(server_->admin_address(), authority_.root(), pair).Get("/healthz").status;
  };
  EXPECT_EQ(https(good), 200);
  EXPECT_EQ(https({}), 0);
  EXPECT_EQ(https(expired), 0);
  EXPECT_EQ(https(strange), 0);
}

TEST_F(SecureServerTest, WrongCertificatesAreRefusedAtTheStart) {
  ServerOptions options = Options();
  const absl::Time now = absl::Now();
  options.security.tls = ServerFiles(authority_.Issue(now - absl::Hours(2), now - absl::Hours(1)));
  const absl::Status expired = StartStatus(options);
  EXPECT_TRUE(absl::IsInvalidArgument(expired));
  EXPECT_THAT(std::string(expired.message()), HasSubstr("has expired"));
  EXPECT_EQ(GetErrorInfo(expired).field, "tls_cert");

  options.security.tls = ServerFiles(authority_.Issue());
  options.security.tls.key = File("other.pem", authority_.Issue().key);
  EXPECT_EQ(GetErrorInfo(StartStatus(options)).field, "tls_key");
}

TEST_F(SecureServerTest, ReloadedCertificateIsForNewConnectionsAndOldOnesGoOn) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  Start(options);
  const auto before = TlsClient(authority_.root());
  HttpsClient https_before(server_->admin_address(), authority_.root());
  ASSERT_TRUE(List(before).ok());
  ASSERT_EQ(https_before.Get("/healthz").status, 200);

  ServerFiles(stranger_.Issue());
  ASSERT_TRUE(server_->Reload().ok());
  // They could not connect anew: they do not trust the new root.
  EXPECT_TRUE(List(before).ok());
  EXPECT_EQ(https_before.Get("/healthz").status, 200);
  EXPECT_TRUE(Unreachable(List(TlsClient(authority_.root()))));
  EXPECT_EQ(HttpsClient(server_->admin_address(), authority_.root()).Get("/healthz").status, 0);

  EXPECT_TRUE(List(TlsClient(stranger_.root())).ok());
  EXPECT_EQ(HttpsClient(server_->admin_address(), stranger_.root()).Get("/healthz").status, 200);
}

TEST_F(SecureServerTest, ReloadedClientRootsAreForNewConnections) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  options.security.tls.client_ca = File("client-ca.pem", authority_.root());
  Start(options);
  const PemPair old_client = authority_.Issue();
  const PemPair new_client = stranger_.Issue();
  ASSERT_TRUE(List(TlsClient(authority_.root(), old_client)).ok());
  File("client-ca.pem", stranger_.root());
  ASSERT_TRUE(server_->Reload().ok());
  EXPECT_TRUE(Unreachable(List(TlsClient(authority_.root(), old_client))));
  EXPECT_TRUE(List(TlsClient(authority_.root(), new_client)).ok());
}

TEST_F(SecureServerTest, BadReloadKeepsWhatWasThereAndTakesWhatIsGood) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  options.security.token_file = TokenFile({{"old", "admin: all"}});
  Start(options);
  File("cert.pem", "espresso");
  TokenFile({{"new", "admin: all"}});
  const absl::Status reloaded = server_->Reload();
  EXPECT_EQ(GetErrorInfo(reloaded).field, "tls_cert") << reloaded;
  EXPECT_TRUE(List(TlsClient(authority_.root(), {}, "new-secret")).ok());
  EXPECT_FALSE(List(TlsClient(authority_.root(), {}, "old-secret")).ok());

  File("tokens.yaml", "tokens: espresso");
  const absl::Status both = server_->Reload();
  EXPECT_THAT(std::string(both.message()), HasSubstr("token_file: "));
  EXPECT_THAT(std::string(both.message()), HasSubstr("tls_cert: "));
  EXPECT_TRUE(List(TlsClient(authority_.root(), {}, "new-secret")).ok());

  ASSERT_EQ(::chmod((directory_ / "tokens.yaml").c_str(), 0644), 0);
  EXPECT_THAT(std::string(server_->Reload().message()), HasSubstr("chmod 600"));
}

TEST_F(SecureServerTest, HandshakesGoOnBesideReloads) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  Start(options);
  std::atomic<bool> stop = false;
  auto reloads = std::async(std::launch::async, [&] {
    int count = 0;
    while (!stop.load()) {
      EXPECT_TRUE(server_->Reload().ok());
      ++count;
    }
    return count;
  });
  for (int i = 0; i < 50; ++i) {
    const absl::Status listed = List(TlsClient(authority_.root()));
    EXPECT_TRUE(listed.ok()) << listed;
  }
  stop = true;
  EXPECT_GT(reloads.get(), 0);
}

// ---- The rule of access ----

TEST_F(SecureServerTest, AddressesThatOthersReachNeedAuthentication) {
  for (const auto listen :
       {&ServerOptions::http_listen, &ServerOptions::admin_listen, &ServerOptions::grpc_listen}) {
    ServerOptions options = Options();
    options.*listen = "0.0.0.0:0";
    const absl::Status refused = StartStatus(options);
    EXPECT_TRUE(absl::IsInvalidArgument(refused));
    for (const char* way : {"--token-file", "--tls-client-ca", "--insecure", "loopback"}) {
      EXPECT_THAT(std::string(refused.message()), HasSubstr(way));
    }
    // Encryption alone lets everybody in.
    options.security.tls = ServerFiles(authority_.Issue());
    EXPECT_TRUE(absl::IsInvalidArgument(StartStatus(options)));
    options.security.tls.client_ca = File("client-ca.pem", authority_.root());
    EXPECT_TRUE(StartStatus(options).ok());
    options.security.tls = {};
    options.security.token_file = TokenFile({{"ops", "admin: all"}});
    EXPECT_TRUE(StartStatus(options).ok());
  }
}

// ---- Tokens ----

// Calls `method` of QueueService for the queue "orders", with `token`.
grpc::Status CallMethod(const std::shared_ptr<grpc::Channel>& channel,
                        const google::protobuf::MethodDescriptor& method,
                        const std::string& token) {
  const std::unique_ptr<google::protobuf::Message> request(
      google::protobuf::MessageFactory::generated_factory()
          ->GetPrototype(method.input_type())
          ->New());
  const auto* queue = method.input_type()->FindFieldByName("queue");
  if (queue != nullptr) request->GetReflection()->SetString(request.get(), queue, "orders");
  const auto* prefix = method.input_type()->FindFieldByName("prefix");
  if (prefix != nullptr) request->GetReflection()->SetString(request.get(), prefix, "orders");
  const std::string bytes = request->SerializeAsString();
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer sent(&slice, 1);
  grpc::ByteBuffer received;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kPatience));
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
  grpc::GenericStub stub(channel);
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, absl::StrCat("/", method.service()->full_name(), "/", method.name()), {},
                 &sent, &received,
                 [&done](grpc::Status status) { done.set_value(std::move(status)); });
  return done.get_future().get();
}

TEST_F(SecureServerTest, EveryMethodOfTheServiceAsksForItsRole) {
  ServerOptions options = Options();
  options.security.token_file = TokenFile({{"ops", "admin: [\"orders*\"]"},
                                           {"send", "send: [\"orders*\"]"},
                                           {"receive", "receive: [\"orders*\"]"},
                                           {"other", "admin: [other], send: [other]"}});
  Start(options);
  const std::set<std::string> sending = {"SendMessage"};
  const std::set<std::string> receiving = {"ReceiveMessage", "DeleteMessage",
                                           "ChangeMessageVisibility", "PeekMessages"};
  const std::set<std::string> looking = {"GetQueue", "ListQueues"};
  const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
      "barista.v1.QueueService");
  ASSERT_NE(service, nullptr);
  int checked = 0;
  for (int i = 0; i < service->method_count(); ++i) {
    const google::protobuf::MethodDescriptor& method = *service->method(i);
    if (method.client_streaming()) continue;  // checked once per queue that the stream names
    const std::string& name = method.name();
    const auto allowed = [&](const std::string& token) {
      const grpc::Status status = CallMethod(channel_, method, token);
      EXPECT_NE(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << name;
      EXPECT_NE(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << name;
      if (status.error_code() != grpc::StatusCode::PERMISSION_DENIED) return true;
      EXPECT_TRUE(FailedWith(status, grpc::StatusCode::PERMISSION_DENIED, "AccessDenied"));
      EXPECT_THAT(status.error_message(), HasSubstr(name));
      EXPECT_THAT(status.error_message(), HasSubstr("orders"));
      return false;
    };
    EXPECT_TRUE(FailedWith(CallMethod(channel_, method, ""), grpc::StatusCode::UNAUTHENTICATED,
                           "MissingAuthenticationToken"))
        << name;
    EXPECT_TRUE(FailedWith(CallMethod(channel_, method, "wrong"), grpc::StatusCode::UNAUTHENTICATED,
                           "InvalidClientTokenId"))
        << name;
    EXPECT_TRUE(allowed("ops-secret")) << name;
    EXPECT_EQ(allowed("send-secret"), sending.count(name) + looking.count(name) > 0) << name;
    EXPECT_EQ(allowed("receive-secret"), receiving.count(name) + looking.count(name) > 0) << name;
    EXPECT_FALSE(allowed("other-secret")) << name;
    ++checked;
  }
  EXPECT_GE(checked, 13);
}

TEST_F(SecureServerTest, EveryMethodOfTheAdministrationNeedsAdminOfEverything) {
  ServerOptions options = Options();
  options.security.token_file = TokenFile({{"ops", "admin: all"},
                                           {"some", "admin: [\"orders*\"]"},
                                           {"use", "send: all, receive: all"}});
  Start(options);
  const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
      "barista.v1.AdminService");
  ASSERT_NE(service, nullptr);
  ASSERT_GE(service->method_count(), 1);
  for (int i = 0; i < service->method_count(); ++i) {
    const google::protobuf::MethodDescriptor& method = *service->method(i);
    EXPECT_TRUE(FailedWith(CallMethod(channel_, method, ""), grpc::StatusCode::UNAUTHENTICATED,
                           "MissingAuthenticationToken"));
    for (const char* token : {"some-secret", "use-secret"}) {
      EXPECT_TRUE(FailedWith(CallMethod(channel_, method, token),
                             grpc::StatusCode::PERMISSION_DENIED, "AccessDenied"))
          << method.name() << " " << token;
    }
    // It comes to the call itself, which misses its arguments.
    EXPECT_EQ(CallMethod(channel_, method, "ops-secret").error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << method.name();
  }
}

TEST_F(SecureServerTest, DeadLetterQueueNeedsAdminToo) {
  ServerOptions options = Options();
  options.security.token_file = TokenFile({{"ops", "admin: all"}, {"shop", "admin: [\"shop-*\"]"}});
  Start(options);
  const auto ops = Client({.token = "ops-secret"});
  const auto shop = Client({.token = "shop-secret"});
  for (const char* queue : {"bank", "shop-dead"}) {
    v1::CreateQueueRequest request;
    request.set_queue(queue);
    ASSERT_TRUE(ops->CreateQueue(request).ok());
  }
  const auto policy = [](const std::string& target) {
    return absl::StrCat(R"({"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:)", target,
                        R"(","maxReceiveCount":1})");
  };
  v1::CreateQueueRequest create;
  create.set_queue("shop-orders");
  (*create.mutable_attributes())["RedrivePolicy"] = policy("bank");
  const absl::Status denied = shop->CreateQueue(create).status();
  EXPECT_EQ(GetErrorInfo(denied).reason, "AccessDenied") << denied;
  EXPECT_EQ(GetErrorInfo(denied).value, "bank");
  (*create.mutable_attributes())["RedrivePolicy"] = policy("shop-dead");
  EXPECT_TRUE(shop->CreateQueue(create).ok());
  v1::SetQueueAttributesRequest set;
  set.set_queue("shop-orders");
  (*set.mutable_attributes())["RedrivePolicy"] = policy("bank");
  EXPECT_EQ(GetErrorInfo(shop->SetQueueAttributes(set)).value, "bank");
}

// The status of one reflection call that lists the services.
grpc::Status Reflect(const std::shared_ptr<grpc::Channel>& channel, const std::string& token) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kPatience));
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  void* tag = nullptr;
  bool ok = false;
  call->StartCall(nullptr);
  queue.Next(&tag, &ok);
  const grpc::Slice slice(std::string("\x3a\x00", 2));
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  queue.Next(&tag, &ok);
  EXPECT_EQ(ok, token == "bare-secret");
  grpc::Status status;
  call->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  return status;
}

TEST_F(SecureServerTest, ReflectionTakesAnyTokenAndHealthTakesNone) {
  ServerOptions options = Options();
  options.security.token_file = TokenFile({{"bare", ""}});
  Start(options);
  EXPECT_EQ(Reflect(channel_, "").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Reflect(channel_, "wrong").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  const grpc::Status listed = Reflect(channel_, "bare-secret");
  EXPECT_TRUE(listed.ok()) << listed.error_message();

  grpc::GenericStub stub(channel_);
  grpc::ByteBuffer received;
  const grpc::Slice empty("");
  const grpc::ByteBuffer sent(&empty, 1);
  const auto context = Context();
  std::promise<grpc::Status> done;
  stub.UnaryCall(context.get(), "/grpc.health.v1.Health/Check", {}, &sent, &received,
                 [&done](grpc::Status status) { done.set_value(std::move(status)); });
  EXPECT_TRUE(done.get_future().get().ok());
}

TEST_F(SecureServerTest, AdministrationAsksForTokensOverTls) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  options.security.token_file =
      TokenFile({{"ops", "admin: all"}, {"kitchen", "receive: [orders]"}, {"bare", ""}});
  Start(options);
  ASSERT_TRUE(server_->broker().CreateQueue("orders").ok());
  HttpsClient admin(server_->admin_address(), authority_.root());
  const std::string peek = "/admin/queues/orders/messages";
  struct Row {
    std::string target;
    int none, bare, kitchen, ops;
  };
  const Row rows[] = {
      {"/healthz", 200, 200, 200, 200},
      {"/readyz", 200, 200, 200, 200},
      {"/metrics", 401, 200, 200, 200},
      {peek, 401, 403, 200, 200},
      {"/admin/queues/others/messages", 401, 403, 403, 404},
      {"/admin/clock/advance", 401, 403, 403, 405},
      {"/no/such/page", 401, 403, 403, 404},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(admin.Get(row.target).status, row.none) << row.target;
    EXPECT_EQ(admin.Get(row.target, "bare-secret").status, row.bare) << row.target;
    EXPECT_EQ(admin.Get(row.target, "kitchen-secret").status, row.kitchen) << row.target;
    EXPECT_EQ(admin.Get(row.target, "ops-secret").status, row.ops) << row.target;
  }
  HttpsClient http(server_->http_address(), authority_.root());
  EXPECT_EQ(http.Get("/").status, 401);
  EXPECT_EQ(http.Get("/", "bare-secret").status, 501);
}

TEST_F(SecureServerTest, RefusalOverHttpSaysHowToComeIn) {
  ServerOptions options = Options();
  options.security.token_file = TokenFile({{"ops", "admin: all"}});
  Start(options);
  const HttpResult refused = Http(server_->admin_address(), "GET", "/metrics");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.headers.at("www-authenticate"), "Bearer");
  EXPECT_THAT(refused.body, HasSubstr("MissingAuthenticationToken"));
  EXPECT_EQ(
      Http(server_->admin_address(), "GET", "/metrics", "", "Authorization: Bearer ops-secret\r\n")
          .status,
      200);
}

TEST_F(SecureServerTest, ReloadedTokensCountForOpenConnections) {
  ServerOptions options = Options();
  options.security.token_file = TokenFile({{"ops", "admin: all"}});
  Start(options);
  const auto ops = Client({.token = "ops-secret"});
  const auto next = Client({.token = "next-secret"});
  ASSERT_TRUE(List(ops).ok());
  ASSERT_EQ(GetErrorInfo(List(next)).reason, "InvalidClientTokenId");
  TokenFile({{"next", "admin: all"}});
  ASSERT_TRUE(server_->Reload().ok());
  EXPECT_EQ(GetErrorInfo(List(ops)).reason, "InvalidClientTokenId");
  EXPECT_TRUE(List(next).ok());
}

TEST_F(SecureServerTest, TokenFileThatOthersReadIsRefusedAtTheStart) {
  ServerOptions options = Options();
  options.security.token_file = TokenFile({{"ops", "admin: all"}});
  ASSERT_EQ(::chmod(options.security.token_file.c_str(), 0644), 0);
  const absl::Status refused = StartStatus(options);
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_EQ(GetErrorInfo(refused).field, "token_file");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("chmod 600"));
}

TEST_F(SecureServerTest, NothingSecretIsLogged) {
  const LogCapture log;
  const PemPair pair = authority_.Issue();
  ServerOptions options = Options();
  options.security.tls = ServerFiles(pair);
  options.security.token_file = TokenFile({{"ops", "send: [orders]"}});
  Start(options);
  for (const char* token : {"ops-secret", "guessed-secret"}) {
    EXPECT_FALSE(List(TlsClient(authority_.root(), {}, token)).ok());
    const std::string target = absl::StrCat("/metrics?", token);
    HttpsClient(server_->admin_address(), authority_.root()).Get(target, token);
  }
  ASSERT_TRUE(server_->Reload().ok());
  EXPECT_THAT(log.text(), HasSubstr("refused ListQueues from 127.0.0.1: AccessDenied"));
  EXPECT_THAT(log.text(), Not(HasSubstr("-secret")));
  EXPECT_THAT(log.text(), Not(HasSubstr(Sha256Hex("ops-secret"))));
  EXPECT_THAT(log.text(), Not(HasSubstr("PRIVATE KEY")));
}

// ---- Limits ----

class LimitedServerTest : public SecureServerTest {
 protected:
  // A connection of its own.
  std::shared_ptr<grpc::Channel> Channel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 10);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10);
    return grpc::CreateCustomChannel(server_->grpc_address(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  static grpc::StatusCode List(const std::shared_ptr<grpc::Channel>& channel) {
    v1::ListQueuesResponse response;
    return v1::QueueService::NewStub(channel)
        ->ListQueues(Context().get(), {}, &response)
        .error_code();
  }

  void ExpectTwoConnectionsAtMost(const ServerOptions& options) {
    Start(options);
    channel_.reset();
    stub_.reset();
    auto first = Channel();
    const auto second = Channel();
    const auto third = Channel();
    EXPECT_EQ(List(first), grpc::StatusCode::OK);
    EXPECT_EQ(List(second), grpc::StatusCode::OK);
    EXPECT_EQ(List(third), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(List(second), grpc::StatusCode::OK);
    first.reset();
    EXPECT_TRUE(Eventually([&] { return List(third) == grpc::StatusCode::OK; }));
    EXPECT_EQ(List(Channel()), grpc::StatusCode::UNAVAILABLE);
  }
};

TEST_F(LimitedServerTest, ConnectionsOfTheListener) {
  ServerOptions options = Options();
  options.security.connections = {.total = 2, .per_client = 10};
  ExpectTwoConnectionsAtMost(options);
}

TEST_F(LimitedServerTest, ConnectionsOfOneAddress) {
  ServerOptions options = Options();
  options.security.connections = {.total = 10, .per_client = 2};
  ExpectTwoConnectionsAtMost(options);
}

TEST_F(LimitedServerTest, ConnectionsOfAUnixSocket) {
  ServerOptions options = Options();
  options.grpc_listen = "unix:" + (directory_ / "grpc.sock");
  options.security.connections = {.total = 10, .per_client = 2};
  ExpectTwoConnectionsAtMost(options);
}

TEST_F(LimitedServerTest, ConnectionsOfHttp) {
  ServerOptions options = Options();
  options.security.tls = ServerFiles(authority_.Issue());
  options.security.connections = {.total = 1, .per_client = 1};
  Start(options);
  {
    HttpsClient first(server_->admin_address(), authority_.root());
    EXPECT_EQ(first.Get("/healthz").status, 200);
    EXPECT_EQ(HttpsClient(server_->admin_address(), authority_.root()).Get("/healthz").status, 0);
    // The other listener counts for itself.
    EXPECT_EQ(HttpsClient(server_->http_address(), authority_.root()).Get("/").status, 501);
    EXPECT_EQ(first.Get("/healthz").status, 200);
  }
  EXPECT_TRUE(Eventually([&] {
    return HttpsClient(server_->admin_address(), authority_.root()).Get("/healthz").status == 200;
  }));
}

TEST_F(LimitedServerTest, CallsBeyondTheStreamsOfAConnectionWaitTheirTurn) {
  ServerOptions options = Options();
  options.security.max_streams = 1;
  Start(options);
  CreateQueue("orders");
  const auto crowded = Channel();
  const auto stub = v1::QueueService::NewStub(crowded);
  auto parked = std::async(std::launch::async, [&] {
    v1::ReceiveMessageRequest request;
    request.set_queue("orders");
    request.mutable_wait()->set_seconds(3600);
    v1::ReceiveMessageResponse response;
    EXPECT_TRUE(stub->ReceiveMessage(Context().get(), request, &response).ok());
    return response.messages_size() > 0 ? response.messages(0).body() : "";
  });
  ASSERT_TRUE(EventuallyParked(1));
  // It would wake the receive if it were not held back by it.
  v1::SendMessageRequest request;
  request.set_queue("orders");
  *request.add_entries() = Entry("held back");
  v1::SendMessageResponse response;
  const auto context = Context();
  std::promise<grpc::Status> sent;
  stub->async()->SendMessage(context.get(), &request, &response,
                             [&sent](grpc::Status status) { sent.set_value(std::move(status)); });
  ASSERT_TRUE(SendBody("orders", "from another connection").ok());
  EXPECT_EQ(parked.get(), "from another connection");
  EXPECT_TRUE(sent.get_future().get().ok());
}

TEST_F(LimitedServerTest, RequestsPerSecondOfEachToken) {
  ServerOptions options = Options();
  options.security.max_requests_per_second = 3;
  options.security.token_file = TokenFile({{"a", "admin: all"}, {"b", "admin: all"}});
  Start(options);
  const auto a = Client({.token = "a-secret"});
  const auto b = Client({.token = "b-secret"});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(SecureServerTest::List(a).ok());
  const absl::Status throttled = SecureServerTest::List(a);
  EXPECT_EQ(throttled.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(throttled).reason, "RequestThrottled");
  EXPECT_EQ(GetErrorInfo(throttled).limit, "3");
  EXPECT_TRUE(SecureServerTest::List(b).ok());
  EXPECT_EQ(
      Http(server_->admin_address(), "GET", "/metrics", "", "Authorization: Bearer a-secret\r\n")
          .status,
      429);
  server_->manual_clock()->Advance(absl::Seconds(1));
  EXPECT_TRUE(SecureServerTest::List(a).ok());
}

}  // namespace
}  // namespace barista::server
