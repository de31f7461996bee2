#include "broker/server/heartbeat.h"

#include <utility>

namespace barista::server {

void Heartbeat::Add(std::string part, Probe probe) {
  parts_.push_back({std::move(part), std::move(probe), std::make_shared<std::atomic<bool>>(false)});
}

std::vector<std::string> Heartbeat::Beat() {
  std::vector<std::string> silent;
  for (const Part& part : parts_) {
    if (!part.waiting->load(std::memory_order_relaxed)) {
      part.waiting->store(true, std::memory_order_relaxed);
      const bool asked = part.probe(
          [waiting = part.waiting] { waiting->store(false, std::memory_order_relaxed); });
      if (asked) continue;
      part.waiting->store(false, std::memory_order_relaxed);
    }
    silent.push_back(part.name);
  }
  return silent;
}

}  // namespace barista::server
