#ifndef BROKER_SERVER_SERVICE_MANAGER_H_
#define BROKER_SERVER_SERVICE_MANAGER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "broker/server/config.h"

namespace barista::server {

// Tells systemd, or who speaks its protocol, how the process fares: a datagram of NAME=VALUE lines
// to the socket $NOTIFY_SOCKET. The protocol is that of sd_notify(3); libsystemd, which has it too,
// would bring four libraries along. Thread-safe. Without a socket nothing is sent.
class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. What is malformed counts as not set, and
  // the log says so.
  explicit ServiceManager(const Environment& environment);

  bool is_there() const { return !socket_.empty(); }
  // A Watchdog() has to come more often than this; zero: none is asked for.
  absl::Duration watchdog_interval() const { return watchdog_interval_; }

  // `status` is one line for people, as `systemctl status` shows it.
  void Ready(absl::string_view status) const;
  void Status(absl::string_view status) const;
  // A reload begins; Ready() ends it.
  void Reloading() const;
  // The end begins; it may take `time`.
  void Stopping(absl::Duration time) const;
  void Watchdog() const;

 private:
  // Waits for room in the socket for up to kPatience; what cannot be sent is logged.
  static constexpr absl::Duration kPatience = absl::Seconds(5);
  void Send(absl::string_view lines) const;

  std::string socket_;  // "/run/…", or "@…" of the abstract name space; empty: nobody is told
  absl::Duration watchdog_interval_ = absl::ZeroDuration();
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SERVICE_MANAGER_H_
