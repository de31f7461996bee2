#include "broker/server/reload.h"

#include <utility>

#include "broker/server/settings.h"

namespace barista::server {

ReloadPlan PlanReload(const ServeConfig& in_force, const ServeConfig& read) {
  ReloadPlan plan;
  plan.config = in_force;
  plan.config.server.queues = read.server.queues;
  for (const Setting& setting : Settings()) {
    const auto origin = read.origins.find(setting.name);
    SettingChange change = {setting.name, setting.show(in_force), setting.show(read),
                            origin == read.origins.end() ? std::string(SourceName(Source::kDefault))
                                                         : origin->second.where};
    if (change.before == change.after) continue;
    if (setting.reload == Reload::kRestart) {
      plan.need_restart.push_back(std::move(change));
      continue;
    }
    // (Never fails: `read` holds what apply has taken.)
    setting.apply(change.after, plan.config).IgnoreError();
    plan.applied.push_back(std::move(change));
  }
  plan.config.origins = read.origins;
  return plan;
}

}  // namespace barista::server
