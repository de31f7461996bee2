#ifndef BARISTA_STORAGE_FILES_H_
#define BARISTA_STORAGE_FILES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace barista::storage {

// The file operations that data directories and backups need, so that tests can put a file system
// of theirs under them.
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
  // kAlreadyExists: there is something of that name. The new name is not durable yet.
  virtual absl::Status CreateNewDir(const std::string& path) = 0;
  virtual absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) = 0;
  virtual absl::StatusOr<std::string> Read(const std::string& path) = 0;
  // The file has these bytes, durably, or is as it was.
  virtual absl::Status Replace(const std::string& path, absl::string_view bytes) = 0;
  // Names, without "." and "..".
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& dir) = 0;
  virtual absl::StatusOr<int64_t> Size(const std::string& path) = 0;
  // Calls `take` for each `block_bytes` of the file; the last piece may be shorter.
  virtual absl::Status ReadBlocks(const std::string& path, size_t block_bytes,
                                  const std::function<void(absl::string_view)>& take) = 0;

  // Gives the file a second name, not durable yet. False: the file system cannot; copy instead.
  virtual bool Link(const std::string& from, const std::string& to) = 0;
  // Copies the first `bytes` of a file; they are synced on return, the name is not. Calls
  // `go_on(bytes copied by now)` after each piece of 1 MiB; kCancelled when it says false.
  // kDataLoss: the file is shorter.
  virtual absl::Status Copy(const std::string& from, const std::string& to, int64_t bytes,
                            const std::function<bool(int64_t)>& go_on) = 0;
  // The names in `dir` are durable.
  virtual absl::Status SyncDir(const std::string& dir) = 0;
  // `to` may be an empty directory where `from` is one. The names are not durable yet.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Removes the directory with everything in it, as far as that can be done.
  virtual void RemoveAll(const std::string& dir) = 0;
  // Free bytes of the file system that holds `path`.
  virtual absl::StatusOr<int64_t> FreeSpace(const std::string& path) = 0;
};

// The directory that holds `path`, which does not end with a slash: "." if it names none.
std::string ParentOf(const std::string& path);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_FILES_H_
