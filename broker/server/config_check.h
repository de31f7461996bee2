#ifndef BROKER_SERVER_CONFIG_CHECK_H_
#define BROKER_SERVER_CONFIG_CHECK_H_

#include <string>
#include <vector>

#include "broker/server/config.h"

namespace barista::server {

// What `barista serve` would do with its flags, its environment and its files.
struct ConfigReport {
  struct Line {
    std::string setting;  // as in the YAML file: "sync_interval"
    std::string value;    // empty: none. No secret: those stand in files of their own
    Origin origin;
    bool live = false;  // a reload applies it
  };
  std::vector<Line> settings;           // every one
  std::vector<QueueDefinition> queues;  // that the file wants
  std::vector<std::string> errors;      // each with what it is about; the rest is empty then
};

// Reads everything that `barista serve` reads before it starts, and looks at what it would need:
// the YAML file with its queues, certificates, tokens, addresses, the directories of data and ready
// file. Starts nothing, changes nothing, opens no data directory: a broker may be running in it.
// Which queues are there already is not known, so what depends on them is not checked. `arguments`
// are those of `barista serve`. Blocks.
ConfigReport CheckConfig(const std::vector<std::string>& arguments,
                         const Environment& environment = ProcessEnvironment());

}  // namespace barista::server

#endif  // BROKER_SERVER_CONFIG_CHECK_H_
