#include "broker/server/watchdog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "broker/server/log.h"

namespace barista::server {

Watchdog::Watchdog(const ServiceManager* manager, SilentParts silent_parts)
    : manager_(manager), silent_parts_(std::move(silent_parts)) {
  if (manager_->watchdog_interval() > absl::ZeroDuration()) {
    thread_ = std::thread([this] { Run(); });
  }
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::StopAsking() {
  const std::lock_guard<std::mutex> lock(mutex_);
  silent_parts_ = nullptr;
}

void Watchdog::Run() {
  const auto half = absl::ToChronoNanoseconds(manager_->watchdog_interval() / 2);
  std::unique_lock<std::mutex> lock(mutex_);
  while (!ending_) {
    // (Under the lock, so that StopAsking waits for it; neither blocks for long.)
    Beat();
    changed_.wait_for(lock, half, [this] { return ending_; });
  }
}

void Watchdog::Beat() {
  const std::vector<std::string> silent =
      silent_parts_ ? silent_parts_() : std::vector<std::string>();
  if (silent.empty()) return manager_->Watchdog();
  Log(spdlog::level::err,
      absl::StrCat("watchdog: no answer for ",
                   absl::FormatDuration(manager_->watchdog_interval() / 2),
                   " from: ", absl::StrJoin(silent, ", ")),
      {{"parts", absl::StrJoin(silent, ",")}});
}

}  // namespace barista::server
