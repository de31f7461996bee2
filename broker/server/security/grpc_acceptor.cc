#include "broker/server/security/grpc_acceptor.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/clock.h"

namespace barista::server {
namespace {

// Without a descriptor left, connections are left waiting for so long before the next attempt.
constexpr int kOutOfDescriptorsPauseMs = 100;

absl::Status CannotListen(absl::string_view address, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", why));
}

// The address of the other side, without its port.
std::string ClientOf(int fd) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  char host[NI_MAXHOST];
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::getpeername(fd, generic, &bytes) != 0 || address.ss_family == AF_UNIX ||
      ::getnameinfo(generic, bytes, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) {
    return "unix";
  }
  return host;
}

uint16_t PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace

GrpcAcceptor::Descriptor::Descriptor(Descriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

GrpcAcceptor::Descriptor& GrpcAcceptor::Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

GrpcAcceptor::Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

GrpcAcceptor::GrpcAcceptor(const ClientLimit::Limits& limits)
    : limit_(kConnections, limits),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

GrpcAcceptor::~GrpcAcceptor() { Stop(); }

absl::StatusOr<ListenAddress> GrpcAcceptor::Listen(const ListenAddress& address) {
  if (epoll_.get() < 0 || wake_.get() < 0 || !Watch(wake_.get(), EPOLLIN)) {
    return CannotListen(address.ToString(), "no descriptors left");
  }
  ListenAddress bound = address;
  if (!address.unix_path.empty()) {
    if (absl::Status listening = ListenUnix(address.unix_path); !listening.ok()) return listening;
    return bound;
  }
  const absl::StatusOr<uint16_t> port = ListenTcp(address);
  if (!port.ok()) return port.status();
  bound.port = *port;
  return bound;
}

absl::Status GrpcAcceptor::ListenUnix(const std::string& path) {
  const std::string shown = absl::StrCat("unix:", path);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  const auto* const generic = reinterpret_cast<const sockaddr*>(&name);
  struct stat file;
  if (::lstat(path.c_str(), &file) == 0) {
    if (!S_ISSOCK(file.st_mode)) return CannotListen(shown, "the file exists and is no socket");
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), generic, sizeof(name)) == 0) {
      return CannotListen(shown, std::strerror(EADDRINUSE));
    }
    ::unlink(path.c_str());
  }
  Descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::bind(listener.get(), generic, sizeof(name)) != 0 ||
      ::listen(listener.get(), SOMAXCONN) != 0) {
    return CannotListen(shown, std::strerror(errno));
  }
  unix_path_ = path;
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> GrpcAcceptor::ListenTcp(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* resolved = nullptr;
  const int unresolved =
      ::getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &resolved);
  if (unresolved != 0) return CannotListen(address.ToString(), ::gai_strerror(unresolved));
  uint16_t port = address.port;
  int error = EADDRNOTAVAIL;
  for (const addrinfo* next = resolved; next != nullptr; next = next->ai_next) {
    Descriptor listener(
        ::socket(next->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    constexpr int kOn = 1;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof(kOn));
    const in_port_t wire_port = htons(port);
    if (next->ai_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6*>(next->ai_addr)->sin6_port = wire_port;
    } else {
      reinterpret_cast<sockaddr_in*>(next->ai_addr)->sin_port = wire_port;
    }
    if (::bind(listener.get(), next->ai_addr, next->ai_addrlen) != 0 ||
        ::listen(listener.get(), SOMAXCONN) != 0) {
      error = errno;
      // An address of the name that this machine does not have is no loss; a taken one is.
      if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT || error == EBADF) continue;
      listeners_.clear();
      break;
    }
    port = PortOf(listener.get());
    listeners_.push_back(std::move(listener));
  }
  ::freeaddrinfo(resolved);
  if (listeners_.empty()) return CannotListen(address.ToString(), std::strerror(error));
  return port;
}

bool GrpcAcceptor::Watch(int fd, uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void GrpcAcceptor::Unwatch(int fd) const { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void GrpcAcceptor::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server) {
  server_ = std::move(server);
  thread_ = std::thread([this] { Run(); });
}

void GrpcAcceptor::Run() {
  constexpr int kForEver = -1;
  std::array<epoll_event, 64> events;
  bool accepting = false;
  int wait_ms = kForEver;
  while (true) {
    if (!accepting && wait_ms == kForEver) {
      for (const Descriptor& listener : listeners_) Watch(listener.get(), EPOLLIN);
      accepting = true;
    }
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms);
    wait_ms = kForEver;
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == wake_.get()) return;
      if (const auto ended = open_.find(fd); ended != open_.end()) {
        // gRPC's own descriptor would keep it in the epoll set.
        Unwatch(fd);
        open_.erase(ended);
      } else if (!AcceptAll(fd)) {
        wait_ms = kOutOfDescriptorsPauseMs;
      }
    }
    if (wait_ms != kForEver && accepting) {
      // It would be reported again at once.
      for (const Descriptor& listener : listeners_) Unwatch(listener.get());
      accepting = false;
    }
  }
}

bool GrpcAcceptor::AcceptAll(int listener) {
  while (true) {
    Descriptor accepted(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted.get() >= 0) {
      HandOver(std::move(accepted));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      LogRefusal(std::strerror(errno));
      return false;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return true;
    }
  }
}

void GrpcAcceptor::HandOver(Descriptor accepted) {
  absl::StatusOr<ClientLimit::Share> slot = limit_.Take(ClientOf(accepted.get()));
  if (!slot.ok()) return LogRefusal(slot.status().message());
  Descriptor watched(::fcntl(accepted.get(), F_DUPFD_CLOEXEC, 0));
  // gRPC shuts a connection down before it closes it, so that the end of either side shows here.
  if (watched.get() < 0 || !Watch(watched.get(), EPOLLRDHUP | EPOLLHUP)) {
    return LogRefusal(std::strerror(errno));
  }
  constexpr int kOn = 1;
  ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn));
  const int key = watched.get();
  open_.emplace(key, Connection{std::move(watched), *std::move(slot)});
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
  connection.fd = accepted.Release();
  server_->HandleNewConnection(&connection);
}

void GrpcAcceptor::LogRefusal(absl::string_view why) {
  const std::optional<int64_t> held_back = log_gate_.Pass(Clock::System()->Monotonic());
  if (!held_back.has_value()) return;
  spdlog::warn("gRPC refused a connection: {} ({} before it are not in the log)", std::string(why),
               *held_back);
}

void GrpcAcceptor::Stop() {
  if (thread_.joinable()) {
    ::eventfd_write(wake_.get(), 1);
    thread_.join();
  }
  listeners_.clear();
  open_.clear();
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
  unix_path_.clear();
}

}  // namespace barista::server
