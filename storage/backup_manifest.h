#ifndef BARISTA_STORAGE_BACKUP_MANIFEST_H_
#define BARISTA_STORAGE_BACKUP_MANIFEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/files.h"

namespace barista::storage {

// A backup:
//
//   BACKUP   what it holds: the text below
//   db/      the RocksDB database, as after a crash between two commits
//
// It is no data directory: nobody opens it for writing, so it stays good for the next restore.
//
//   backup 1                        version of this text
//   format 1                        version of the data directory (kDataFormat)
//   id <32 hexadecimal digits>      of the store
//   file <bytes> <name>             one line for each file of db/
//   end <8 hexadecimal digits>      CRC-32C of everything before this line
struct BackupManifest {
  struct File {
    std::string name;
    int64_t bytes = 0;
    friend bool operator==(const File& a, const File& b) {
      return a.name == b.name && a.bytes == b.bytes;
    }
  };

  std::string store_id;  // 16 bytes
  std::vector<File> files;

  int64_t bytes() const;  // of all files
};

inline constexpr absl::string_view kBackupManifestName = "BACKUP";

std::string EncodeBackupManifest(const BackupManifest& manifest);

// Reads what EncodeBackupManifest wrote; `what` names the file in errors. kDataLoss/DataCorrupt: it
// is not whole, or names a file outside of db/. kFailedPrecondition/DataDirectoryTooNew: of a newer
// version.
absl::StatusOr<BackupManifest> DecodeBackupManifest(absl::string_view what, absl::string_view text);

// Reads what the backup in `dir` holds, and sees that its files are there in their lengths.
// kInvalidArgument/InvalidParameterValue, of the field "backup_dir": it is no backup.
// kDataLoss/DataCorrupt: a file is missing, or of another length. kUnavailable/
// DirectoryUnavailable: it cannot be read. Otherwise as DecodeBackupManifest. O(files).
absl::StatusOr<BackupManifest> ReadBackupManifest(Files& files, const std::string& dir);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_BACKUP_MANIFEST_H_
