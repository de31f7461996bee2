#include "tests/server/server_fixture.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "barista/rpc/status.pb.h"

namespace barista::server {

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time limit = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

Details DetailsOf(const grpc::Status& status) {
  Details details;
  rpc::Status wire;
  if (!wire.ParseFromString(status.error_details()) || wire.details_size() != 1) return details;
  if (wire.details(0).type_url() != "type.googleapis.com/google.rpc.ErrorInfo") return details;
  rpc::ErrorInfo info;
  if (!info.ParseFromString(wire.details(0).value())) return details;
  details.code = wire.code();
  details.domain = info.domain();
  details.reason = info.reason();
  const auto get = [&](const char* key) {
    const auto it = info.metadata().find(key);
    return it == info.metadata().end() ? std::string() : it->second;
  };
  details.field = get("field");
  details.value = get("value");
  details.limit = get("limit");
  return details;
}

::testing::AssertionResult FailedWith(const grpc::Status& status, grpc::StatusCode code,
                                      absl::string_view reason) {
  const Details details = DetailsOf(status);
  if (status.error_code() == code && details.code == code && details.domain == "barista" &&
      details.reason == reason) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << "expected " << code << " " << std::string(reason) << ", got " << status.error_code()
         << " " << status.error_message() << " {domain " << details.domain << ", reason "
         << details.reason << ", code " << details.code << "}";
}

HttpResult Http(const std::string& address, const std::string& method, const std::string& target,
                const std::string& body, const std::string& headers) {
  HttpResult result;
  const std::vector<std::string> parts = absl::StrSplit(address, ':');
  int port = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &port)) return result;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, parts[0].c_str(), &to.sin_addr);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  std::string reply;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string request = absl::StrCat(method, " ", target, " HTTP/1.1\r\nHost: ", address,
                                             "\r\nContent-Length: ", body.size(),
                                             "\r\nConnection: close\r\n", headers, "\r\n", body);
    size_t sent = 0;
    while (sent < request.size()) {
      const ssize_t n = ::send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    char buffer[4096];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;) reply.append(buffer, n);
  }
  ::close(fd);

  const size_t end = reply.find("\r\n\r\n");
  if (end == std::string::npos) return result;
  result.body = reply.substr(end + 4);
  const std::vector<std::string> lines = absl::StrSplit(reply.substr(0, end), "\r\n");
  const std::vector<std::string> first = absl::StrSplit(lines[0], ' ');
  if (first.size() < 2 || !absl::SimpleAtoi(first[1], &result.status)) return result;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<std::string, std::string> header =
        absl::StrSplit(lines[i], absl::MaxSplits(": ", 1));
    result.headers[absl::AsciiStrToLower(header.first)] = header.second;
  }
  return result;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "barista-server-XXXXXX").string();
  const char* made = ::mkdtemp(pattern.data());
  if (made == nullptr) std::abort();
  path_ = made;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

v1::SendMessageEntry Entry(const std::string& body) {
  v1::SendMessageEntry entry;
  entry.set_body(body);
  return entry;
}

void ServerTest::TearDown() {
  stub_.reset();
  channel_.reset();
  if (server_ != nullptr) {
    EXPECT_TRUE(server_->Shutdown().ok());
  }
}

ServerOptions ServerTest::Options() {
  ServerOptions options;
  options.http_listen = options.admin_listen = options.grpc_listen = "127.0.0.1:0";
  options.manual_clock = true;
  return options;
}

void ServerTest::Start(const ServerOptions& options) {
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel(server_->grpc_address(), grpc::InsecureChannelCredentials(),
                                       arguments);
  stub_ = v1::QueueService::NewStub(channel_);
}

std::unique_ptr<grpc::ClientContext> ServerTest::Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kPatience));
  return context;
}

std::unique_ptr<v1::QueueService::Stub> ServerTest::StubOfFixedWindows() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::QueueService::NewStub(grpc::CreateCustomChannel(
      server_->grpc_address(), grpc::InsecureChannelCredentials(), arguments));
}

void ServerTest::CreateQueue(const std::string& name,
                             const std::map<std::string, std::string>& attributes) {
  v1::CreateQueueRequest request;
  request.set_queue(name);
  for (const auto& [key, value] : attributes) (*request.mutable_attributes())[key] = value;
  v1::CreateQueueResponse response;
  const grpc::Status status = stub_->CreateQueue(Context().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

grpc::Status ServerTest::Send(const std::string& queue,
                              const std::vector<v1::SendMessageEntry>& entries,
                              v1::SendMessageResponse* response) {
  v1::SendMessageRequest request;
  request.set_queue(queue);
  for (const v1::SendMessageEntry& entry : entries) *request.add_entries() = entry;
  v1::SendMessageResponse dropped;
  return stub_->SendMessage(Context().get(), request, response != nullptr ? response : &dropped);
}

grpc::Status ServerTest::SendBody(const std::string& queue, const std::string& body) {
  return Send(queue, {Entry(body)});
}

std::vector<v1::Message> ServerTest::Receive(const std::string& queue, int max_messages,
                                             absl::Duration wait) {
  v1::ReceiveMessageRequest request;
  request.set_queue(queue);
  request.set_max_messages(max_messages);
  request.mutable_wait()->set_seconds(absl::ToInt64Seconds(wait));
  v1::ReceiveMessageResponse response;
  const grpc::Status status = ReceiveStatus(request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return {response.messages().begin(), response.messages().end()};
}

grpc::Status ServerTest::ReceiveStatus(const v1::ReceiveMessageRequest& request,
                                       v1::ReceiveMessageResponse* response) {
  v1::ReceiveMessageResponse dropped;
  return stub_->ReceiveMessage(Context().get(), request, response != nullptr ? response : &dropped);
}

grpc::Status ServerTest::Delete(const std::string& queue, const std::vector<std::string>& handles,
                                v1::DeleteMessageResponse* response) {
  v1::DeleteMessageRequest request;
  request.set_queue(queue);
  for (const std::string& handle : handles) request.add_receipt_handles(handle);
  v1::DeleteMessageResponse dropped;
  return stub_->DeleteMessage(Context().get(), request, response != nullptr ? response : &dropped);
}

std::string ServerTest::Attribute(const std::string& queue, const std::string& name) {
  v1::GetQueueRequest request;
  request.set_queue(queue);
  v1::GetQueueResponse response;
  const grpc::Status status = stub_->GetQueue(Context().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  const auto& attributes = response.queue().attributes();
  const auto it = attributes.find(name);
  return it == attributes.end() ? "" : it->second;
}

bool ServerTest::EventuallyParked(int64_t receives) {
  return Eventually([&] { return server_->broker().Stats().parked_receives == receives; });
}

}  // namespace barista::server
