#include "broker/server/listen_probe.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace barista::server {
namespace {

sockaddr_un UnixName(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  return name;
}

}  // namespace

absl::Status CheckUnixPathFree(const std::string& path) {
  struct stat file;
  if (::lstat(path.c_str(), &file) != 0) return absl::OkStatus();
  if (!S_ISSOCK(file.st_mode)) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on unix:", path, ": the file exists and is no socket"));
  }
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::OkStatus();
  const sockaddr_un name = UnixName(path);
  const bool alive = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
  ::close(fd);
  if (!alive) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot listen on unix:", path, ": ", std::strerror(EADDRINUSE)));
}

std::string WhyNotListening(const ListenAddress& address) {
  constexpr char kUnknown[] = "gRPC could not bind it";
  if (!address.unix_path.empty()) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return std::strerror(errno);
    const sockaddr_un name = UnixName(address.unix_path);
    const int bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    const int error = errno;
    ::close(fd);
    if (bound != 0) return std::strerror(error);
    ::unlink(address.unix_path.c_str());
    return kUnknown;
  }
  using boost::asio::ip::tcp;
  boost::asio::io_context io;
  tcp::resolver resolver(io);
  boost::system::error_code error;
  const auto resolved = resolver.resolve(address.host, absl::StrCat(address.port), error);
  if (error) return error.message();
  for (const auto& candidate : resolved) {
    tcp::acceptor acceptor(io);
    acceptor.open(candidate.endpoint().protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(candidate.endpoint(), error);
    if (!error) acceptor.listen(1, error);
    if (error) return error.message();
  }
  return kUnknown;
}

}  // namespace barista::server
