#include "broker/server/config_check.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "broker/server/settings.h"

namespace barista::server {
namespace {

namespace fs = std::filesystem;

// Why files cannot be made in `directory`; empty: they can.
std::string WhyNotWritable(const fs::path& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    return absl::StrCat("\"", directory.string(), "\" ",
                        fs::exists(directory, error) ? "is no directory" : "does not exist");
  }
  if (::access(directory.c_str(), W_OK | X_OK) == 0) return "";
  return absl::StrCat("\"", directory.string(), "\" cannot be written: ", std::strerror(errno));
}

// The directory itself, or, as it is made with those above it, the nearest one that is there.
fs::path NearestExisting(const fs::path& path) {
  std::error_code error;
  fs::path found = fs::absolute(path, error);
  while (!fs::exists(fs::symlink_status(found, error)) && found != found.root_path()) {
    found = found.parent_path();
  }
  return found;
}

void CheckDirectories(const ServeConfig& config, std::vector<std::string>* errors) {
  const auto add = [errors](absl::string_view setting, const std::string& why) {
    if (!why.empty()) errors->push_back(absl::StrCat(setting, ": ", why));
  };
  const std::string& data_dir = config.server.broker.data_dir;
  if (!data_dir.empty()) add("data_dir", WhyNotWritable(NearestExisting(data_dir)));
  if (config.ready_file.empty()) return;
  std::error_code error;
  add("ready_file", WhyNotWritable(fs::absolute(config.ready_file, error).parent_path()));
}

}  // namespace

ConfigReport CheckConfig(const std::vector<std::string>& arguments,
                         const Environment& environment) {
  std::vector<const char*> argv = {"barista serve"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  ParsedArguments parsed =
      ParseServeArguments(static_cast<int>(argv.size()), argv.data(), environment);
  ConfigReport report;
  if (!parsed.config.has_value()) {
    report.errors = std::move(parsed.errors);
    return report;
  }
  ServeConfig& config = *parsed.config;
  report.errors = Server::Check(config.server);
  CheckDirectories(config, &report.errors);
  if (!report.errors.empty()) return report;
  for (const Setting& setting : Settings()) {
    const auto origin = config.origins.find(setting.name);
    report.settings.push_back({setting.yaml_key(), setting.show(config),
                               origin == config.origins.end() ? Origin() : origin->second,
                               setting.reload == Reload::kLive});
  }
  report.queues = std::move(config.server.queues);
  return report;
}

}  // namespace barista::server
