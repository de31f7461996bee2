#include <gtest/gtest.h>

#include <string>

#include "barista/client.h"

namespace barista::client {
namespace {

// The field that is wrong; empty: nothing is.
std::string Wrong(const ConnectOptions& options) {
  const absl::StatusOr<std::unique_ptr<QueueHost>> host = Connect(options);
  if (host.ok()) return "";
  EXPECT_TRUE(absl::IsInvalidArgument(host.status())) << host.status();
  const ErrorInfo info = GetErrorInfo(host.status());
  EXPECT_EQ(info.reason, "InvalidParameterValue") << host.status();
  return info.field;
}

TEST(ConnectTest, NeedsNoServer) {
  EXPECT_EQ(Wrong({}), "");
  EXPECT_EQ(Wrong({.server = "unix:/nowhere"}), "");
  EXPECT_EQ(Wrong({.server = "[::1]:1"}), "");
}

TEST(ConnectTest, EachOptionOutOfRangeIsNamed) {
  for (const char* server : {"", "here", "host:0", "host:65536", "unix:", "::1:80"}) {
    EXPECT_EQ(Wrong({.server = server}), "server") << server;
  }
  EXPECT_EQ(Wrong({.timeout = absl::Milliseconds(1)}), "");
  EXPECT_EQ(Wrong({.timeout = absl::Microseconds(999)}), "timeout");
  EXPECT_EQ(Wrong({.timeout = absl::Hours(1)}), "");
  EXPECT_EQ(Wrong({.timeout = absl::Hours(1) + absl::Nanoseconds(1)}), "timeout");
  EXPECT_EQ(Wrong({.timeout = absl::InfiniteDuration()}), "timeout");

  EXPECT_EQ(Wrong({.retry = {.max_attempts = 1}}), "");
  EXPECT_EQ(Wrong({.retry = {.max_attempts = 0}}), "retry.max_attempts");
  EXPECT_EQ(Wrong({.retry = {.max_attempts = 100}}), "");
  EXPECT_EQ(Wrong({.retry = {.max_attempts = 101}}), "retry.max_attempts");
  EXPECT_EQ(Wrong({.retry = {.initial_backoff = absl::Milliseconds(1)}}), "");
  EXPECT_EQ(Wrong({.retry = {.initial_backoff = absl::Microseconds(999)}}),
            "retry.initial_backoff");
  EXPECT_EQ(Wrong({.retry = {.initial_backoff = absl::Minutes(1), .max_backoff = absl::Hours(1)}}),
            "");
  EXPECT_EQ(Wrong({.retry = {.initial_backoff = absl::Minutes(1) + absl::Nanoseconds(1),
                             .max_backoff = absl::Hours(1)}}),
            "retry.initial_backoff");
  EXPECT_EQ(Wrong({.retry = {.max_backoff = absl::Milliseconds(50)}}), "");
  EXPECT_EQ(Wrong({.retry = {.max_backoff = absl::Milliseconds(49)}}), "retry.max_backoff");
  EXPECT_EQ(Wrong({.retry = {.max_backoff = absl::Hours(1) + absl::Nanoseconds(1)}}),
            "retry.max_backoff");
}

TEST(ConnectTest, ErrorsOfCredentialsNameTheFileAndNeverTheToken) {
  EXPECT_EQ(Wrong({.token = std::string(512, 't')}), "");
  EXPECT_EQ(Wrong({.token = std::string(513, 't')}), "credentials");
  EXPECT_EQ(Wrong({.tls_ca = "/nowhere/ca.pem"}), "credentials");
  const absl::Status file = Connect({.tls_ca = "/nowhere/ca.pem"}).status();
  EXPECT_NE(file.message().find("/nowhere/ca.pem"), std::string::npos) << file;
  const absl::Status token = Connect({.token = "two words"}).status();
  EXPECT_EQ(token.ToString().find("two words"), std::string::npos) << token;
}

TEST(ConnectTest, ClosedHostAnswersBrokerClosed) {
  const absl::StatusOr<std::unique_ptr<QueueHost>> host = Connect();
  ASSERT_TRUE(host.ok());
  EXPECT_TRUE((*host)->Close().ok());
  EXPECT_TRUE((*host)->Close().ok());
  EXPECT_EQ(GetErrorInfo((*host)->ListQueues().status()).reason, "BrokerClosed");
  EXPECT_EQ(GetErrorInfo((*host)->GetQueue("q").status()).reason, "BrokerClosed");
}

}  // namespace
}  // namespace barista::client
