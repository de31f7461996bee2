#include "broker/server/strand.h"

#include <utility>

namespace barista::server {

void Strand::Post(Event event) {
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_.push_back(std::move(event));
  if (running_) return;
  running_ = true;
  while (!waiting_.empty()) {
    batch_.swap(waiting_);
    lock.unlock();
    for (Event& next : batch_) next();
    batch_.clear();
    lock.lock();
  }
  running_ = false;
}

}  // namespace barista::server
