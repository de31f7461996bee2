#ifndef BROKER_SERVER_RELOAD_H_
#define BROKER_SERVER_RELOAD_H_

#include <string>
#include <vector>

#include "broker/server/config.h"

namespace barista::server {

// A setting whose value was read again and is another one.
struct SettingChange {
  std::string name;  // Setting::name
  std::string before, after;
  std::string where;  // where it comes from now: "barista.yaml:3"; "default"
};

// What a reload does.
struct ReloadPlan {
  ServeConfig config;  // to be in force from now on: the old one, with what can be changed
  std::vector<SettingChange> applied;
  std::vector<SettingChange> need_restart;  // and stay as they are until then
};

// Compares the settings in force with those that were just read. The table of settings says which
// can be changed; of queues all of `read` are taken.
ReloadPlan PlanReload(const ServeConfig& in_force, const ServeConfig& read);

}  // namespace barista::server

#endif  // BROKER_SERVER_RELOAD_H_
