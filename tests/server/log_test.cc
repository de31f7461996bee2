// Lines of the log, in both formats, and ids of requests.
#include "broker/server/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <boost/json.hpp>
#include <memory>
#include <sstream>
#include <string>

#include "broker/server/request_ids.h"

namespace barista::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class LogTest : public ::testing::Test {
 protected:
  LogTest() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(stream_)));
  }
  ~LogTest() override { spdlog::set_default_logger(before_); }

  // What has been logged since.
  std::string Take() {
    std::string text = stream_.str();
    stream_.str("");
    return text;
  }

  std::ostringstream stream_;

 private:
  const std::shared_ptr<spdlog::logger> before_;
};

TEST_F(LogTest, TextIsOneLineThatNobodyCanBreak) {
  ChangeLog("info", LogFormat::kText);
  Log(spdlog::level::info, "queue \"a\nb\x1b[31m\" caf\xC3\xA9", {{"queue", "orders"}});
  EXPECT_THAT(Take(), MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}[+-][0-9]{4} "
                                   "info queue \"a\\\\x0ab\\\\x1b\\[31m\" caf\xC3\xA9\n"));
}

TEST_F(LogTest, JsonHasFieldsThatAreNotEmpty) {
  ChangeLog("info", LogFormat::kJson);
  Log(spdlog::level::warn, "a \"quoted\"\nline \xFF",
      {{"queue", "orders"}, {"reason", ""}, {"held_back", int64_t{7}}, {"duration_ms", 0.25}});
  const std::string text = Take();
  ASSERT_THAT(text, EndsWith("}\n"));
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const boost::json::object line = boost::json::parse(text).as_object();
  EXPECT_EQ(line.at("level").as_string(), "warning");
  EXPECT_EQ(line.at("message").as_string(), "a \"quoted\"\nline \\xff");
  EXPECT_EQ(line.at("queue").as_string(), "orders");
  EXPECT_EQ(line.at("held_back").as_int64(), 7);
  EXPECT_EQ(line.at("duration_ms").as_double(), 0.25);
  EXPECT_FALSE(line.contains("reason"));
  EXPECT_THAT(std::string(line.at("time").as_string()), HasSubstr("T"));
  // The fields of one line are not those of the next.
  spdlog::info("plain");
  EXPECT_EQ(boost::json::parse(Take()).as_object().size(), 3u);
}

TEST_F(LogTest, LevelAndFormatChangeWhileItRuns) {
  ChangeLog("warn", LogFormat::kText);
  EXPECT_FALSE(LogsAt(spdlog::level::info));
  Log(spdlog::level::info, "unheard", {});
  EXPECT_EQ(Take(), "");
  ChangeLog("trace", LogFormat::kJson);
  EXPECT_TRUE(LogsAt(spdlog::level::debug));
  Log(spdlog::level::debug, "heard", {});
  EXPECT_THAT(Take(), HasSubstr("\"message\":\"heard\""));
  ChangeLog("off", LogFormat::kText);
  EXPECT_FALSE(LogsAt(spdlog::level::critical));
}

TEST(LogFormatTest, HasTwoNames) {
  EXPECT_EQ(*ParseLogFormat("text"), LogFormat::kText);
  EXPECT_EQ(*ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_THAT(std::string(ParseLogFormat("xml").status().message()), HasSubstr("\"xml\""));
}

TEST(RequestIdsTest, AreNotTheSame) {
  RequestIds ids, others;
  const std::string first = ids.Next();
  EXPECT_TRUE(RequestIds::IsSane(first));
  EXPECT_NE(first, ids.Next());
  EXPECT_NE(first, others.Next());
}

TEST(RequestIdsTest, ThoseOfClientsAreShortAndPrintable) {
  for (const std::string& sane : {std::string("a"), std::string("!~"), std::string(128, 'x')}) {
    EXPECT_TRUE(RequestIds::IsSane(sane)) << sane;
  }
  for (const std::string& bad :
       {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a\n"),
        std::string("\x7f"), std::string("\xC3\xA9"), std::string(1, '\0')}) {
    EXPECT_FALSE(RequestIds::IsSane(bad)) << bad;
  }
}

}  // namespace
}  // namespace barista::server
