#include "storage/refusal.h"

#include "storage/errors.h"

namespace barista::storage {

absl::Status Refusal::Check() const {
  if (!refused_.load(std::memory_order_acquire)) return absl::OkStatus();
  MutexLock lock(&mutex_);
  return UnavailableError(cause_);
}

absl::Status Refusal::Latch(absl::string_view cause) {
  {
    MutexLock lock(&mutex_);
    if (cause_.empty()) cause_ = std::string(cause);
  }
  refused_.store(true, std::memory_order_release);
  return Check();
}

}  // namespace barista::storage
