#ifndef BROKER_SERVER_DRAIN_LIST_H_
#define BROKER_SERVER_DRAIN_LIST_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

namespace barista::server {

// What has to be told when the server drains: receives that wait, streams. Thread-safe; outlives
// all that is on it.
class DrainList {
 public:
  // Calls what is on the list, and from now on each that is added, at once.
  void DrainAll();
  bool draining() const;

  // `drain` must not block. It may run inside the call, and until Remove has returned or a little
  // later on another thread; so it owns what it uses. One for each `key`.
  void Add(const void* key, std::function<void()> drain);
  void Remove(const void* key);

  // Whoever may still call the engine when gRPC has forgotten it; WaitUntilLeft returns when all
  // that entered have left.
  void Enter();
  void Leave();
  void WaitUntilLeft();

 private:
  mutable std::mutex mutex_;
  std::condition_variable left_;
  int inside_ = 0;                                       // guarded by mutex_
  std::map<const void*, std::function<void()>> drains_;  // guarded by mutex_
  bool draining_ = false;                                // guarded by mutex_
};

}  // namespace barista::server

#endif  // BROKER_SERVER_DRAIN_LIST_H_
