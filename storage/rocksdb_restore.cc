#include <rocksdb/env.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/backup_manifest.h"
#include "storage/data_directory.h"
#include "storage/new_directory.h"
#include "storage/restore.h"
#include "storage/rocksdb_files.h"
#include "storage/rocksdb_store.h"

namespace barista::storage {
namespace {

absl::Status CopyFiles(Files& files, const std::string& from, const std::string& to,
                       const BackupManifest& manifest, const ProgressCallback& progress) {
  int64_t done = 0;
  for (const BackupManifest::File& file : manifest.files) {
    absl::Status status =
        files.Copy(absl::StrCat(from, "/", file.name), absl::StrCat(to, "/", file.name), file.bytes,
                   [&](int64_t copied) {
                     return !progress || progress({done + copied, manifest.bytes()});
                   });
    if (!status.ok()) return status;
    done += file.bytes;
  }
  return files.SyncDir(to);
}

// What opening does to it is part of a restored directory: it shows that it can be opened, and
// gives it a secret of its own.
absl::Status OpenOnce(const std::string& dir, rocksdb::Env* env) {
  RocksDbStoreOptions options;
  options.dir = dir;
  options.env = env;
  options.ballast_bytes = 0;
  options.new_secret = true;
  return OpenRocksDbStore(options).status();
}

}  // namespace

absl::StatusOr<BackupResult> RestoreBackup(const std::string& backup_dir,
                                           const std::string& data_dir,
                                           const ProgressCallback& progress, rocksdb::Env* env) {
  EnvFiles files(env != nullptr ? env : rocksdb::Env::Default());
  const absl::StatusOr<BackupManifest> manifest = ReadBackupManifest(files, backup_dir);
  if (!manifest.ok()) return manifest.status();
  absl::StatusOr<std::unique_ptr<NewDirectory>> target =
      NewDirectory::Begin(files, "data_dir", data_dir);
  if (!target.ok()) return target.status();
  const NewDirectory& staged = **target;
  if (absl::Status status = staged.CheckRoom(manifest->bytes()); !status.ok()) return status;
  const std::string db_dir = absl::StrCat(staged.staging(), "/db");
  absl::Status status = files.CreateNewDir(db_dir);
  if (status.ok()) {
    status = CopyFiles(files, absl::StrCat(backup_dir, "/db"), db_dir, *manifest, progress);
  }
  if (status.ok()) {
    status = files.Replace(absl::StrCat(staged.staging(), "/VERSION"),
                           EncodeVersion(manifest->store_id));
  }
  if (!status.ok()) return staged.Explain(status);
  if (status = OpenOnce(staged.staging(), env); !status.ok()) return status;
  if (status = (*target)->Publish(); !status.ok()) return status;
  return BackupResult{static_cast<int64_t>(manifest->files.size()), manifest->bytes()};
}

}  // namespace barista::storage
