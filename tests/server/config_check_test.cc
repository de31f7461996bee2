// What `barista config check` finds without starting anything.
#include "broker/server/config_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "broker/server/settings.h"

namespace barista::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class ConfigCheckTest : public ::testing::Test {
 protected:
  ConfigCheckTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "barista-check-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ConfigCheckTest() override { std::filesystem::remove_all(directory_); }

  std::string File(const std::string& name, const std::string& text, bool owner_only = false) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    namespace fs = std::filesystem;
    if (owner_only) fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    return path;
  }
  ConfigReport Check(const std::vector<std::string>& arguments) {
    return CheckConfig(arguments, [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      if (found == environment_.end()) return std::nullopt;
      return found->second;
    });
  }
  static const ConfigReport::Line& LineOf(const ConfigReport& report, const std::string& setting) {
    for (const ConfigReport::Line& line : report.settings) {
      if (line.setting == setting) return line;
    }
    ADD_FAILURE() << setting;
    static const ConfigReport::Line none;
    return none;
  }

  std::string directory_;
  std::map<std::string, std::string> environment_;
};

TEST_F(ConfigCheckTest, ShowsEverySettingWithItsSource) {
  const std::string file = File("barista.yaml", "region: eu-1\nqueues: [{name: orders}]\n");
  environment_ = {{"BARISTA_ACCOUNT", "000000000007"}};
  const std::string data = directory_ + "/a/b/data";
  const ConfigReport report = Check({"--config", file, "--data-dir", data});
  EXPECT_THAT(report.errors, IsEmpty());
  EXPECT_THAT(report.settings, SizeIs(Settings().size()));
  EXPECT_EQ(LineOf(report, "region").value, "eu-1");
  EXPECT_EQ(LineOf(report, "region").origin.where, file + ":1");
  EXPECT_EQ(LineOf(report, "account").origin.where, "BARISTA_ACCOUNT");
  EXPECT_EQ(LineOf(report, "data_dir").origin.where, "--data-dir");
  EXPECT_EQ(LineOf(report, "sync_interval").value, "100ms");
  EXPECT_EQ(LineOf(report, "sync_interval").origin.source, Source::kDefault);
  EXPECT_EQ(LineOf(report, "token_file").value, "");
  EXPECT_TRUE(LineOf(report, "log_level").live);
  EXPECT_FALSE(LineOf(report, "region").live);
  ASSERT_THAT(report.queues, SizeIs(1));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/a"));  // nothing is made
}

TEST_F(ConfigCheckTest, FilesAreLookedInto) {
  const std::string secret = "cfb4c8f8b0a1c5f0d6a3e49f2b7c8d90";
  const std::string tokens =
      File("tokens.yaml", "tokens: [{name: a, sha256: " + secret + "}]", true);
  const std::string weak =
      "queues:\n  - name: a\n    attributes: {RedrivePolicy: {deadLetterQueue: "
      "b, maxReceiveCount: 1}}\n  - name: b\n    attributes: {Durability: os}\n";
  const ConfigReport report =
      Check({"--config", File("barista.yaml", weak), "--data-dir", File("file", "") + "/data",
             "--ready-file", directory_ + "/none/ready.json", "--token-file", tokens, "--tls-cert",
             directory_ + "/none.pem", "--tls-key", directory_ + "/none.key"});
  EXPECT_THAT(
      report.errors,
      UnorderedElementsAre(
          AllOf(HasSubstr("barista.yaml:2: queue a: RedrivePolicy"), HasSubstr("fsync")),
          AllOf(HasSubstr("token_file: "), HasSubstr("tokens.yaml:1"), Not(HasSubstr(secret))),
          AllOf(HasSubstr("tls_cert"), HasSubstr("none.pem")),
          AllOf(HasSubstr("data_dir: "), HasSubstr("is no directory")),
          AllOf(HasSubstr("ready_file: "), HasSubstr("does not exist"))));
  EXPECT_THAT(report.settings, IsEmpty());
}

TEST_F(ConfigCheckTest, ListenersThatOthersReachNeedAuthentication) {
  const ConfigReport open =
      Check({"--memory", "--http-listen", "0.0.0.0:1", "--grpc-listen", "[::]:2"});
  EXPECT_THAT(open.errors, ElementsAre(HasSubstr("http_listen"), HasSubstr("grpc_listen")));
  EXPECT_THAT(Check({"--memory", "--http-listen", "0.0.0.0:1", "--insecure"}).errors, IsEmpty());
}

TEST_F(ConfigCheckTest, EveryErrorOfTheSettingsIsTold) {
  EXPECT_THAT(Check({"--memory", "--region", "EU", "--log-level", "loud"}).errors,
              UnorderedElementsAre(HasSubstr("--region"), HasSubstr("--log-level")));
  EXPECT_THAT(Check({"--no-such-flag"}).errors, ElementsAre(HasSubstr("--no-such-flag")));
}

}  // namespace
}  // namespace barista::server
