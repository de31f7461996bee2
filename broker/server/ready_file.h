#ifndef BROKER_SERVER_READY_FILE_H_
#define BROKER_SERVER_READY_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "broker/server/server.h"

namespace barista::server {

// The file that tells other programs that a server accepts calls, and where. Contract:
// ARCHITECTURE.md, "Ready file".

// Removes `path` and `path`.tmp; OK if there are none.
absl::Status RemoveReadyFile(const std::string& path);

// Writes {"http","grpc","admin","pid","version"} as one line to `path`.tmp and renames it, so that
// a reader sees all or nothing.
absl::Status WriteReadyFile(const std::string& path, const Server& server);

}  // namespace barista::server

#endif  // BROKER_SERVER_READY_FILE_H_
