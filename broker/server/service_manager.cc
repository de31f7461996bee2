#include "broker/server/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "broker/server/log.h"

namespace barista::server {
namespace {

void Warn(const std::string& text) { Log(spdlog::level::warn, text, {}); }

// One line: what it quotes may hold anything.
std::string StatusLine(absl::string_view status) {
  return absl::StrCat("STATUS=", absl::StrReplaceAll(status, {{"\n", " "}}));
}

int64_t MonotonicMicros() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::ToInt64Microseconds(absl::DurationFromTimespec(now));
}

}  // namespace

ServiceManager::ServiceManager(const Environment& environment) {
  const std::string socket = environment("NOTIFY_SOCKET").value_or("");
  if (socket.empty()) return;
  if (socket.size() < 2 || socket.size() >= sizeof(sockaddr_un::sun_path) ||
      (socket[0] != '/' && socket[0] != '@')) {
    Warn(absl::StrCat("NOTIFY_SOCKET: \"", socket.substr(0, 128),
                      "\" is neither /PATH nor @NAME of up to ", sizeof(sockaddr_un::sun_path) - 1,
                      " bytes"));
    return;
  }
  socket_ = socket;
  const std::optional<std::string> micros = environment("WATCHDOG_USEC");
  const std::optional<std::string> pid = environment("WATCHDOG_PID");
  if (!micros.has_value() || (pid.has_value() && *pid != absl::StrCat(::getpid()))) return;
  int64_t interval_us = 0;
  if (!absl::SimpleAtoi(*micros, &interval_us) || interval_us <= 0) {
    Warn(absl::StrCat("WATCHDOG_USEC: \"", micros->substr(0, 128),
                      "\" is not a number of microseconds"));
    return;
  }
  watchdog_interval_ = absl::Microseconds(interval_us);
}

void ServiceManager::Ready(absl::string_view status) const {
  Send(absl::StrCat("READY=1\n", StatusLine(status)));
}

void ServiceManager::Status(absl::string_view status) const { Send(StatusLine(status)); }

void ServiceManager::Reloading() const {
  Send(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", MonotonicMicros(), "\n",
                    StatusLine("reloading")));
}

void ServiceManager::Stopping(absl::Duration time) const {
  Send(absl::StrCat("STOPPING=1\nEXTEND_TIMEOUT_USEC=", absl::ToInt64Microseconds(time), "\n",
                    StatusLine("draining")));
}

void ServiceManager::Watchdog() const { Send("WATCHDOG=1"); }

void ServiceManager::Send(absl::string_view lines) const {
  if (!is_there()) return;
  const auto failed = [&] {
    Warn(absl::StrCat("NOTIFY_SOCKET: ", socket_, ": ", std::strerror(errno)));
  };
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed();
  const timeval patience = absl::ToTimeval(kPatience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socket_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (socket_[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const ssize_t sent = ::sendto(fd, lines.data(), lines.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), length);
  if (sent < 0) failed();
  ::close(fd);
}

}  // namespace barista::server
