#include "broker/server/strand.h"

#include <utility>

namespace barista::server {

void Strand::Post(Event event, HandOver* hand_over) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(event));
    if (running_) return;
    running_ = true;
  }
  Run(hand_over);
}

void Strand::Run(HandOver* hand_over) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!waiting_.empty()) {
    batch_.swap(waiting_);
    lock.unlock();
    for (Event& next : batch_) next();
    batch_.clear();
    turn_();
    lock.lock();
    if (hand_over == nullptr || waiting_.empty()) continue;
    lock.unlock();
    if ((*hand_over)([this] { Run(nullptr); })) return;
    lock.lock();
  }
  running_ = false;
}

bool Strand::HasWaiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !waiting_.empty();
}

}  // namespace barista::server
