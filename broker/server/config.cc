#include "broker/server/config.h"

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "broker/server/settings.h"

namespace barista::server {
namespace {

// Sources of values, weakest first.
enum class Source { kDefault = 0, kFile = 1, kEnvironment = 2, kFlag = 3 };

struct Given {
  Source source = Source::kDefault;
  std::string value;
  std::string spelling;  // the setting as its source spells it, for errors
};

using GivenSettings = std::map<std::string, Given>;  // by Setting::name

absl::StatusOr<GivenSettings> ReadFile(const std::string& path) {
  YAML::Node root;
  try {
    root = YAML::LoadFile(path);
  } catch (const YAML::BadFile&) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
  }
  GivenSettings given;
  if (root.IsNull()) return given;
  if (!root.IsMap()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1: expected lines like \"memory_limit: 1GiB\""));
  }
  for (const auto& entry : root) {
    const std::string where = absl::StrCat(path, ":", entry.first.Mark().line + 1, ": ");
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    const Setting* setting = nullptr;
    std::vector<std::string> known;
    for (const Setting& candidate : Settings()) {
      known.push_back(candidate.yaml_key());
      if (known.back() == key) setting = &candidate;
    }
    if (setting == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "unknown key \"", key, "\"; known: ", absl::StrJoin(known, " ")));
    }
    if (given.count(setting->name) > 0) {
      return absl::InvalidArgumentError(absl::StrCat(where, key, ": given twice"));
    }
    if (!entry.second.IsScalar()) {
      return absl::InvalidArgumentError(absl::StrCat(where, key, ": expected one value"));
    }
    given[setting->name] = {Source::kFile, entry.second.Scalar(), absl::StrCat(where, key)};
  }
  return given;
}

// The strongest value of every setting that was given.
absl::StatusOr<GivenSettings> Gather(const GivenSettings& flags, const std::string& config_file,
                                     const Environment& environment) {
  GivenSettings given;
  if (!config_file.empty()) {
    absl::StatusOr<GivenSettings> file = ReadFile(config_file);
    if (!file.ok()) return file.status();
    given = *std::move(file);
  }
  for (const Setting& setting : Settings()) {
    const std::string name = setting.environment_name();
    const std::optional<std::string> value = environment(name);
    if (value.has_value() && !value->empty())
      given[setting.name] = {Source::kEnvironment, *value, name};
  }
  for (const auto& [name, flag] : flags) given[name] = flag;
  return given;
}

absl::Status Apply(const GivenSettings& given, ServeConfig& config) {
  config.server.broker.data_dir = "./barista-data";
  for (const Setting& setting : Settings()) {
    const auto it = given.find(setting.name);
    if (it == given.end()) continue;
    const absl::Status status = setting.apply(it->second.value, config);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(it->second.spelling, ": ", status.message()));
    }
  }
  // `memory` comes after `data-dir` in the table and has emptied it.
  const auto memory = given.find("memory");
  const auto data_dir = given.find("data-dir");
  if (config.server.broker.data_dir.empty() && data_dir != given.end()) {
    if (memory->second.source == data_dir->second.source) {
      return absl::InvalidArgumentError(absl::StrCat(
          memory->second.spelling, " and ", data_dir->second.spelling, " exclude each other"));
    }
    if (memory->second.source < data_dir->second.source) {
      config.server.broker.data_dir = data_dir->second.value;
    }
  }
  return absl::OkStatus();
}

ParsedArguments Refuse(absl::string_view why) {
  return {.config = std::nullopt,
          .exit_code = 2,
          .text = absl::StrCat("barista serve: ", why,
                               "\n'barista serve --help' shows every setting.\n")};
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

void AddServeFlags(CLI::App& app, ServeFlags& flags) {
  app.add_option("--config", flags.config_file, "A YAML file with settings")->type_name("FILE");
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
      "from the YAML file of --config (sync_interval: 50ms). A flag beats the environment, which "
      "beats\n"
      "the file.\n\n"
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
    return Refuse(error.what());
  }

  GivenSettings flags;
  for (const auto& [name, option] : given_flags.options) {
    if (option->count() > 0) {
      flags[name] = {Source::kFlag, given_flags.values[name], absl::StrCat("--", name)};
    }
  }
  std::string config_file = given_flags.config_file;
  if (config_file.empty()) config_file = environment("BARISTA_CONFIG").value_or("");
  const absl::StatusOr<GivenSettings> given = Gather(flags, config_file, environment);
  if (!given.ok()) return Refuse(given.status().message());
  ParsedArguments parsed;
  parsed.config.emplace();
  const absl::Status applied = Apply(*given, *parsed.config);
  if (!applied.ok()) return Refuse(applied.message());
  return parsed;
}

}  // namespace barista::server
