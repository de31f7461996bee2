// Settings: precedence of flag, environment and file; errors; units and addresses.
#include "broker/server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "broker/server/listen_address.h"
#include "broker/server/settings.h"
#include "broker/server/text.h"
#include "broker/server/units.h"

namespace barista::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "barista-config-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(directory_); }

  std::string File(const std::string& text) {
    const std::string path = directory_ + "/barista.yaml";
    std::ofstream(path) << text;
    return path;
  }
  ParsedArguments Parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "barista serve");
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    return ParseServeArguments(static_cast<int>(argv.size()), argv.data(),
                               [this](const std::string& name) -> std::optional<std::string> {
                                 const auto it = environment_.find(name);
                                 if (it == environment_.end()) return std::nullopt;
                                 return it->second;
                               });
  }
  ServeConfig Config(const std::vector<std::string>& arguments) {
    ParsedArguments parsed = Parse(arguments);
    EXPECT_TRUE(parsed.config.has_value()) << parsed.text;
    return parsed.config.value_or(ServeConfig());
  }
  // The text of a refusal.
  std::string Refusal(const std::vector<std::string>& arguments) {
    const ParsedArguments parsed = Parse(arguments);
    EXPECT_FALSE(parsed.config.has_value());
    EXPECT_EQ(parsed.exit_code, 2);
    return parsed.text;
  }

  std::string directory_;
  std::map<std::string, std::string> environment_;
};

TEST_F(ConfigTest, DefaultsAreTheDocumentedOnes) {
  const ServeConfig config = Config({});
  EXPECT_EQ(config.server.broker.data_dir, "./barista-data");
  EXPECT_EQ(config.server.http_listen, "127.0.0.1:9324");
  EXPECT_EQ(config.server.admin_listen, "127.0.0.1:9325");
  EXPECT_EQ(config.server.grpc_listen, "127.0.0.1:9326");
  EXPECT_EQ(config.server.broker.memory_limit_bytes, int64_t{512} << 20);
  EXPECT_EQ(config.server.broker.default_durability, Durability::kFsync);
  EXPECT_EQ(config.server.broker.sync_interval, absl::Milliseconds(100));
  EXPECT_EQ(config.server.broker.free_space_floor_bytes, int64_t{256} << 20);
  EXPECT_EQ(config.server.broker.account, "000000000000");
  EXPECT_EQ(config.server.broker.region, "us-east-1");
  EXPECT_EQ(config.server.drain_time, absl::Seconds(10));
  EXPECT_EQ(config.server.metrics_queues, 100);
  EXPECT_FALSE(config.server.broker.accept_truncated_log);
  EXPECT_FALSE(config.server.manual_clock);
  EXPECT_FALSE(config.server.insecure);
  EXPECT_FALSE(config.server.security.tls.any());
  EXPECT_EQ(config.server.security.token_file, "");
  EXPECT_EQ(config.server.security.connections.total, 10'000u);
  EXPECT_EQ(config.server.security.connections.per_client, 1'000u);
  EXPECT_EQ(config.server.security.max_streams, 10'000);
  EXPECT_EQ(config.server.security.max_client_streams, 10'000u);
  EXPECT_EQ(config.server.security.max_requests_per_second, 0);
  EXPECT_EQ(config.ready_file, "");
  EXPECT_EQ(config.log_level, "info");
  EXPECT_EQ(config.log_format, LogFormat::kText);
  EXPECT_TRUE(config.server.queues.empty());
  EXPECT_TRUE(config.origins.empty());
}

TEST_F(ConfigTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const std::string file =
      File("sync_interval: 10ms\nregion: eu-west-1\naccount: '000000000007'\n");
  environment_ = {{"BARISTA_SYNC_INTERVAL", "20ms"}, {"BARISTA_REGION", "eu-west-2"}};
  const ServeConfig config = Config({"--config", file, "--sync-interval", "30ms"});
  EXPECT_EQ(config.server.broker.sync_interval, absl::Milliseconds(30));
  EXPECT_EQ(config.server.broker.region, "eu-west-2");
  EXPECT_EQ(config.server.broker.account, "000000000007");
  EXPECT_EQ(config.log_level, "info");
}

TEST_F(ConfigTest, EverySettingCanComeFromEverySource) {
  const std::map<std::string, std::string> values = {
      {"data-dir", "d"},
      {"http-listen", "localhost:1"},
      {"admin-listen", "[::1]:2"},
      {"grpc-listen", "unix:/s"},
      {"memory-limit", "1GiB"},
      {"default-durability", "os"},
      {"sync-interval", "1s"},
      {"free-space-floor", "0"},
      {"account", "123456789012"},
      {"region", "eu-1"},
      {"ready-file", "r"},
      {"drain-time", "1m"},
      {"log-level", "debug"},
      {"log-format", "json"},
      {"tls-cert", "c"},
      {"tls-key", "k"},
      {"tls-client-ca", "ca"},
      {"token-file", "t"},
      {"max-connections", "11"},
      {"max-streams", "13"},
      {"max-client-connections", "12"},
      {"max-client-streams", "15"},
      {"max-requests-per-second", "14"},
      {"metrics-queues", "7"},
  };
  std::vector<std::string> flags;
  std::string yaml;
  std::map<std::string, std::string> environment;
  for (const Setting& setting : Settings()) {
    if (std::string(setting.name) == "memory") continue;  // excludes data-dir
    const bool is_switch = setting.placeholder == nullptr;
    ASSERT_TRUE(is_switch || values.count(setting.name) > 0) << setting.name;
    const std::string value = is_switch ? "true" : values.at(setting.name);
    flags.push_back("--" + std::string(setting.name));
    if (!is_switch) flags.push_back(value);
    environment[setting.environment_name()] = value;
    yaml += setting.yaml_key() + ": \"" + value + "\"\n";
  }
  const auto check = [](const ServeConfig& config) {
    EXPECT_EQ(config.server.broker.data_dir, "d");
    EXPECT_EQ(config.server.http_listen, "localhost:1");
    EXPECT_EQ(config.server.admin_listen, "[::1]:2");
    EXPECT_EQ(config.server.security.tls.certificate, "c");
    EXPECT_EQ(config.server.security.tls.key, "k");
    EXPECT_EQ(config.server.security.tls.client_ca, "ca");
    EXPECT_EQ(config.server.security.token_file, "t");
    EXPECT_EQ(config.server.security.connections.total, 11u);
    EXPECT_EQ(config.server.security.connections.per_client, 12u);
    EXPECT_EQ(config.server.security.max_streams, 13);
    EXPECT_EQ(config.server.security.max_requests_per_second, 14);
    EXPECT_EQ(config.server.grpc_listen, "unix:/s");
    EXPECT_EQ(config.server.broker.memory_limit_bytes, int64_t{1} << 30);
    EXPECT_EQ(config.server.broker.default_durability, Durability::kOs);
    EXPECT_EQ(config.server.broker.sync_interval, absl::Seconds(1));
    EXPECT_EQ(config.server.broker.free_space_floor_bytes, 0);
    EXPECT_EQ(config.server.broker.account, "123456789012");
    EXPECT_EQ(config.server.broker.region, "eu-1");
    EXPECT_EQ(config.ready_file, "r");
    EXPECT_EQ(config.server.drain_time, absl::Minutes(1));
    EXPECT_EQ(config.log_level, "debug");
    EXPECT_EQ(config.log_format, LogFormat::kJson);
    EXPECT_TRUE(config.server.insecure);
    EXPECT_TRUE(config.server.manual_clock);
    EXPECT_TRUE(config.server.broker.accept_truncated_log);
  };
  check(Config(flags));
  check(Config({"--config", File(yaml)}));
  environment_ = environment;
  check(Config({}));
  environment_ = {{"BARISTA_CONFIG", File(yaml)}};
  check(Config({}));
}

TEST_F(ConfigTest, MemoryAndDataDirectoryFollowTheStrongerSource) {
  environment_ = {{"BARISTA_DATA_DIR", "d"}};
  EXPECT_EQ(Config({"--memory"}).server.broker.data_dir, "");
  environment_ = {{"BARISTA_MEMORY", "true"}};
  EXPECT_EQ(Config({"--data-dir", "d"}).server.broker.data_dir, "d");
  EXPECT_EQ(Config({}).server.broker.data_dir, "");
  environment_.clear();
  EXPECT_THAT(Refusal({"--memory", "--data-dir", "d"}),
              AllOf(HasSubstr("--memory"), HasSubstr("--data-dir")));
}

TEST_F(ConfigTest, UnknownKeyIsNamedWithItsLine) {
  const std::string text =
      Refusal({"--config", File("# settings\nregion: eu-1\nsync_intervall: 5s\n")});
  EXPECT_THAT(text, AllOf(HasSubstr("barista.yaml:3: "), HasSubstr("\"sync_intervall\""),
                          HasSubstr("sync_interval ")));
}

TEST_F(ConfigTest, BadValueNamesSettingAsSpeltValueAndRange) {
  EXPECT_THAT(Refusal({"--sync-interval", "5h"}),
              AllOf(HasSubstr("--sync-interval"), HasSubstr("\"5h\""), HasSubstr("[1ms, 1m]")));
  EXPECT_THAT(Refusal({"--config", File("region: eu-1\nmemory_limit: 1MiB\n")}),
              AllOf(HasSubstr("barista.yaml:2: memory_limit"), HasSubstr("\"1MiB\""),
                    HasSubstr("[64MiB, 1TiB]")));
  environment_ = {{"BARISTA_ACCOUNT", "12"}};
  EXPECT_THAT(Refusal({}), AllOf(HasSubstr("BARISTA_ACCOUNT"), HasSubstr("\"12\"")));
}

TEST_F(ConfigTest, EveryKindOfBadValueIsRefused) {
  for (const auto& [flag, value] :
       std::vector<std::pair<std::string, std::string>>{{"--memory-limit", "lots"},
                                                        {"--memory-limit", "-1"},
                                                        {"--memory-limit", "2TiB"},
                                                        {"--default-durability", "disk"},
                                                        {"--sync-interval", "100"},
                                                        {"--free-space-floor", "x"},
                                                        {"--region", "EU"},
                                                        {"--region", ""},
                                                        {"--grpc-listen", "9326"},
                                                        {"--grpc-listen", "a:65536"},
                                                        {"--http-listen", "unix:/sock"},
                                                        {"--log-level", "loud"},
                                                        {"--log-format", "xml"},
                                                        {"--drain-time", "-1s"},
                                                        {"--data-dir", ""}}) {
    EXPECT_THAT(Refusal({flag, value}), HasSubstr(flag)) << value;
  }
  EXPECT_THAT(Refusal({"--no-such-flag"}), HasSubstr("--no-such-flag"));
  EXPECT_THAT(Refusal({"stray"}), HasSubstr("stray"));
  EXPECT_THAT(Refusal({"--region"}), HasSubstr("--region"));
}

TEST_F(ConfigTest, FileThatIsNoneIsRefused) {
  EXPECT_THAT(Refusal({"--config", directory_ + "/missing.yaml"}), HasSubstr("missing.yaml"));
  EXPECT_THAT(Refusal({"--config", File("region: [eu-1, eu-2]\n")}),
              HasSubstr("barista.yaml:1: region"));
  EXPECT_THAT(Refusal({"--config", File("region: eu-1\n\tx: 1\n")}), HasSubstr("barista.yaml:2"));
  EXPECT_THAT(Refusal({"--config", File("- a\n- b\n")}), HasSubstr("barista.yaml:1"));
  EXPECT_THAT(Refusal({"--config", File("region: a\nregion: b\n")}),
              AllOf(HasSubstr("barista.yaml:2"), HasSubstr("twice")));
}

TEST_F(ConfigTest, EverythingThatIsWrongIsToldAtOnce) {
  environment_ = {{"BARISTA_ACCOUNT", "12"}};
  const ParsedArguments parsed = Parse(
      {"--config", File("sugar: 2\nmemory_limit: 1B\nqueues: [{name: a b}]\n"), "--region", "EU"});
  EXPECT_FALSE(parsed.config.has_value());
  EXPECT_EQ(parsed.exit_code, 2);
  EXPECT_THAT(
      parsed.errors,
      UnorderedElementsAre(HasSubstr("barista.yaml:1: unknown key \"sugar\""),
                           HasSubstr("barista.yaml:2: memory_limit: \"1B\""),
                           HasSubstr("barista.yaml:3: queues: name: "),
                           HasSubstr("BARISTA_ACCOUNT: \"12\""), HasSubstr("--region: \"EU\"")));
  for (const std::string& error : parsed.errors) {
    EXPECT_THAT(parsed.text, HasSubstr("barista serve: " + error + "\n"));
  }
}

TEST_F(ConfigTest, EachValueKnowsWhereItComesFrom) {
  environment_ = {{"BARISTA_REGION", "eu-2"}, {"BARISTA_DATA_DIR", "d"}};
  const std::string file = File("account: '000000000007'\nregion: eu-1\ndata_dir: e\n");
  const ServeConfig config = Config({"--config", file, "--memory"});
  EXPECT_EQ(config.config_file, file);
  EXPECT_EQ(config.origins.at("region").source, Source::kEnvironment);
  EXPECT_EQ(config.origins.at("region").where, "BARISTA_REGION");
  EXPECT_EQ(config.origins.at("account").source, Source::kFile);
  EXPECT_EQ(config.origins.at("account").where, file + ":1");
  EXPECT_EQ(config.origins.at("memory").source, Source::kFlag);
  EXPECT_EQ(config.origins.at("memory").where, "--memory");
  EXPECT_EQ(config.origins.count("data-dir"), 0u);  // beaten
  EXPECT_EQ(config.origins.count("sync-interval"), 0u);
}

TEST_F(ConfigTest, WhatASettingShowsIsWhatItTakes) {
  const ServeConfig config =
      Config({"--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "ca", "--token-file", "t",
              "--ready-file", "r", "--drain-time", "90s", "--memory-limit", "1025MiB"});
  for (const Setting& setting : Settings()) {
    const std::string shown = setting.show(config);
    ServeConfig taken;
    EXPECT_TRUE(setting.apply(shown, taken).ok()) << setting.name << " " << shown;
    // (Of the two that exclude each other only one can show what it took.)
    if (std::string(setting.name) != "memory") {
      EXPECT_EQ(setting.show(taken), shown);
    }
  }
}

TEST_F(ConfigTest, EmptyFileChangesNothing) {
  EXPECT_EQ(Config({"--config", File("# nothing yet\n")}).server.broker.region, "us-east-1");
}

TEST_F(ConfigTest, HelpShowsEverySettingAndIsNoError) {
  const ParsedArguments parsed = Parse({"--help"});
  EXPECT_FALSE(parsed.config.has_value());
  EXPECT_EQ(parsed.exit_code, 0);
  for (const Setting& setting : Settings()) {
    EXPECT_THAT(parsed.text, HasSubstr("--" + std::string(setting.name)));
  }
}

TEST(UnitsTest, BytesHaveUnitsAndBounds) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(*ParseBytes("0", 0, kMax), 0);
  EXPECT_EQ(*ParseBytes("17", 0, kMax), 17);
  EXPECT_EQ(*ParseBytes("17B", 0, kMax), 17);
  EXPECT_EQ(*ParseBytes("3 KiB", 0, kMax), 3072);
  EXPECT_EQ(*ParseBytes("512MiB", 0, kMax), int64_t{512} << 20);
  EXPECT_EQ(*ParseBytes("2TiB", 0, kMax), int64_t{2} << 40);
  EXPECT_EQ(*ParseBytes("1KiB", 1024, 1024), 1024);
  for (const char* bad : {"", "MiB", "1.5MiB", "-1", "+1", "1MB", "1 0", "9223372036854775808",
                          "9007199254740992KiB"}) {
    EXPECT_FALSE(ParseBytes(bad, 0, kMax).ok()) << bad;
  }
  EXPECT_FALSE(ParseBytes("1023", 1024, 2048).ok());
  EXPECT_FALSE(ParseBytes("2049", 1024, 2048).ok());
  EXPECT_EQ(FormatBytes(int64_t{512} << 20), "512MiB");
  EXPECT_EQ(FormatBytes(1025), "1025B");
}

TEST(UnitsTest, CountsHaveBounds) {
  EXPECT_EQ(*ParseCount("1", 1, 10), 1);
  EXPECT_EQ(*ParseCount("10", 1, 10), 10);
  for (const char* text : {"", "0", "11", "-1", "+1", " 1", "1k", "1.0", "99999999999999999999"}) {
    EXPECT_FALSE(ParseCount(text, 1, 10).ok()) << text;
  }
}

TEST(UnitsTest, SwitchesAreWords) {
  EXPECT_TRUE(*ParseSwitch("Yes"));
  EXPECT_FALSE(*ParseSwitch("0"));
  EXPECT_FALSE(ParseSwitch("maybe").ok());
}

TEST(ListenAddressTest, KnowsLoopbackFromTheRest) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/x"}) {
    EXPECT_TRUE(ParseListenAddress(text)->is_loopback) << text;
    EXPECT_EQ(ParseListenAddress(text)->ToString(), text);
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1", "*:1"}) {
    EXPECT_FALSE(ParseListenAddress(text)->is_loopback) << text;
  }
}

TEST(ListenAddressTest, RefusesWhatIsNoAddress) {
  for (const std::string& text :
       {std::string(), std::string(":1"), std::string("host"), std::string("host:"),
        std::string("host:x"), std::string("host:65536"), std::string("host:-1"),
        std::string("::1:80"), std::string("[::1:80"), std::string("unix:"),
        "unix:" + std::string(108, 'p')}) {
    EXPECT_FALSE(ParseListenAddress(text).ok()) << text;
  }
  EXPECT_TRUE(ParseListenAddress("unix:" + std::string(107, 'p')).ok());
  EXPECT_EQ(ParseListenAddress("host:65535")->port, 65535);
}

TEST(TextTest, KnowsUtf8) {
  for (const char* good : {"", "abc", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                           "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(good));
  }
  for (const char* bad :
       {"\x80", "\xC3", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xFF", "a\xE2\x28\xA1"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
  EXPECT_EQ(ToUtf8("caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(ToUtf8("a\xFF"), "a\\xff");
}

}  // namespace
}  // namespace barista::server
