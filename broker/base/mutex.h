#ifndef BARISTA_BROKER_BASE_MUTEX_H_
#define BARISTA_BROKER_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace barista {

// std::mutex with the annotations that clang's thread-safety analysis reads. (absl::Mutex of
// Debian's Abseil is invisible to thread sanitizer.)
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waits may wake without cause: loop on the condition.
class CondVar {
 public:
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // Waits at most `timeout` of real time.
  void WaitFor(Mutex* mutex, absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (timeout >= absl::Hours(24)) return Wait(mutex);
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    cv_.wait_for(lock, absl::ToChronoNanoseconds(timeout));
    lock.release();
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

// Opens once; waiters pass from then on. May be destroyed as soon as a Wait has returned.
class Notification {
 public:
  void Notify() {
    MutexLock lock(&mutex_);
    done_ = true;
    cv_.NotifyAll();  // Under the lock: the waiter that returns may destroy *this.
  }
  bool HasBeenNotified() {
    MutexLock lock(&mutex_);
    return done_;
  }
  void Wait() {
    MutexLock lock(&mutex_);
    while (!done_) cv_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar cv_;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace barista

#endif  // BARISTA_BROKER_BASE_MUTEX_H_
