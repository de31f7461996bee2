#ifndef BARISTA_CLIENT_LOAD_CREDITS_H_
#define BARISTA_CLIENT_LOAD_CREDITS_H_

#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

namespace barista::load {

// A counting semaphore with a single taker that takes several at a time. Thread-safe for any number
// of givers; may be destroyed as soon as the last Give's credits were taken.
class Credits {
 public:
  explicit Credits(int credits) : credits_(credits) {}

  void Give(int n) {
    std::lock_guard<std::mutex> lock(mutex_);
    credits_ += n;
    // Under the lock: the taker may destroy this as soon as it is released. Only a waiting taker
    // costs a system call.
    if (wanted_ != 0 && credits_ >= wanted_) given_.notify_one();
  }

  // Takes `n` as soon as there are so many; false, with none taken, if that was not within
  // `patience`.
  bool Take(int n, absl::Duration patience) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (credits_ < n) {
      wanted_ = n;
      const auto enough = [&] { return credits_ >= n; };
      if (patience == absl::InfiniteDuration()) {
        given_.wait(lock, enough);
      } else {
        given_.wait_for(lock, absl::ToChronoNanoseconds(patience), enough);
      }
      wanted_ = 0;
      if (credits_ < n) return false;
    }
    credits_ -= n;
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable given_;
  int credits_;     // guarded by mutex_
  int wanted_ = 0;  // guarded by mutex_; what a waiting taker wants
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_CREDITS_H_
