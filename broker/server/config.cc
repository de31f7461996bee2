#include "broker/server/config.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "broker/server/settings.h"
#include "broker/server/settings_file.h"

namespace barista::server {
namespace {

struct Given {
  std::string value;
  Origin origin;
};

using GivenSettings = std::map<std::string, Given>;  // by Setting::name

// The setting as its source spells it, for errors.
std::string Spelling(const Setting& setting, const Origin& origin) {
  if (origin.source != Source::kFile) return origin.where;
  return absl::StrCat(origin.where, ": ", setting.yaml_key());
}

// The strongest value of every setting that was given.
GivenSettings Gather(const GivenSettings& flags, const SettingsFile& file,
                     const Environment& environment) {
  GivenSettings given;
  for (const auto& [name, entry] : file.settings) {
    given[name] = {entry.value, {Source::kFile, entry.where}};
  }
  for (const Setting& setting : Settings()) {
    const std::string name = setting.environment_name();
    const std::optional<std::string> value = environment(name);
    if (value.has_value() && !value->empty()) {
      given[setting.name] = {*value, {Source::kEnvironment, name}};
    }
  }
  for (const auto& [name, flag] : flags) given[name] = flag;
  return given;
}

void Apply(const GivenSettings& given, ServeConfig& config, std::vector<std::string>* errors) {
  config.server.broker.data_dir = "./barista-data";
  for (const Setting& setting : Settings()) {
    const auto it = given.find(setting.name);
    if (it == given.end()) continue;
    const auto& [value, origin] = it->second;
    const absl::Status status = setting.apply(value, config);
    if (!status.ok()) {
      errors->push_back(absl::StrCat(Spelling(setting, origin), ": ", status.message()));
    }
    config.origins[setting.name] = origin;
  }
  // `memory` comes after `data-dir` in the table and has emptied it.
  const auto memory = given.find("memory");
  const auto data_dir = given.find("data-dir");
  if (memory == given.end() || data_dir == given.end()) return;
  if (!config.server.broker.data_dir.empty() || data_dir->second.value.empty()) return;
  const Origin &of_memory = memory->second.origin, &of_dir = data_dir->second.origin;
  if (of_memory.source == of_dir.source) {
    errors->push_back(
        of_memory.source == Source::kFile
            ? absl::StrCat(of_memory.where, ": memory and ", of_dir.where,
                           ": data_dir exclude each other")
            : absl::StrCat(of_memory.where, " and ", of_dir.where, " exclude each other"));
  } else if (of_memory.source < of_dir.source) {
    config.server.broker.data_dir = data_dir->second.value;
    config.origins.erase("memory");
  } else {
    config.origins.erase("data-dir");
  }
}

ParsedArguments Refuse(std::vector<std::string> errors) {
  ParsedArguments refused;
  refused.exit_code = 2;
  for (const std::string& error : errors) {
    absl::StrAppend(&refused.text, "barista serve: ", error, "\n");
  }
  absl::StrAppend(&refused.text, "'barista serve --help' shows every setting.\n");
  refused.errors = std::move(errors);
  return refused;
}

}  // namespace

absl::string_view SourceName(Source source) {
  switch (source) {
    case Source::kDefault:
      return "default";
    case Source::kFile:
      return "file";
    case Source::kEnvironment:
      return "environment";
    case Source::kFlag:
      return "flag";
  }
  return "unknown";
}

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

void AddServeFlags(CLI::App& app, ServeFlags& flags) {
  app.add_option("--config", flags.config_file, "A YAML file with settings and queues")
      ->type_name("FILE");
  for (const Setting& setting : Settings()) {
    const std::string flag = absl::StrCat("--", setting.name);
    std::string& value = flags.values[setting.name];
    flags.options[setting.name] =
        setting.placeholder == nullptr
            ? app.add_flag(flag, value, setting.help)
            : app.add_option(flag, value, setting.help)->type_name(setting.placeholder);
  }
}

ParsedArguments ParseServeArguments(int argc, const char* const* argv,
                                    const Environment& environment) {
  CLI::App app("Serves queues over gRPC until SIGTERM.", "barista serve");
  app.footer(
      "Every setting can also come from the environment (--sync-interval: BARISTA_SYNC_INTERVAL) "
      "or\n"
      "from the YAML file of --config (sync_interval: 50ms), which also holds queues to create. A "
      "flag\n"
      "beats the environment, which beats the file. `barista config check` shows what is in "
      "force.\n\n"
      "Examples:\n"
      "  barista serve --data-dir /var/lib/barista\n"
      "  barista serve --memory --grpc-listen unix:/run/barista.sock\n");
  ServeFlags given_flags;
  try {
    AddServeFlags(app, given_flags);
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.config = std::nullopt, .exit_code = 0, .text = app.help()};
  } catch (const CLI::Error& error) {
    return Refuse({error.what()});
  }

  GivenSettings flags;
  for (const auto& [name, option] : given_flags.options) {
    if (option->count() > 0) {
      flags[name] = {given_flags.values[name], {Source::kFlag, absl::StrCat("--", name)}};
    }
  }
  ParsedArguments parsed;
  ServeConfig& config = parsed.config.emplace();
  config.config_file = given_flags.config_file;
  if (config.config_file.empty()) config.config_file = environment("BARISTA_CONFIG").value_or("");
  SettingsFile file;
  if (!config.config_file.empty()) file = ReadSettingsFile(config.config_file, &parsed.errors);
  Apply(Gather(flags, file, environment), config, &parsed.errors);
  if (!parsed.errors.empty()) return Refuse(std::move(parsed.errors));
  config.server.queues = std::move(file.queues);
  return parsed;
}

}  // namespace barista::server
