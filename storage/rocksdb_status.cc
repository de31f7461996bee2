#include "storage/rocksdb_status.h"

#include <rocksdb/status.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "storage/errors.h"

namespace barista::storage {

bool IsRefusal(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  for (const char* refusal : {"Permission denied", "Read-only file system",
                              "Operation not permitted", "Not a directory"}) {
    if (absl::StrContains(text, refusal)) return true;
  }
  return false;
}

absl::Status FromReadStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  if (status.IsCorruption()) return CorruptError("the database", status.ToString());
  ErrorInfo info;
  info.reason = "StoreUnavailable";
  return MakeError(absl::StatusCode::kUnavailable,
                   absl::StrCat("the store cannot be read: ", status.ToString()), info);
}

absl::Status FromOpenStatus(const std::string& dir, const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = status.ToString();
  if (status.IsNoSpace()) return StorageFullError(dir, text);
  if (status.IsCorruption()) return CorruptError(absl::StrCat("the database in ", dir), text);
  if (IsRefusal(status)) {
    ErrorInfo info;
    info.reason = "DataDirectoryNotWritable";
    info.field = "data_dir";
    info.value = dir;
    return MakeError(absl::StatusCode::kPermissionDenied,
                     absl::StrCat("cannot write to the data directory ", dir, ": ", text), info);
  }
  ErrorInfo info;
  info.reason = "StoreUnavailable";
  return MakeError(absl::StatusCode::kUnavailable,
                   absl::StrCat("cannot open the database in ", dir, ": ", text), info);
}

}  // namespace barista::storage
