#include "client/channel.h"

#include <string>

#include "barista/error.h"
#include "barista/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace barista::client {
namespace {

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

}  // namespace
}  // namespace barista::client
