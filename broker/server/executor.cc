#include "broker/server/executor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::server {

Executor::Executor(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Executor::~Executor() { Stop(); }

bool Executor::TrySubmit(absl::AnyInvocable<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ || waiting_.size() >= kMaxWaiting) return false;
    waiting_.push_back(std::move(task));
  }
  changed_.notify_one();
  return true;
}

void Executor::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Executor::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    absl::AnyInvocable<void()> task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it captured goes before the lock is taken
    lock.lock();
  }
}

absl::Status ServerBusy() {
  return MakeError(absl::StatusCode::kResourceExhausted,
                   absl::StrCat(Executor::kMaxWaiting, " calls on definitions wait already"),
                   {.reason = "ServerBusy", .limit = absl::StrCat(Executor::kMaxWaiting)});
}

}  // namespace barista::server
