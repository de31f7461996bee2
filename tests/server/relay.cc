#include "tests/server/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace barista::server {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// Moves what there is; false at the end of the stream.
bool Pass(int from, int to) {
  char buffer[16384];
  const ssize_t received = ::recv(from, buffer, sizeof(buffer), 0);
  if (received <= 0) return false;
  for (ssize_t sent = 0; sent < received;) {
    const ssize_t n = ::send(to, buffer + sent, static_cast<size_t>(received - sent), MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += n;
  }
  return true;
}

}  // namespace

Relay::Relay(const std::string& target) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 1) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::pipe(wake_) != 0) {
    std::abort();
  }
  address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  thread_ = std::thread([this, target] { Run(target); });
}

Relay::~Relay() {
  Cut();
  ::close(wake_[0]);
}

void Relay::Cut() {
  if (!thread_.joinable()) return;
  ::close(wake_[1]);
  thread_.join();
}

void Relay::Run(const std::string& target) {
  pollfd first[2] = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
  ::poll(first, 2, -1);
  if (first[1].revents == 0) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const std::string port = target.substr(target.rfind(':') + 1);
    const sockaddr_in to = Loopback(static_cast<uint16_t>(std::atoi(port.c_str())));
    bool open = ::connect(server, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
    while (open) {
      pollfd ends[3] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {wake_[0], POLLIN, 0}};
      ::poll(ends, 3, -1);
      if (ends[2].revents != 0) break;
      if (ends[0].revents != 0) open = Pass(client, server);
      if (open && ends[1].revents != 0) open = Pass(server, client);
    }
    ::close(client);
    ::close(server);
  }
  ::close(listener_);
}

}  // namespace barista::server
