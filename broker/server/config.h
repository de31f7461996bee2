#ifndef BROKER_SERVER_CONFIG_H_
#define BROKER_SERVER_CONFIG_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/server/log.h"
#include "broker/server/server.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace barista::server {

// Where the value of a setting comes from, weakest first.
enum class Source { kDefault = 0, kFile = 1, kEnvironment = 2, kFlag = 3 };
absl::string_view SourceName(Source source);  // default file environment flag

struct Origin {
  Source source = Source::kDefault;
  std::string where = "";  // "--sync-interval", "BARISTA_SYNC_INTERVAL", "barista.yaml:3"
};

// What `barista serve` is told.
struct ServeConfig {
  ServerOptions server;
  std::string ready_file;          // empty: none
  std::string log_level = "info";  // trace debug info warn error off
  LogFormat log_format = LogFormat::kText;

  std::string config_file;                // empty: none
  std::map<std::string, Origin> origins;  // by Setting::name; of what is not there the default
};

// Reads an environment variable; nullopt if it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment ProcessEnvironment();

struct ParsedArguments {
  // Set: serve with it. Otherwise print `text` (to standard output if exit_code is 0) and exit.
  std::optional<ServeConfig> config;
  int exit_code = 0;
  std::string text;
  // What is wrong, each of one line; `text` has them too.
  std::vector<std::string> errors = {};
};

// The flags of `barista serve` and what was given for them, as text.
struct ServeFlags {
  std::string config_file;
  std::map<std::string, std::string> values;    // by Setting::name
  std::map<std::string, CLI::Option*> options;  // by Setting::name; the app's
};
// Adds every flag of `barista serve` to `app`; `flags` outlives the parsing. Also for those who
// only want to know which flags there are.
void AddServeFlags(CLI::App& app, ServeFlags& flags);

// Every setting has one name in three spellings: the flag --sync-interval, the environment variable
// BARISTA_SYNC_INTERVAL and the key sync_interval of the YAML file that --config (or
// BARISTA_CONFIG) names. A flag beats the environment, which beats the file, which beats the
// default. An empty environment variable counts as not set. `--memory` beats a data directory of a
// weaker source, and the other way round; both from one source are an error. Queues stand in the
// file only (settings_file.h).
//
// Errors have exit code 2, are told all at once, and name the setting as it was spelt, its value
// and what is allowed; those of the file also the line. Does not throw.
ParsedArguments ParseServeArguments(int argc, const char* const* argv,
                                    const Environment& environment = ProcessEnvironment());

}  // namespace barista::server

#endif  // BROKER_SERVER_CONFIG_H_
