#ifndef BARISTA_STORAGE_RESTORE_H_
#define BARISTA_STORAGE_RESTORE_H_

#include <string>

#include "absl/status/statusor.h"
#include "barista/backup.h"

namespace rocksdb {
class Env;
}

namespace barista::storage {

// As barista::RestoreBackup (barista/backup.h). `env` is borrowed; null: the machine's files.
absl::StatusOr<BackupResult> RestoreBackup(const std::string& backup_dir,
                                           const std::string& data_dir,
                                           const ProgressCallback& progress, rocksdb::Env* env);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_RESTORE_H_
