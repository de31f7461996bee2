#ifndef BARISTA_STORAGE_NEW_DIRECTORY_H_
#define BARISTA_STORAGE_NEW_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/files.h"

namespace barista::storage {

// A directory that is there with everything in it, durably, or not at all: it is filled under the
// name PATH.tmp and renamed at the end. After a crash PATH.tmp is left and has to be removed by
// hand, since nobody knows whose it is. Thread-compatible.
//
// Errors, which name the parameter `field` and the path: kInvalidArgument/InvalidParameterValue:
// empty, or its parent does not exist. kAlreadyExists/DirectoryNotEmpty: there is something in
// PATH, or a PATH.tmp. kPermissionDenied/DirectoryNotWritable. kResourceExhausted/StorageFull.
// kUnavailable/DirectoryUnavailable: an I/O error. kCancelled and errors with a reason of their own
// stay as they are.
class NewDirectory {
 public:
  // Creates PATH.tmp. `files` outlives the result.
  static absl::StatusOr<std::unique_ptr<NewDirectory>> Begin(Files& files, absl::string_view field,
                                                             const std::string& path);
  // Removes what was not published.
  ~NewDirectory();
  NewDirectory(const NewDirectory&) = delete;
  NewDirectory& operator=(const NewDirectory&) = delete;

  const std::string& path() const { return path_; }        // without slashes at the end
  const std::string& staging() const { return staging_; }  // where to put the content

  // OK if the file system has room for `bytes` more, or does not say.
  absl::Status CheckRoom(int64_t bytes) const;
  // Syncs the names in staging() itself (not those below) and renames it. Once.
  absl::Status Publish();

  // An error of `Files`, of something below staging(), as above.
  absl::Status Explain(const absl::Status& cause) const;

 private:
  NewDirectory(Files& files, absl::string_view field, std::string path)
      : files_(files), field_(field), path_(std::move(path)), staging_(path_ + ".tmp") {}

  Files& files_;
  const std::string field_;
  const std::string path_;
  const std::string staging_;
  bool begun_ = false;
  bool published_ = false;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_NEW_DIRECTORY_H_
