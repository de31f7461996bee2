#ifndef BROKER_SERVER_SETTINGS_H_
#define BROKER_SERVER_SETTINGS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "broker/server/config.h"

namespace barista::server {

// One setting of `barista serve`. The table of them is the only place where a setting is named,
// explained, checked and applied.
struct Setting {
  const char* name;         // as a flag, without the dashes: "sync-interval"
  const char* placeholder;  // of the value, for people; null: a switch
  const char* help;         // with unit, range and default
  // Checks `value` and puts it into `config`. The error tells what is wrong with the value and what
  // is allowed.
  absl::Status (*apply)(absl::string_view value, ServeConfig& config);

  std::string environment_name() const;  // BARISTA_SYNC_INTERVAL
  std::string yaml_key() const;          // sync_interval
};

// All but `config`, which names the file, in the order of the help.
absl::Span<const Setting> Settings();

}  // namespace barista::server

#endif  // BROKER_SERVER_SETTINGS_H_
