#include "broker/server/security/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace barista::server {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes,
                                          Privacy privacy) {
  const auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", why));
  };
  // Not blocking: opening a FIFO would wait for somebody to write to it.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return refuse(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return refuse("is no regular file");
  if (privacy == Privacy::kOwnerOnly && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return refuse(
        absl::StrFormat("its mode is %04o, so that others than its owner can use it; limit 0600: "
                        "chmod 600 %s",
                        status.st_mode & 07777, path));
  }
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t read = ::read(file.get(), buffer, sizeof(buffer));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return refuse(std::strerror(errno));
    if (read == 0) return text;
    text.append(buffer, static_cast<size_t>(read));
    if (text.size() > max_bytes) {
      return refuse(absl::StrCat("has more than ", max_bytes, " bytes"));
    }
  }
}

}  // namespace barista::server
