#ifndef BARISTA_CLIENT_LOAD_INBOX_H_
#define BARISTA_CLIENT_LOAD_INBOX_H_

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace barista::load {

// Hands values to one taker. Thread-safe for any number of givers; may be destroyed as soon as the
// last value was taken. Holds as many values as there are receives under way.
template <typename T>
class Inbox {
 public:
  void Put(T value) {
    std::lock_guard<std::mutex> lock(mutex_);
    values_.push_back(std::move(value));
    // Under the lock: the taker may destroy this as soon as it is released.
    if (waiting_) there_.notify_one();
  }

  T Take() {
    std::unique_lock<std::mutex> lock(mutex_);
    waiting_ = true;
    there_.wait(lock, [this] { return !values_.empty(); });
    waiting_ = false;
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

 private:
  std::mutex mutex_;  // guards what follows
  std::condition_variable there_;
  std::deque<T> values_;
  bool waiting_ = false;
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_INBOX_H_
