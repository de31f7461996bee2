#ifndef BROKER_SERVER_LISTEN_ADDRESS_H_
#define BROKER_SERVER_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace barista::server {

// Where a listener listens. A value type.
struct ListenAddress {
  std::string host;         // a name or an address, without brackets; empty for a Unix socket
  uint16_t port = 0;        // 0: a free one
  std::string unix_path;    // not empty: a Unix socket
  bool is_loopback = true;  // reachable from this machine only

  // HOST:PORT, [V6]:PORT or unix:PATH.
  std::string ToString() const;
};

// Reads HOST:PORT, [V6]:PORT or unix:PATH. Only "localhost", 127.0.0.0/8, ::1 and Unix sockets
// count as loopback: a name may resolve to anything. kInvalidArgument, with the value and the form
// that is expected.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

}  // namespace barista::server

#endif  // BROKER_SERVER_LISTEN_ADDRESS_H_
