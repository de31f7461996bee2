#include "storage/rocksdb_backup.h"

#include <rocksdb/db.h>
#include <rocksdb/metadata.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>
#include <rocksdb/types.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/backup_manifest.h"
#include "storage/log_scan.h"
#include "storage/new_directory.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {
namespace {

// While it lives, files that the database needs no more stay.
class FileDeletionsHeld {
 public:
  explicit FileDeletionsHeld(rocksdb::DB* db) : db_(db), status_(db->DisableFileDeletions()) {}
  ~FileDeletionsHeld() {
    if (status_.ok()) db_->EnableFileDeletions(/*force=*/false).PermitUncheckedError();
  }
  FileDeletionsHeld(const FileDeletionsHeld&) = delete;
  FileDeletionsHeld& operator=(const FileDeletionsHeld&) = delete;
  const rocksdb::Status& status() const { return status_; }

 private:
  rocksdb::DB* const db_;
  const rocksdb::Status status_;
};

// A file that goes into the backup with its first `bytes`.
struct Source {
  std::string path;
  std::string name;
  int64_t bytes;
};

// Cuts the log off behind its last whole record: a commit may be under way. Any later border would
// do as well as the one of the moment when the files were listed.
absl::Status CutLog(Files& files, const DataDirectory& directory, Source* log) {
  LogScanner scanner(directory.store_id);
  scanner.BeginFile();
  absl::Status status = files.ReadBlocks(log->path, LogScanner::kBlockBytes,
                                         [&](absl::string_view block) { scanner.AddBlock(block); });
  log->bytes = static_cast<int64_t>(scanner.intact_bytes());
  return status;
}

}  // namespace

absl::StatusOr<BackupResult> WriteBackup(rocksdb::DB* db, Files& files,
                                         const DataDirectory& directory, const std::string& dir,
                                         const ProgressCallback& progress) {
  absl::StatusOr<std::unique_ptr<NewDirectory>> target = NewDirectory::Begin(files, "dir", dir);
  if (!target.ok()) return target.status();
  const NewDirectory& staged = **target;
  const std::string db_dir = absl::StrCat(staged.staging(), "/db");
  if (absl::Status status = files.CreateNewDir(db_dir); !status.ok()) return staged.Explain(status);

  const FileDeletionsHeld held(db);
  rocksdb::LiveFilesStorageInfoOptions options;
  options.wal_size_for_flush = std::numeric_limits<uint64_t>::max();
  std::vector<rocksdb::LiveFileStorageInfo> live;
  rocksdb::Status listed = held.status();
  if (listed.ok()) listed = db->GetLiveFilesStorageInfo(options, &live);
  if (!listed.ok()) return FromReadStatus(listed);

  BackupManifest manifest;
  manifest.store_id = directory.store_id;
  std::vector<Source> copies;
  int64_t copy_bytes = 0;
  for (const rocksdb::LiveFileStorageInfo& file : live) {
    Source source{absl::StrCat(file.directory, "/", file.relative_filename), file.relative_filename,
                  static_cast<int64_t>(file.size)};
    const std::string to = absl::StrCat(db_dir, "/", source.name);
    absl::Status status;
    if (!file.replacement_contents.empty()) {
      status = files.Replace(to, file.replacement_contents);
    } else {
      // The log that is being written is the one that may be longer than it was listed.
      if (file.file_type == rocksdb::kWalFile && file.trim_to_size)
        status = CutLog(files, directory, &source);
      const bool immutable =
          file.file_type == rocksdb::kTableFile || file.file_type == rocksdb::kBlobFile;
      if (status.ok() && !(immutable && files.Link(source.path, to))) {
        copy_bytes += source.bytes;
        copies.push_back(source);
      }
    }
    if (!status.ok()) return staged.Explain(status);
    manifest.files.push_back({source.name, source.bytes});
  }

  if (absl::Status status = staged.CheckRoom(copy_bytes); !status.ok()) return status;
  int64_t done = manifest.bytes() - copy_bytes;
  for (const Source& source : copies) {
    const absl::Status status = files.Copy(
        source.path, absl::StrCat(db_dir, "/", source.name), source.bytes, [&](int64_t copied) {
          return !progress || progress({done + copied, manifest.bytes()});
        });
    if (!status.ok()) return staged.Explain(status);
    done += source.bytes;
  }
  absl::Status status = files.SyncDir(db_dir);
  if (status.ok()) {
    status = files.Replace(absl::StrCat(staged.staging(), "/", kBackupManifestName),
                           EncodeBackupManifest(manifest));
  }
  if (!status.ok()) return staged.Explain(status);
  if (status = (*target)->Publish(); !status.ok()) return status;
  return BackupResult{static_cast<int64_t>(manifest.files.size()), manifest.bytes()};
}

}  // namespace barista::storage
