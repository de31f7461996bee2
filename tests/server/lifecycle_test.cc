// Start, drain and end of a server and of the process around it.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/version.h"
#include "broker/server/ready_file.h"
#include "broker/server/serve.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The text of a JSON string.
std::string Text(const boost::json::value& value) { return std::string(value.as_string()); }

std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class LifecycleTest : public ServerTest {
 protected:
  // Sends one message of raw bytes to `method` and returns the first one of the reply.
  std::string RawCall(const std::string& method, const std::string& bytes) {
    grpc::GenericStub stub(channel_);
    const std::unique_ptr<grpc::ClientContext> context = Context();
    grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareCall(context.get(), method, &queue);
    void* tag = nullptr;
    bool ok = false;
    call->StartCall(&tag);
    queue.Next(&tag, &ok);
    call->WriteLast(request, {}, &tag);
    queue.Next(&tag, &ok);
    grpc::ByteBuffer reply;
    call->Read(&reply, &tag);
    queue.Next(&tag, &ok);
    std::string text;
    std::vector<grpc::Slice> slices;
    if (ok && reply.Dump(&slices).ok()) {
      for (const grpc::Slice& part : slices) {
        text.append(reinterpret_cast<const char*>(part.begin()), part.size());
      }
    }
    context->TryCancel();
    grpc::Status status;
    call->Finish(&status, &tag);
    queue.Next(&tag, &ok);
    return text;
  }
};

TEST_F(LifecycleTest, HealthServiceSaysServingUntilTheDrain) {
  const std::string service = "barista.v1.QueueService";
  const std::string request =
      absl::StrCat("\x0a", std::string(1, static_cast<char>(service.size())), service);
  constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
  EXPECT_EQ(RawCall(kCheck, request), "\x08\x01");  // SERVING
  EXPECT_EQ(RawCall(kCheck, ""), "\x08\x01");
  server_->Drain();
  EXPECT_EQ(RawCall(kCheck, request), "\x08\x02");  // NOT_SERVING
}

TEST_F(LifecycleTest, ReflectionListsTheService) {
  constexpr char kInfo[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  EXPECT_THAT(RawCall(kInfo, std::string("\x3a\x00", 2)), HasSubstr("barista.v1.QueueService"));
}

TEST_F(LifecycleTest, ShutdownFinishesCallsAndRefusesLaterOnes) {
  CreateQueue("orders");
  auto waiting =
      std::async(std::launch::async, [&] { return Receive("orders", 1, absl::Hours(1)); });
  ASSERT_TRUE(EventuallyParked(1));
  auto waiter = std::async(std::launch::async, [&] { server_->Wait(); });
  EXPECT_TRUE(server_->Shutdown().ok());
  EXPECT_TRUE(waiting.get().empty());
  waiter.get();
  EXPECT_TRUE(server_->Shutdown().ok());
  EXPECT_EQ(SendBody("orders", "x").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Http(server_->admin_address(), "GET", "/healthz").status, 0);
}

TEST_F(LifecycleTest, MessagesSurviveARestart) {
  const TemporaryDirectory directory;
  ServerOptions options = Options();
  options.broker.data_dir = directory / "data";
  ASSERT_TRUE(server_->Shutdown().ok());
  Start(options);
  CreateQueue("orders");
  ASSERT_TRUE(SendBody("orders", "espresso").ok());
  ASSERT_TRUE(server_->Shutdown().ok());
  server_.reset();
  Start(options);
  const std::vector<v1::Message> received = Receive("orders", 1, absl::Seconds(1));
  ASSERT_THAT(received, SizeIs(1));
  EXPECT_EQ(received[0].body(), "espresso");
}

TEST_F(LifecycleTest, DataDirectoryInUseIsRefused) {
  const TemporaryDirectory directory;
  ServerOptions options = Options();
  options.broker.data_dir = directory / "data";
  const absl::StatusOr<std::unique_ptr<Server>> first = Server::Start(options);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::StatusOr<std::unique_ptr<Server>> second = Server::Start(options);
  EXPECT_EQ(GetErrorInfo(second.status()).reason, "DataDirectoryInUse") << second.status();
}

TEST_F(LifecycleTest, TakenPortIsNamed) {
  const auto expect_taken = [&](std::string ServerOptions::*listen, const std::string& address) {
    ServerOptions options = Options();
    options.*listen = address;
    const absl::StatusOr<std::unique_ptr<Server>> second = Server::Start(options);
    ASSERT_FALSE(second.ok()) << address;
    EXPECT_THAT(std::string(second.status().message()), HasSubstr(address));
    EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
  };
  expect_taken(&ServerOptions::http_listen, server_->http_address());
  expect_taken(&ServerOptions::admin_listen, server_->admin_address());
  expect_taken(&ServerOptions::grpc_listen, server_->grpc_address());
}

TEST_F(LifecycleTest, AddressesThatOthersReachNeedInsecure) {
  for (const auto listen :
       {&ServerOptions::http_listen, &ServerOptions::admin_listen, &ServerOptions::grpc_listen}) {
    ServerOptions options = Options();
    options.*listen = "0.0.0.0:0";
    const absl::StatusOr<std::unique_ptr<Server>> refused = Server::Start(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--insecure"));
    options.insecure = true;
    EXPECT_TRUE(Server::Start(options).ok());
  }
}

TEST_F(LifecycleTest, GrpcListensOnAUnixSocket) {
  const TemporaryDirectory directory;
  ServerOptions options = Options();
  options.grpc_listen = "unix:" + (directory / "barista.sock");
  ASSERT_TRUE(server_->Shutdown().ok());
  Start(options);
  EXPECT_EQ(server_->grpc_address(), options.grpc_listen);
  CreateQueue("orders");
  EXPECT_TRUE(SendBody("orders", "espresso").ok());
}

TEST_F(LifecycleTest, UnixSocketOfALivingServerIsTakenAndADeadOneIsNot) {
  const TemporaryDirectory directory;
  ServerOptions options = Options();
  options.grpc_listen = "unix:" + (directory / "barista.sock");
  const absl::StatusOr<std::unique_ptr<Server>> first = Server::Start(options);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::StatusOr<std::unique_ptr<Server>> second = Server::Start(options);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));

  // What a killed server leaves: a socket that nobody listens on.
  const std::string dead = directory / "dead.sock";
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  dead.copy(name.sun_path, sizeof(name.sun_path) - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  ::close(fd);
  options.grpc_listen = "unix:" + dead;
  EXPECT_TRUE(Server::Start(options).ok());

  std::ofstream(directory / "file") << "precious";
  options.grpc_listen = "unix:" + (directory / "file");
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("no socket"));
  EXPECT_EQ(Slurp(directory / "file"), "precious");
}

TEST_F(LifecycleTest, EveryPartAnswersTheWatchdog) {
  EXPECT_THAT(server_->SilentParts(), IsEmpty());
  // Each time they have answered the question before, at some point.
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Eventually([&] { return server_->SilentParts().empty(); }));
  }
}

TEST_F(LifecycleTest, ReconfigureTakesAllOrNothing) {
  ServerOptions options = Options();
  options.metrics_queues = 0;
  options.queues = {{"orders", "file:1", {}, std::nullopt}};
  ASSERT_TRUE(server_->Reconfigure(options).ok());
  EXPECT_TRUE(server_->broker().GetQueue("orders").ok());
  EXPECT_THAT(Http(server_->admin_address(), "GET", "/metrics").body,
              HasSubstr("barista_metrics_queues_omitted 1"));

  for (const int queues : {-1, kMaxSurveyedQueues + 1}) {
    options.metrics_queues = queues;
    EXPECT_EQ(GetErrorInfo(server_->Reconfigure(options)).field, "metrics_queues");
  }
  options.metrics_queues = 7;
  options.queues = {{"late", "file:1", {}, std::nullopt}, {"bad", "file:2", {}, std::nullopt}};
  options.queues[1].attributes.redrive_policy = RedrivePolicy{"nowhere", 1};
  const absl::Status refused = server_->Reconfigure(options);
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("file:2: queue bad: "));
  EXPECT_FALSE(server_->broker().GetQueue("late").ok());
  EXPECT_THAT(Http(server_->admin_address(), "GET", "/metrics").body,
              HasSubstr("barista_metrics_queues_omitted 1"));
}

TEST_F(LifecycleTest, QueuesOfTheOptionsAreThereAtTheStart) {
  ServerOptions options = Options();
  options.queues = {{"orders", "file:1", {}, std::nullopt}};
  const absl::StatusOr<std::unique_ptr<Server>> other = Server::Start(options);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_TRUE((*other)->broker().GetQueue("orders").ok());
  options.queues[0].attributes.durability = Durability::kFsync;  // of a broker in memory
  EXPECT_EQ(GetErrorInfo(Server::Start(options).status()).field, "queues");
}

TEST_F(LifecycleTest, TwoServersLiveInOneProcess) {
  const absl::StatusOr<std::unique_ptr<Server>> other = Server::Start(Options());
  ASSERT_TRUE(other.ok()) << other.status();
  CreateQueue("orders");
  EXPECT_FALSE((*other)->broker().GetQueue("orders").ok());
}

TEST_F(LifecycleTest, ReadyFileTellsTheRealAddresses) {
  const TemporaryDirectory directory;
  const std::string path = directory / "ready.json";
  ASSERT_TRUE(RemoveReadyFile(path).ok());  // there is none: fine
  ASSERT_TRUE(WriteReadyFile(path, *server_).ok());
  const std::string text = Slurp(path);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const boost::json::value ready = boost::json::parse(text);
  EXPECT_EQ(Text(ready.at("grpc")), server_->grpc_address());
  EXPECT_EQ(Text(ready.at("http")), server_->http_address());
  EXPECT_EQ(Text(ready.at("admin")), server_->admin_address());
  EXPECT_EQ(ready.at("pid").to_number<int>(), ::getpid());
  EXPECT_EQ(Text(ready.at("version")), BARISTA_VERSION);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  ASSERT_TRUE(RemoveReadyFile(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(WriteReadyFile(directory / "no/such/ready.json", *server_).ok());
}

// `barista serve` in this process, on free ports.
class ServeTest : public ::testing::Test {
 protected:
  int Serve(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "barista serve");
    for (const char* listen : {"--http-listen", "--admin-listen", "--grpc-listen"}) {
      if (std::count(arguments.begin(), arguments.end(), listen) > 0) continue;
      arguments.push_back(listen);
      arguments.push_back("127.0.0.1:0");
    }
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    return ServeMain(static_cast<int>(argv.size()), argv.data());
  }
  const TemporaryDirectory directory_;
};

TEST_F(ServeTest, ServesUntilSigtermAndRemovesItsReadyFile) {
  const std::string ready = directory_ / "ready.json";
  std::ofstream(ready) << "old";
  auto served = std::async(std::launch::async, [&] {
    return Serve({"--data-dir", directory_ / "data", "--ready-file", ready, "--log-level", "off"});
  });
  ASSERT_TRUE(Eventually([&] {
    const std::string text = Slurp(ready);
    return !text.empty() && text[0] == '{';
  }));
  const boost::json::value addresses = boost::json::parse(Slurp(ready));
  const std::string admin = Text(addresses.at("admin"));
  EXPECT_EQ(Http(admin, "GET", "/readyz").status, 200);
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(served.get(), 0);
  EXPECT_FALSE(std::filesystem::exists(ready));
}

TEST_F(ServeTest, CannotServeIsOneLineAndExitCodeOne) {
  const std::string file = directory_ / "file";
  std::ofstream(file) << "not a directory";
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Serve({"--data-dir", file, "--log-level", "off"}), 1);
  const std::string error = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(error, HasSubstr("barista serve: "));
  EXPECT_EQ(error.find('\n'), error.size() - 1) << error;
}

TEST_F(ServeTest, WrongUsageIsExitCodeTwo) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Serve({"--no-such-flag"}), 2);
  EXPECT_EQ(Serve({"--memory", "--data-dir", "x"}), 2);
  EXPECT_EQ(Serve({"--memory", "--http-listen", "0.0.0.0:0"}), 2);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("--no-such-flag"));
}

}  // namespace
}  // namespace barista::server
