#include "broker/server/security/client_limit.h"

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

TEST(ClientLimitTest, TotalAtAndPastTheEdge) {
  ClientLimit limit(kConnections, {.total = 2, .per_client = 2});
  auto a = limit.Take("10.0.0.1");
  std::optional<absl::StatusOr<ClientLimit::Share>> b(limit.Take("10.0.0.2"));
  ASSERT_TRUE(a.ok() && b->ok());
  const absl::Status refused = limit.Take("10.0.0.3").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(refused).reason, "TooManyConnections");
  EXPECT_EQ(GetErrorInfo(refused).field, "max_connections");
  EXPECT_EQ(GetErrorInfo(refused).value, "3");
  EXPECT_EQ(GetErrorInfo(refused).limit, "2");
  b.reset();
  EXPECT_EQ(limit.taken(), 1u);
  EXPECT_TRUE(limit.Take("10.0.0.3").ok());
}

TEST(ClientLimitTest, PerClientAtAndPastTheEdge) {
  ClientLimit limit(kConnections, {.total = 10, .per_client = 1});
  auto first = limit.Take("10.0.0.1");
  ASSERT_TRUE(first.ok());
  const absl::Status refused = limit.Take("10.0.0.1").status();
  EXPECT_EQ(GetErrorInfo(refused).field, "max_client_connections");
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("10.0.0.1 has 1 connections and wants 1 more; limit 1"));
  EXPECT_TRUE(limit.Take("10.0.0.2").ok());
  {
    const ClientLimit::Share moved = *std::move(first);
    EXPECT_FALSE(limit.Take("10.0.0.1").ok());
  }
  EXPECT_TRUE(limit.Take("10.0.0.1").ok());
  EXPECT_EQ(limit.taken(), 0u);
}

TEST(ClientLimitTest, AmountsAtAndPastTheEdge) {
  ClientLimit limit(kConnections, {.total = 100, .per_client = 60});
  EXPECT_FALSE(limit.Take("a", 61).ok());
  const auto a = limit.Take("a", 60);
  EXPECT_TRUE(a.ok());
  const absl::Status refused = limit.Take("b", 41).status();
  EXPECT_EQ(GetErrorInfo(refused).field, "max_connections");
  EXPECT_EQ(GetErrorInfo(refused).value, "101");
  const auto b = limit.Take("b", 40);
  EXPECT_TRUE(b.ok());
  EXPECT_EQ(limit.taken(), 100u);
  EXPECT_FALSE(limit.Take("c").ok());
}

TEST(ClientLimitTest, NewLimitsLeaveAloneWhatIsTaken) {
  ClientLimit limit(kConnections, {.total = 2, .per_client = 2});
  auto a = limit.Take("10.0.0.1"), b = limit.Take("10.0.0.2");
  ASSERT_TRUE(a.ok() && b.ok());
  limit.SetLimits({.total = 1, .per_client = 1});
  EXPECT_EQ(limit.taken(), 2u);
  EXPECT_EQ(GetErrorInfo(limit.Take("10.0.0.3").status()).limit, "1");
  limit.SetLimits({.total = 3, .per_client = 1});
  EXPECT_EQ(GetErrorInfo(limit.Take("10.0.0.1").status()).field, "max_client_connections");
  EXPECT_TRUE(limit.Take("10.0.0.3").ok());
}

}  // namespace
}  // namespace barista::server
