#ifndef BARISTA_STORAGE_DATA_DIRECTORY_H_
#define BARISTA_STORAGE_DATA_DIRECTORY_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/files.h"
#include "storage/log_scan.h"

namespace barista::storage {

// A data directory:
//
//   LOCK      held while a store has the directory open
//   VERSION   "format 1\nid <32 hexadecimal digits>\n"
//   ballast   space held back (storage/ballast.h)
//   db/       the RocksDB database
//
// A backup (storage/backup_manifest.h) has BACKUP instead of the first three, and is never opened.
struct DataDirectory {
  std::unique_ptr<Files::Lock> lock;
  std::string dir;
  std::string store_id;  // 16 bytes
  std::string db_dir;
  std::string ballast_path;
};

inline constexpr int kDataFormat = 1;

// The bytes of VERSION.
std::string EncodeVersion(absl::string_view store_id);

// Creates what is missing and takes the lock. kFailedPrecondition/DataDirectoryInUse,
// DataDirectoryTooNew, DataDirectoryIsBackup; kPermissionDenied/DataDirectoryNotWritable;
// kResourceExhausted/StorageFull; kUnavailable/StoreUnavailable: an I/O error;
// kDataLoss/DataCorrupt: VERSION makes no sense.
absl::StatusOr<DataDirectory> OpenDataDirectory(Files& files, const std::string& dir);

// The same of a directory that must be there: creates nothing, and changes nothing.
// kInvalidArgument/InvalidParameterValue: it is no data directory.
absl::StatusOr<DataDirectory> OpenExistingDataDirectory(Files& files, const std::string& dir);

// Shows the files of the write-ahead log to `scanner`, in their order, and calls `after_file`, if
// given, with the name of each behind it. Errors as OpenDataDirectory. O(bytes of the log).
absl::Status ScanLog(Files& files, const DataDirectory& directory, LogScanner* scanner,
                     const std::function<void(const std::string& name)>& after_file = {});

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_DATA_DIRECTORY_H_
