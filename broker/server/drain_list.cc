#include "broker/server/drain_list.h"

#include <utility>
#include <vector>

namespace barista::server {

void DrainList::DrainAll() {
  std::vector<std::function<void()>> all;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    for (const auto& [key, drain] : drains_) all.push_back(drain);
  }
  // They may call us: not under the lock.
  for (const auto& drain : all) drain();
}

bool DrainList::draining() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return draining_;
}

void DrainList::Add(const void* key, std::function<void()> drain) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!draining_) {
      drains_.emplace(key, std::move(drain));
      return;
    }
  }
  drain();
}

void DrainList::Remove(const void* key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  drains_.erase(key);
}

void DrainList::Enter() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++inside_;
}

void DrainList::Leave() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--inside_ == 0) left_.notify_all();
}

void DrainList::WaitUntilLeft() {
  std::unique_lock<std::mutex> lock(mutex_);
  left_.wait(lock, [this] { return inside_ == 0; });
}

}  // namespace barista::server
