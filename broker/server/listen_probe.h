#ifndef BROKER_SERVER_LISTEN_PROBE_H_
#define BROKER_SERVER_LISTEN_PROBE_H_

#include <string>

#include "absl/status/status.h"
#include "broker/server/listen_address.h"

namespace barista::server {

// What gRPC does not tell about the addresses it listens on. Stateless; both block shortly.

// gRPC takes over any Unix socket that is there, also a living one. kUnavailable: a server answers
// at `path`, or it is no socket. A race of two that start at once is not seen.
absl::Status CheckUnixPathFree(const std::string& path);

// Why gRPC could not listen on `address`, which it does not say: binds it once more and looks at
// the error.
std::string WhyNotListening(const ListenAddress& address);

}  // namespace barista::server

#endif  // BROKER_SERVER_LISTEN_PROBE_H_
