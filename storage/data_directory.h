#ifndef BARISTA_STORAGE_DATA_DIRECTORY_H_
#define BARISTA_STORAGE_DATA_DIRECTORY_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/log_scan.h"

namespace barista::storage {

// The file operations that a data directory needs, so that tests can put a file system of theirs
// under it.
//
// Errors: kNotFound, kResourceExhausted (no space left), kFailedPrecondition (Lock: held by
// someone), kPermissionDenied (read-only, not ours, not a directory), kUnavailable for whatever
// else fails. The text is the file system's, with the path.
class Files {
 public:
  class Lock {
   public:
    virtual ~Lock() = default;  // releases it
  };

  virtual ~Files() = default;
  virtual bool Exists(const std::string& path) = 0;
  // With its missing parents; each new name is durable on return.
  virtual absl::Status CreateDir(const std::string& path) = 0;
  virtual absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) = 0;
  virtual absl::StatusOr<std::string> Read(const std::string& path) = 0;
  // The file has these bytes, durably, or is as it was.
  virtual absl::Status Replace(const std::string& path, absl::string_view bytes) = 0;
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& dir) = 0;
  // Calls `take` for each `block_bytes` of the file; the last piece may be shorter.
  virtual absl::Status ReadBlocks(const std::string& path, size_t block_bytes,
                                  const std::function<void(absl::string_view)>& take) = 0;
};

// A data directory:
//
//   LOCK      held while a store has the directory open
//   VERSION   "format 1\nid <32 hexadecimal digits>\n"
//   ballast   space held back (storage/ballast.h)
//   db/       the RocksDB database
struct DataDirectory {
  std::unique_ptr<Files::Lock> lock;
  std::string dir;
  std::string store_id;  // 16 bytes
  std::string db_dir;
  std::string ballast_path;
};

inline constexpr int kDataFormat = 1;

// Creates what is missing and takes the lock. kFailedPrecondition/DataDirectoryInUse,
// DataDirectoryTooNew; kPermissionDenied/DataDirectoryNotWritable; kResourceExhausted/StorageFull;
// kUnavailable/StoreUnavailable: an I/O error; kDataLoss/DataCorrupt: VERSION makes no sense.
absl::StatusOr<DataDirectory> OpenDataDirectory(Files& files, const std::string& dir);

// Shows the files of the write-ahead log to `scanner`, in their order. Errors as OpenDataDirectory.
// O(bytes of the log).
absl::Status ScanLog(Files& files, const DataDirectory& directory, LogScanner* scanner);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_DATA_DIRECTORY_H_
