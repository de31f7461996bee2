#ifndef BROKER_SERVER_SECURITY_PRIVATE_FILE_H_
#define BROKER_SERVER_SECURITY_PRIVATE_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace barista::server {

// Who may read a file besides its owner.
enum class Privacy {
  kAnyone,     // certificates
  kOwnerOnly,  // a file that group or others may read or write is refused
};

// The whole of the regular file at `path`. Blocks. The mode is that of the opened file: nothing can
// be swapped in between.
//
// kInvalidArgument, with the path: it cannot be read, is no regular file, has more than `max_bytes`
// bytes, or is not as private as `privacy` wants; the text then says the mode and `chmod 600`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes,
                                          Privacy privacy);

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_PRIVATE_FILE_H_
