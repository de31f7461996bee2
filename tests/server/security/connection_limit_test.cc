#include "broker/server/security/connection_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "barista/error.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;

TEST(ConnectionLimitTest, TotalAtAndPastTheEdge) {
  ConnectionLimit limit({.total = 2, .per_client = 2});
  auto a = limit.Take("10.0.0.1");
  std::optional<absl::StatusOr<ConnectionLimit::Slot>> b(limit.Take("10.0.0.2"));
  ASSERT_TRUE(a.ok() && b->ok());
  const absl::Status refused = limit.Take("10.0.0.3").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(refused).reason, "TooManyConnections");
  EXPECT_EQ(GetErrorInfo(refused).field, "max_connections");
  EXPECT_EQ(GetErrorInfo(refused).limit, "2");
  b.reset();
  EXPECT_EQ(limit.open(), 1u);
  EXPECT_TRUE(limit.Take("10.0.0.3").ok());
}

TEST(ConnectionLimitTest, PerClientAtAndPastTheEdge) {
  ConnectionLimit limit({.total = 10, .per_client = 1});
  auto first = limit.Take("10.0.0.1");
  ASSERT_TRUE(first.ok());
  const absl::Status refused = limit.Take("10.0.0.1").status();
  EXPECT_EQ(GetErrorInfo(refused).field, "max_client_connections");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("10.0.0.1 has 1 connections; limit 1"));
  EXPECT_TRUE(limit.Take("10.0.0.2").ok());
  {
    const ConnectionLimit::Slot moved = *std::move(first);
    EXPECT_FALSE(limit.Take("10.0.0.1").ok());
  }
  EXPECT_TRUE(limit.Take("10.0.0.1").ok());
  EXPECT_EQ(limit.open(), 0u);
}

TEST(ConnectionLimitTest, NewLimitsLeaveOpenConnectionsAlone) {
  ConnectionLimit limit({.total = 2, .per_client = 2});
  auto a = limit.Take("10.0.0.1"), b = limit.Take("10.0.0.2");
  ASSERT_TRUE(a.ok() && b.ok());
  limit.SetLimits({.total = 1, .per_client = 1});
  EXPECT_EQ(limit.open(), 2u);
  EXPECT_EQ(GetErrorInfo(limit.Take("10.0.0.3").status()).limit, "1");
  limit.SetLimits({.total = 3, .per_client = 1});
  EXPECT_EQ(GetErrorInfo(limit.Take("10.0.0.1").status()).field, "max_client_connections");
  EXPECT_TRUE(limit.Take("10.0.0.3").ok());
}

}  // namespace
}  // namespace barista::server
