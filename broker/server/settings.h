#ifndef BROKER_SERVER_SETTINGS_H_
#define BROKER_SERVER_SETTINGS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "broker/server/config.h"

namespace barista::server {

// Whether a reload (SIGHUP) applies a new value.
enum class Reload {
  kLive,     // at once
  kRestart,  // the process has to start again; a reload only says so
};

// One setting of `barista serve`. The table of them is the only place where a setting is named,
// explained, checked and applied.
struct Setting {
  const char* name;         // as a flag, without the dashes: "sync-interval"
  const char* placeholder;  // of the value, for people; null: a switch
  const char* help;         // with unit, range and default
  Reload reload;
  // Checks `value` and puts it into `config`. The error tells what is wrong with the value and what
  // is allowed.
  absl::Status (*apply)(absl::string_view value, ServeConfig& config);
  // The value that `config` holds, as `apply` takes it; empty: none.
  std::string (*show)(const ServeConfig& config);

  std::string environment_name() const;  // BARISTA_SYNC_INTERVAL
  std::string yaml_key() const;          // sync_interval
};

// All but `config`, which names the file, in the order of the help.
absl::Span<const Setting> Settings();

}  // namespace barista::server

#endif  // BROKER_SERVER_SETTINGS_H_
