// What only a broker of this process promises.
#include <gtest/gtest.h>

#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

class EmbeddedTest : public ConformanceTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, EmbeddedTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(EmbeddedTest, AttributesKeepTheOrderInWhichTheyWereSent) {
  Queue queue = Create("orders");
  const MessageAttributes sent = {{"table", "7"}, {"count", {"Number", "2"}}, {"raw", "x"}};
  ASSERT_OK(queue.Send({.body = "m", .attributes = sent}));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].attributes(), sent);
}

TEST_P(EmbeddedTest, SenderIdIsReturnedWithTheMessage) {
  Queue queue = Create("orders");
  const std::string longest(128, 's');
  ASSERT_OK(queue.Send({.body = "m", .sender_id = longest}));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].sender_id(), longest);
}

TEST(BrokerOptionsTest, EachOptionOutOfRangeIsNamed) {
  const auto field = [](const BrokerOptions& options) {
    const absl::StatusOr<std::unique_ptr<Broker>> broker = Broker::Open(options);
    EXPECT_EQ(GetErrorInfo(broker.status()).reason, "InvalidParameterValue") << broker.status();
    return GetErrorInfo(broker.status()).field;
  };
  EXPECT_EQ(field({.memory_limit_bytes = (64 << 20) - 1}), "memory_limit_bytes");
  EXPECT_EQ(field({.sync_interval = absl::Microseconds(999)}), "sync_interval");
  EXPECT_EQ(field({.sync_interval = absl::Seconds(61)}), "sync_interval");
  EXPECT_EQ(field({.free_space_floor_bytes = -1}), "free_space_floor_bytes");
  EXPECT_EQ(field({.intake_limit_bytes = 1000}), "intake_limit_bytes");
  EXPECT_EQ(field({.region = ""}), "region");
  EXPECT_EQ(field({.account = "a:b"}), "account");
}

}  // namespace
}  // namespace barista::testing
