#include "broker/server/ready_file.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "barista/version.h"

namespace barista::server {

absl::Status RemoveReadyFile(const std::string& path) {
  for (const std::string& file : {path, absl::StrCat(path, ".tmp")}) {
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot remove the old ready file ", file));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteReadyFile(const std::string& path, const Server& server) {
  const boost::json::object ready = {{"http", server.http_address()},
                                     {"grpc", server.grpc_address()},
                                     {"admin", server.admin_address()},
                                     {"pid", static_cast<int64_t>(::getpid())},
                                     {"version", BARISTA_VERSION}};
  const std::string temporary = absl::StrCat(path, ".tmp");
  errno = 0;
  std::ofstream file(temporary, std::ios::trunc);
  file << boost::json::serialize(ready) << '\n';
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno == 0 ? EIO : errno,
                               absl::StrCat("cannot write the ready file ", path));
  }
  return absl::OkStatus();
}

}  // namespace barista::server
