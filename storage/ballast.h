#ifndef BARISTA_STORAGE_BALLAST_H_
#define BARISTA_STORAGE_BALLAST_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"

namespace barista::storage {

// A file that holds space back on the disk, so that deletes can still be logged, and queues
// drained, when others have filled it. Best effort: where the space cannot be had, there is none.
// Thread-safe.
class Ballast {
 public:
  // 0 bytes: no ballast, and a file left by an earlier run is removed.
  Ballast(std::string path, int64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  // Allocates the file, unless it is there. False: the space could not be had.
  bool Take();
  // Gives the space free.
  void Release();

 private:
  const std::string path_;
  const int64_t bytes_;
  Mutex mutex_;  // one change of the file at a time
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_BALLAST_H_
