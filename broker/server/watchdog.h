#ifndef BROKER_SERVER_WATCHDOG_H_
#define BROKER_SERVER_WATCHDOG_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/server/service_manager.h"

namespace barista::server {

// Sends the service manager the signals of its watchdog, twice in the interval that it wants, as
// long as every part of the server answers in that time. A part that does not is in the log, and
// costs the signal: the service manager then starts the process again. A thread, if an interval is
// wanted.
class Watchdog {
 public:
  // The parts that have not answered since the call before; called on the thread of this.
  using SilentParts = std::function<std::vector<std::string>()>;

  // `manager` outlives it.
  Watchdog(const ServiceManager* manager, SilentParts silent_parts);
  // Joins the thread.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // The parts end now, and are asked no more when this returns: the signals go on by themselves,
  // and the service manager's time for an end counts.
  void StopAsking();

 private:
  void Run();
  void Beat();

  const ServiceManager* const manager_;
  std::mutex mutex_;
  std::condition_variable changed_;
  SilentParts silent_parts_;  // guarded by mutex_; null: nobody is asked
  bool ending_ = false;       // guarded by mutex_
  std::thread thread_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_WATCHDOG_H_
