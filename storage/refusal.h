#ifndef BARISTA_STORAGE_REFUSAL_H_
#define BARISTA_STORAGE_REFUSAL_H_

#include <atomic>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "broker/base/mutex.h"

namespace barista::storage {

// Whether writes are refused, and why (I10). Once refused, refused for good. Thread-safe.
class Refusal {
 public:
  // OK, or kUnavailable/StoreUnavailable with the first cause.
  absl::Status Check() const;
  // From now on. Returns what Check does.
  absl::Status Latch(absl::string_view cause);

 private:
  // Written by whoever meets an error first, read by every Write and Sync. The release in Latch
  // pairs with the acquire in Check; the mutex protects the text anyway, so that without the pair
  // only the moment of the refusal would be later.
  std::atomic<bool> refused_{false};
  mutable Mutex mutex_;
  std::string cause_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_REFUSAL_H_
