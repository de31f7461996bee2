#ifndef BARISTA_STORAGE_ROCKSDB_BACKUP_H_
#define BARISTA_STORAGE_ROCKSDB_BACKUP_H_

#include <string>

#include "absl/status/statusor.h"
#include "barista/backup.h"
#include "storage/data_directory.h"
#include "storage/files.h"

namespace rocksdb {
class DB;
}

namespace barista::storage {

// Writes a backup (backup_manifest.h) of an open database to `dir`: what every commit before the
// call wrote, up to a border between two commits. Thread-safe beside everything but another backup
// of the same database.
//
// Tables and blobs, which never change, are linked where the file system can, and copied otherwise;
// log and manifest are copied. Nothing is flushed for it: the log is small (rocksdb_config.h).
// Until the call returns no file of the database is deleted.
//
// Errors as NewDirectory's, whose field is "dir", and as FromReadStatus'. A failure of the new
// directory does not concern the database; a failed sync of its log does (Refusal).
absl::StatusOr<BackupResult> WriteBackup(rocksdb::DB* db, Files& files,
                                         const DataDirectory& directory, const std::string& dir,
                                         const ProgressCallback& progress);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_BACKUP_H_
