#ifndef BARISTA_BACKUP_H_
#define BARISTA_BACKUP_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace barista {

// How far work on the files of a data directory has come.
struct FileProgress {
  int64_t bytes_done = 0;
  int64_t bytes_total = 0;
};

// Called by long work on its own thread, again after each few MiB; must be quick. False gives the
// work up: it answers kCancelled and leaves nothing behind. Empty: nobody wants to know.
using ProgressCallback = std::function<bool(const FileProgress& progress)>;

struct BackupResult {
  int64_t files = 0;
  int64_t bytes = 0;  // of the files, also of those that take no new space
};

// Makes the data directory `data_dir` out of a backup that Broker::Backup wrote. Needs no broker.
// Copies everything, so that `backup_dir` stays as it is and can be restored again; opens the copy
// once, and only then gives it its name: `data_dir` is there whole and durable, or not at all.
//
// `data_dir`: a new or an empty directory in one that exists. Receipt handles that were given out
// before the restore, by whichever broker, answer ReceiptHandleIsInvalid in the new one (I6: they
// could fit other messages); messages that were in flight come back when their leases are over.
//
// kInvalidArgument/InvalidParameterValue: `backup_dir` is no backup; `data_dir` is empty text, or
// its parent does not exist. kAlreadyExists/DirectoryNotEmpty: there is something in `data_dir`, or
// DATA_DIR.tmp exists, as after an interrupted call. kFailedPrecondition/DataDirectoryTooNew: of a
// newer version. kDataLoss/DataCorrupt, LogTruncated: the backup is not whole. kPermissionDenied/
// DirectoryNotWritable. kResourceExhausted/StorageFull. kUnavailable/DirectoryUnavailable,
// StoreUnavailable: an I/O error. kCancelled: `progress` said so. O(bytes).
absl::StatusOr<BackupResult> RestoreBackup(const std::string& backup_dir,
                                           const std::string& data_dir,
                                           const ProgressCallback& progress = {});

}  // namespace barista

#endif  // BARISTA_BACKUP_H_
