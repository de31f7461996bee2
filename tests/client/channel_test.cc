#include "client/channel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/rpc/status.pb.h"
#include "client/queue_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace barista::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ChannelTest, AddressBecomesTarget) {
  EXPECT_EQ(*GrpcTarget("127.0.0.1:9326"), "dns:///127.0.0.1:9326");
  EXPECT_EQ(*GrpcTarget("broker.example:1"), "dns:///broker.example:1");
  EXPECT_EQ(*GrpcTarget("[::1]:65535"), "dns:///[::1]:65535");
  EXPECT_EQ(*GrpcTarget("unix:/run/barista.sock"), "unix:/run/barista.sock");
}

TEST(ChannelTest, AddressThatIsNoneIsRefused) {
  for (const char* server :
       {"", ":", ":9326", "host", "host:", "host:0", "host:65536", "host:x", "::1:9326", "unix:"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(GrpcTarget(server).status())) << server;
    EXPECT_TRUE(absl::IsInvalidArgument(OpenChannel({.server = server}).status())) << server;
  }
}

// A machine far away, or a busy one: it accepts and takes its time to answer.
TEST(ChannelTest, SlowConnectionIsWaitedFor) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener, generic, bytes), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, generic, &bytes), 0);
  const auto client = QueueClient::Open(
      {.server = absl::StrCat("127.0.0.1:", ntohs(address.sin_port))}, absl::Milliseconds(300));
  ASSERT_TRUE(client.ok()) << client.status();
  const absl::Status status = (*client)->ListQueues({}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  ::close(listener);
}

TEST(ChannelTest, FilesThatDoNotGoTogetherAreRefused) {
  const auto refused = [](const ChannelOptions& options) {
    const absl::Status status = OpenChannel(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refused({.tls_ca = "/no/ca.pem"}), HasSubstr("/no/ca.pem"));
  EXPECT_THAT(refused({.tls_certificate = "c"}), HasSubstr("go together"));
  EXPECT_THAT(refused({.tls_ca = "ca", .tls_key = "k"}), HasSubstr("go together"));
  EXPECT_THAT(refused({.tls_certificate = "c", .tls_key = "k"}), HasSubstr("needs the CA"));
}

TEST(ChannelTest, TokenIsOneWordAndNotQuoted) {
  EXPECT_TRUE(OpenChannel({.token = std::string(512, 't')}).ok());
  for (const std::string& token :
       {std::string(513, 't'), std::string("two words"), std::string("line\n"),
        std::string("caf\xC3\xA9"), std::string("nul\0", 4)}) {
    const absl::Status status = OpenChannel({.token = token}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << token;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(token)));
  }
}

TEST(ChannelTest, TokenFileIsReadWithoutTheSpaceAroundIt) {
  const std::string path = ::testing::TempDir() + "/channel_test.token";
  std::ofstream(path) << " t0ken\n\n";
  EXPECT_EQ(*ReadTokenFile(path), "t0ken");
  std::ofstream(path) << "\n";
  EXPECT_TRUE(absl::IsInvalidArgument(ReadTokenFile(path).status()));
  std::remove(path.c_str());
  EXPECT_TRUE(absl::IsInvalidArgument(ReadTokenFile(path).status()));
}

grpc::Status WithInfo(const std::string& domain) {
  barista::rpc::ErrorInfo info;
  info.set_domain(domain);
  info.set_reason("QueueDoesNotExist");
  (*info.mutable_metadata())["field"] = "queue";
  (*info.mutable_metadata())["value"] = "orders";
  (*info.mutable_metadata())["limit"] = "80";
  barista::rpc::Status details;
  details.add_details()->set_type_url("type.googleapis.com/google.rpc.Help");
  google::protobuf::Any* any = details.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any->set_value(info.SerializeAsString());
  return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such queue", details.SerializeAsString());
}

TEST(ChannelTest, StatusOfTheBrokerHasItsErrorInfo) {
  const absl::Status status = FromGrpcStatus(WithInfo("barista"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no such queue");
  const ErrorInfo info = GetErrorInfo(status);
  EXPECT_EQ(info.reason, "QueueDoesNotExist");
  EXPECT_EQ(info.field, "queue");
  EXPECT_EQ(info.value, "orders");
  EXPECT_EQ(info.limit, "80");
}

TEST(ChannelTest, OtherStatusesHaveNone) {
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
  EXPECT_EQ(GetErrorInfo(FromGrpcStatus(WithInfo("other.example"))).reason, "");
  const absl::Status transport =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "refused"));
  EXPECT_TRUE(absl::IsUnavailable(transport));
  EXPECT_EQ(GetErrorInfo(transport).reason, "");
  const absl::Status garbage =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\xff\xff"));
  EXPECT_TRUE(absl::IsInternal(garbage));
}

TEST(FromErrorTest, TheErrorOfAnEntryKeepsItsFacts) {
  v1::Error error;
  error.set_code(3);
  error.set_reason("InvalidParameterValue");
  error.set_message("body is empty");
  error.set_field("body");
  error.set_limit("1");
  const absl::Status status = FromError(error);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), "body is empty");
  EXPECT_EQ(GetErrorInfo(status).field, "body");
  EXPECT_EQ(GetErrorInfo(status).limit, "1");
}

}  // namespace
}  // namespace barista::client
