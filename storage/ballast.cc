#include "storage/ballast.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace barista::storage {

bool Ballast::Take() {
  MutexLock lock(&mutex_);
  if (bytes_ <= 0) {
    unlink(path_.c_str());
    return true;
  }
  struct stat found;
  if (stat(path_.c_str(), &found) == 0 && found.st_size == bytes_) return true;
  const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  const bool taken = ftruncate(fd, bytes_) == 0 && posix_fallocate(fd, 0, bytes_) == 0;
  close(fd);
  if (!taken) unlink(path_.c_str());
  return taken;
}

void Ballast::Release() {
  MutexLock lock(&mutex_);
  unlink(path_.c_str());
}

}  // namespace barista::storage
