// What a reload changes, and what it leaves for the next start.
#include "broker/server/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "broker/server/settings.h"

namespace barista::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

ServeConfig Config(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"barista serve"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  ParsedArguments parsed =
      ParseServeArguments(static_cast<int>(argv.size()), argv.data(),
                          [](const std::string&) { return std::optional<std::string>(); });
  EXPECT_TRUE(parsed.config.has_value()) << parsed.text;
  return parsed.config.value_or(ServeConfig());
}

std::vector<std::string> NamesOf(const std::vector<SettingChange>& changes) {
  std::vector<std::string> names;
  for (const SettingChange& change : changes) names.push_back(change.name);
  return names;
}

TEST(ReloadTest, NothingNewIsNoChange) {
  const ReloadPlan plan = PlanReload(Config({"--region", "eu-1"}), Config({"--region", "eu-1"}));
  EXPECT_THAT(plan.applied, IsEmpty());
  EXPECT_THAT(plan.need_restart, IsEmpty());
}

TEST(ReloadTest, LiveSettingsAreTakenAndTheOthersStay) {
  const ServeConfig before = Config({"--metrics-queues", "7", "--region", "eu-1"});
  ServeConfig read = Config({"--log-level", "debug", "--region", "eu-2", "--memory-limit", "1GiB"});
  read.server.queues.push_back({"orders", "file:1", {}, std::nullopt});
  const ReloadPlan plan = PlanReload(before, read);
  EXPECT_THAT(NamesOf(plan.applied), ElementsAre("metrics-queues", "log-level"));
  EXPECT_EQ(plan.applied[0].before, "7");
  EXPECT_EQ(plan.applied[0].after, "100");
  EXPECT_EQ(plan.applied[0].where, "default");
  EXPECT_EQ(plan.applied[1].where, "--log-level");
  EXPECT_THAT(NamesOf(plan.need_restart), ElementsAre("memory-limit", "region"));
  EXPECT_EQ(plan.need_restart[1].before, "eu-1");
  EXPECT_EQ(plan.need_restart[1].after, "eu-2");
  EXPECT_EQ(plan.config.server.metrics_queues, 100);
  EXPECT_EQ(plan.config.log_level, "debug");
  EXPECT_EQ(plan.config.server.broker.region, "eu-1");
  EXPECT_EQ(plan.config.server.broker.memory_limit_bytes, int64_t{512} << 20);
  ASSERT_EQ(plan.config.server.queues.size(), 1u);
  // The next one compares with what is in force.
  EXPECT_THAT(NamesOf(PlanReload(plan.config, read).need_restart),
              ElementsAre("memory-limit", "region"));
  EXPECT_THAT(PlanReload(plan.config, read).applied, IsEmpty());
}

TEST(ReloadTest, TheTableSaysWhichAreLive) {
  std::set<std::string> live;
  for (const Setting& setting : Settings()) {
    if (setting.reload == Reload::kLive) live.insert(setting.name);
  }
  EXPECT_THAT(live, ElementsAre("drain-time", "log-format", "log-level", "max-client-connections",
                                "max-client-streams", "max-connections", "max-requests-per-second",
                                "metrics-queues"));
}

}  // namespace
}  // namespace barista::server
