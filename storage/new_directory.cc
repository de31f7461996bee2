#include "storage/new_directory.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "storage/errors.h"

namespace barista::storage {

absl::StatusOr<std::unique_ptr<NewDirectory>> NewDirectory::Begin(Files& files,
                                                                  absl::string_view field,
                                                                  const std::string& path) {
  std::string name = path;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  std::unique_ptr<NewDirectory> directory(new NewDirectory(files, field, name));
  const auto error = [&](absl::StatusCode code, absl::string_view reason, absl::string_view text) {
    return MakeError(code, text,
                     {.reason = std::string(reason), .field = std::string(field), .value = path});
  };
  if (name.empty()) {
    return error(absl::StatusCode::kInvalidArgument, "InvalidParameterValue",
                 absl::StrCat(field, " is empty; it must be the path of a directory"));
  }
  if (const std::string parent = ParentOf(name); !files.Exists(parent)) {
    return error(absl::StatusCode::kInvalidArgument, "InvalidParameterValue",
                 absl::StrCat("cannot make the directory ", name, ": ", parent, " does not exist"));
  }
  if (files.Exists(name)) {
    // (A file, and a directory that is not ours to read, are "not found" to RocksDB.)
    const absl::StatusOr<std::vector<std::string>> names = files.List(name);
    if (!names.ok() && !absl::IsNotFound(names.status())) return directory->Explain(names.status());
    if (!names.ok() || !names->empty()) {
      return error(absl::StatusCode::kAlreadyExists, "DirectoryNotEmpty",
                   absl::StrCat(name,
                                " is not an empty directory; name one, or a path where there "
                                "is nothing"));
    }
  }
  const absl::Status created = files.CreateNewDir(directory->staging_);
  if (absl::IsAlreadyExists(created)) {
    return error(absl::StatusCode::kAlreadyExists, "DirectoryNotEmpty",
                 absl::StrCat(directory->staging_,
                              " exists: another call is filling it, or one was interrupted; if "
                              "none is, remove it"));
  }
  if (!created.ok()) return directory->Explain(created);
  directory->begun_ = true;
  return directory;
}

NewDirectory::~NewDirectory() {
  if (begun_ && !published_) files_.RemoveAll(staging_);
}

absl::Status NewDirectory::CheckRoom(int64_t bytes) const {
  const absl::StatusOr<int64_t> free = files_.FreeSpace(staging_);
  if (!free.ok() || *free >= bytes) return absl::OkStatus();
  return StorageFullError(path_, absl::StrCat(bytes, " bytes are needed, ", *free, " are free"));
}

absl::Status NewDirectory::Publish() {
  absl::Status status = files_.SyncDir(staging_);
  if (status.ok()) status = files_.Rename(staging_, path_);
  if (!status.ok()) return Explain(status);
  published_ = true;
  status = files_.SyncDir(ParentOf(path_));
  if (status.ok()) return status;
  files_.RemoveAll(path_);
  return Explain(status);
}

absl::Status NewDirectory::Explain(const absl::Status& cause) const {
  if (cause.ok() || absl::IsCancelled(cause) || !GetErrorInfo(cause).reason.empty()) return cause;
  if (absl::IsResourceExhausted(cause)) return StorageFullError(path_, cause.message());
  const bool denied = absl::IsPermissionDenied(cause);
  return MakeError(denied ? absl::StatusCode::kPermissionDenied : absl::StatusCode::kUnavailable,
                   absl::StrCat("cannot write ", path_, ": ", cause.message()),
                   {.reason = denied ? "DirectoryNotWritable" : "DirectoryUnavailable",
                    .field = field_,
                    .value = path_});
}

}  // namespace barista::storage
