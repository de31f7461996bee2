// Who may do what: roles, queues, limits, and what the log says about refusals.
#include "broker/server/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/server/grpc_caller.h"
#include "tests/server/log_capture.h"
#include "tests/server/token_file.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct TestCaller final : Caller {
  explicit TestCaller(std::string with_authorization, std::string with_client = "10.0.0.1")
      : authorization(std::move(with_authorization)), client(std::move(with_client)) {}
  absl::string_view Authorization() const override { return authorization; }
  std::string Client() const override { return client; }
  std::string authorization, client;
};

TestCaller With(const std::string& secret) { return TestCaller("Bearer " + secret); }

std::shared_ptr<const TokenTable> Tokens(
    const std::vector<std::pair<std::string, std::string>>& roles_by_name) {
  std::string text = "tokens:\n";
  for (const auto& [name, roles] : roles_by_name) {
    absl::StrAppend(&text, "  - {name: ", name, ", sha256: ", Sha256Hex(name + "-secret"),
                    roles.empty() ? "" : ", ", roles, "}\n");
  }
  auto table = TokenTable::Parse(text, "tokens.yaml");
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

std::string ReasonOf(const absl::Status& status) { return GetErrorInfo(status).reason; }

class AccessTest : public ::testing::Test {
 protected:
  ManualClock clock_;
};

TEST_F(AccessTest, WithoutTokensAndLimitsEverybodyMayDoEverything) {
  Access access(nullptr, {}, &clock_);
  EXPECT_FALSE(access.active());
  EXPECT_TRUE(access.Check(TestCaller(""), "DeleteQueue", "orders").ok());
  EXPECT_TRUE(access.Check(TestCaller(""), "Backup", "").ok());
}

TEST_F(AccessTest, TokenMustBeThereAndKnown) {
  Access access(Tokens({{"ops", "admin: all"}}), {}, &clock_);
  for (const char* none : {"", "ops-secret", "Basic b3Bz", "Bearer", "Bearer "}) {
    const absl::Status status = access.Check(TestCaller(none), "SendMessage", "orders");
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << none;
    EXPECT_EQ(ReasonOf(status), "MissingAuthenticationToken") << none;
  }
  for (const char* wrong : {"Bearer ops", "Bearer ops-secret ", "Bearer  ops-secret"}) {
    const absl::Status status = access.Check(TestCaller(wrong), "SendMessage", "orders");
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << wrong;
    EXPECT_EQ(ReasonOf(status), "InvalidClientTokenId") << wrong;
  }
  for (const char* right : {"Bearer ops-secret", "bearer ops-secret"}) {
    EXPECT_TRUE(access.Check(TestCaller(right), "SendMessage", "orders").ok()) << right;
  }
}

TEST_F(AccessTest, EveryRoleByEveryAction) {
  Access access(Tokens({{"admin", "admin: [orders]"},
                        {"send", "send: [orders]"},
                        {"receive", "receive: [orders]"},
                        {"bare", ""}}),
                {}, &clock_);
  struct Row {
    const char* action;
    bool admin, send, receive, bare;
  };
  // What a token with a role on the queue may do on that queue.
  constexpr Row kRows[] = {
      {"CreateQueue", true, false, false, false},
      {"SetQueueAttributes", true, false, false, false},
      {"DeleteQueue", true, false, false, false},
      {"PurgeQueue", true, false, false, false},
      {"TagQueue", true, false, false, false},
      {"UntagQueue", true, false, false, false},
      {"GetQueue", true, true, true, false},
      {"SendMessage", true, true, false, false},
      {"SendStream", true, true, false, false},
      {"ReceiveMessage", true, false, true, false},
      {"ConsumeStream", true, false, true, false},
      {"DeleteMessage", true, false, true, false},
      {"ChangeMessageVisibility", true, false, true, false},
      {"PeekMessages", true, false, true, false},
      {"SomethingThatIsAddedLater", true, false, false, false},
      {"ServerReflectionInfo", true, true, true, true},
      {"/metrics", true, true, true, true},
  };
  for (const Row& row : kRows) {
    const std::pair<const char*, bool> expected[] = {
        {"admin", row.admin}, {"send", row.send}, {"receive", row.receive}, {"bare", row.bare}};
    for (const auto& [name, may] : expected) {
      const absl::Status status =
          access.Check(With(absl::StrCat(name, "-secret")), row.action, "orders");
      EXPECT_EQ(status.ok(), may) << row.action << " by " << name;
      if (may) continue;
      EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
      EXPECT_EQ(ReasonOf(status), "AccessDenied");
      EXPECT_THAT(std::string(status.message()), HasSubstr(row.action));
      EXPECT_THAT(std::string(status.message()), HasSubstr("orders"));
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr("-secret")));
    }
  }
}

TEST_F(AccessTest, RoleOfOneQueueIsNoneOfAnother) {
  Access access(Tokens({{"shop", "admin: [\"shop-*\"], send: [orders]"}}), {}, &clock_);
  const TestCaller shop = With("shop-secret");
  EXPECT_TRUE(access.Check(shop, "DeleteQueue", "shop-1").ok());
  EXPECT_TRUE(access.Check(shop, "ReceiveMessage", "shop-1").ok());
  EXPECT_TRUE(access.Check(shop, "SendMessage", "orders").ok());
  EXPECT_FALSE(access.Check(shop, "ReceiveMessage", "orders").ok());
  EXPECT_FALSE(access.Check(shop, "SendMessage", "orders-2").ok());
  EXPECT_FALSE(access.Check(shop, "DeleteQueue", "shop").ok());
  EXPECT_FALSE(access.Check(shop, "SendMessage", "").ok());
}

TEST_F(AccessTest, BrokerAsAWholeNeedsAdminOfAll) {
  Access access(Tokens({{"ops", "admin: all"}, {"shop", "admin: [\"shop-*\"]"}}), {}, &clock_);
  for (const char* action : {"Backup", "/admin/clock/advance", "/no/such/path"}) {
    EXPECT_TRUE(access.Check(With("ops-secret"), action, "").ok()) << action;
    EXPECT_FALSE(access.Check(With("shop-secret"), action, "").ok()) << action;
  }
}

TEST_F(AccessTest, ListingNeedsAPrefixThatIsCovered) {
  Access access(Tokens({{"ops", "send: all"}, {"shop", "receive: [\"shop-*\", orders]"}}), {},
                &clock_);
  EXPECT_TRUE(access.Check(With("ops-secret"), "ListQueues", "").ok());
  EXPECT_TRUE(access.Check(With("shop-secret"), "ListQueues", "shop-").ok());
  EXPECT_TRUE(access.Check(With("shop-secret"), "ListQueues", "shop-a").ok());
  for (const char* prefix : {"", "s", "orders"}) {
    EXPECT_FALSE(access.Check(With("shop-secret"), "ListQueues", prefix).ok()) << prefix;
  }
}

TEST_F(AccessTest, HealthIsOpen) {
  Access access(Tokens({{"ops", "admin: all"}}), {.requests_per_second = 1}, &clock_);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(access.Check(TestCaller(""), "/healthz", "").ok());
    EXPECT_TRUE(access.Check(TestCaller(""), "/readyz", "").ok());
  }
}

TEST_F(AccessTest, ReplacedTokensCountAtOnce) {
  Access access(Tokens({{"old", "admin: all"}}), {}, &clock_);
  EXPECT_TRUE(access.Check(With("old-secret"), "PurgeQueue", "orders").ok());
  access.Replace(Tokens({{"new", "admin: all"}}));
  EXPECT_EQ(ReasonOf(access.Check(With("old-secret"), "PurgeQueue", "orders")),
            "InvalidClientTokenId");
  EXPECT_TRUE(access.Check(With("new-secret"), "PurgeQueue", "orders").ok());
}

TEST_F(AccessTest, EachTokenAndEachAddressHasItsOwnRate) {
  Access access(Tokens({{"a", "send: all"}, {"b", "send: all"}}), {.requests_per_second = 2},
                &clock_);
  const auto send = [&](const TestCaller& caller) {
    return ReasonOf(access.Check(caller, "SendMessage", "orders"));
  };
  EXPECT_EQ(send(With("a-secret")), "");
  EXPECT_EQ(send(TestCaller("Bearer a-secret", "10.0.0.2")), "");
  EXPECT_EQ(send(With("a-secret")), "RequestThrottled");
  EXPECT_EQ(send(With("b-secret")), "");
  // Who guesses is slowed down by address.
  EXPECT_EQ(send(With("guess-1")), "InvalidClientTokenId");
  EXPECT_EQ(send(With("guess-2")), "InvalidClientTokenId");
  EXPECT_EQ(send(With("guess-3")), "RequestThrottled");
  EXPECT_EQ(send(TestCaller("Bearer guess-4", "10.0.0.2")), "InvalidClientTokenId");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(send(With("a-secret")), "");
  const absl::Status status = [&] {
    while (true) {
      absl::Status next = access.Check(With("a-secret"), "SendMessage", "orders");
      if (!next.ok()) return next;
    }
  }();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(status).limit, "2");
}

TEST_F(AccessTest, RateWithoutTokensIsByAddress) {
  Access access(nullptr, {.requests_per_second = 1}, &clock_);
  EXPECT_TRUE(access.Check(TestCaller("", "10.0.0.1"), "SendMessage", "orders").ok());
  EXPECT_FALSE(access.Check(TestCaller("", "10.0.0.1"), "SendMessage", "orders").ok());
  EXPECT_TRUE(access.Check(TestCaller("", "10.0.0.2"), "SendMessage", "orders").ok());
}

TEST_F(AccessTest, LogTellsOfRefusalsOnceInAWhileAndNeverTheSecret) {
  const LogCapture log;
  Access access(Tokens({{"ops", "send: [orders]"}}), {}, &clock_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(access.Check(With("guessed-secret"), "SendMessage", "orders").ok());
  }
  clock_.Advance(LogGate::kInterval);
  EXPECT_FALSE(access.Check(With("ops-secret"), "/a\nb", "").ok());
  EXPECT_EQ(log.text(),
            "refused SendMessage from 10.0.0.1: InvalidClientTokenId (0 refusals before it are not "
            "in the log)\n"
            "refused /a\\nb from 10.0.0.1: AccessDenied (2 refusals before it are not in the "
            "log)\n");
}

TEST_F(AccessTest, QueueNameOfAnyLengthMakesAShortError) {
  Access access(Tokens({{"ops", "send: [orders]"}}), {}, &clock_);
  const absl::Status status =
      access.Check(With("ops-secret"), "SendMessage", std::string(1 << 20, 'q'));
  EXPECT_LT(status.message().size(), 400u);
  EXPECT_LE(GetErrorInfo(status).value.size(), 128u);
}

TEST_F(AccessTest, ChecksGoOnWhileTokensAreReplaced) {
  const auto tokens = [] { return Tokens({{"ops", "send: all"}}); };
  Access access(tokens(), {}, &clock_);
  std::atomic<bool> stop = false;
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      const TestCaller caller = With("ops-secret");
      while (!stop.load()) {
        if (!access.Check(caller, "SendMessage", "orders").ok()) ++refused;
      }
    });
  }
  for (int i = 0; i < 200; ++i) access.Replace(tokens());
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
}

TEST(GrpcCallerTest, ClientIsThePeerWithoutItsPort) {
  EXPECT_EQ(GrpcCaller::ClientOfPeer("ipv4:10.1.2.3:4567"), "10.1.2.3");
  EXPECT_EQ(GrpcCaller::ClientOfPeer("ipv6:%5B::1%5D:4567"), "::1");
  EXPECT_EQ(GrpcCaller::ClientOfPeer("ipv6:[2001:db8::7]:4567"), "2001:db8::7");
  EXPECT_EQ(GrpcCaller::ClientOfPeer("unix:"), "unix");
  EXPECT_EQ(GrpcCaller::ClientOfPeer("unix:/run/x"), "unix");
}

}  // namespace
}  // namespace barista::server
