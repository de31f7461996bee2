#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/metadata.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/status.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "barista/error.h"
#include "storage/backup_manifest.h"
#include "storage/blob_scan.h"
#include "storage/data_directory.h"
#include "storage/log_scan.h"
#include "storage/rocksdb_bare.h"
#include "storage/rocksdb_config.h"
#include "storage/rocksdb_files.h"
#include "storage/rocksdb_recovery.h"
#include "storage/rocksdb_row_walk.h"
#include "storage/rocksdb_status.h"
#include "storage/row_check.h"
#include "storage/verify.h"

namespace barista::storage {
namespace {

// One verification. The steps run in the order of their declaration; each answers an error only
// where something could not be looked at.
class Verification {
 public:
  Verification(rocksdb::Env* env, const DefinitionReader& read_definition,
               const ProgressCallback& progress)
      : files_(env), read_definition_(read_definition), progress_(progress) {
    options_.env = env;
  }

  absl::StatusOr<VerifyReport> Run(const std::string& dir);

 private:
  // Takes the lock of a data directory; a backup has none. False: it is damaged at the door.
  absl::StatusOr<bool> Enter(const std::string& dir);
  absl::Status CountFiles();
  absl::Status CheckLog(LogScanner* scanner);
  // False: the database cannot be opened.
  absl::StatusOr<bool> OpenDatabase();
  void CheckCommit(const LogScanner& scanner);
  absl::Status CheckTables();
  absl::Status CheckBlobs();
  absl::Status CheckRows();
  absl::Status CheckRuns();
  absl::Status CheckFamily(size_t family);

  RowWalk Walk(size_t family) {
    return RowWalk(bare_.db, bare_.families[family], kFamilyNames[family],
                   family == static_cast<size_t>(Family::kMessages) ? damaged_bodies_ : no_keys_,
                   check_.get());
  }
  // Ends a walk.
  absl::Status Add(const RowWalk& walk) {
    report_.families.push_back(walk.counts());
    return walk.status();
  }
  // Tells of `bytes` more, or of fewer if more than there are would come together.
  absl::Status Advance(int64_t bytes) {
    done_.bytes_done = std::min(done_.bytes_done + bytes, done_.bytes_total);
    if (!progress_ || progress_(done_)) return absl::OkStatus();
    return absl::CancelledError("given up");
  }
  // For each row: Advance after each few MiB.
  absl::Status AdvanceRow(size_t bytes) {
    constexpr int64_t kStepBytes = 4 << 20;
    row_bytes_ += static_cast<int64_t>(bytes);
    return row_bytes_ < kStepBytes ? absl::OkStatus() : Advance(std::exchange(row_bytes_, 0));
  }

  EnvFiles files_;
  const DefinitionReader& read_definition_;
  const ProgressCallback& progress_;
  RocksDbStoreOptions options_;
  DataDirectory directory_;
  BareRocksDb bare_;
  std::optional<RocksDbConfig> config_;
  VerifyReport report_;
  std::unique_ptr<RowCheck> check_;
  FileProgress done_;
  int64_t row_bytes_ = 0;
  std::set<std::string, std::less<>> damaged_bodies_;
  const std::set<std::string, std::less<>> no_keys_;
};

absl::StatusOr<bool> Verification::Enter(const std::string& dir) {
  absl::Status status;
  report_.is_backup = files_.Exists(absl::StrCat(dir, "/", kBackupManifestName));
  if (report_.is_backup) {
    absl::StatusOr<BackupManifest> manifest = ReadBackupManifest(files_, dir);
    status = manifest.status();
    if (status.ok()) directory_.store_id = std::move(manifest->store_id);
    directory_.dir = dir;
    directory_.db_dir = absl::StrCat(dir, "/db");
  } else {
    absl::StatusOr<DataDirectory> directory = OpenExistingDataDirectory(files_, dir);
    status = directory.status();
    if (status.ok()) directory_ = *std::move(directory);
  }
  check_ = std::make_unique<RowCheck>(directory_.store_id, read_definition_, &report_);
  if (!absl::IsDataLoss(status)) return status.ok() ? absl::StatusOr<bool>(true) : status;
  check_->Problem("", {}, 0, status.message(),
                  report_.is_backup ? kBackupManifestName : absl::string_view("VERSION"));
  return false;
}

absl::Status Verification::CountFiles() {
  const absl::StatusOr<std::vector<std::string>> names = files_.List(directory_.db_dir);
  // Opening will say what is wrong.
  if (!names.ok()) return absl::OkStatus();
  for (const std::string& name : *names) {
    const absl::StatusOr<int64_t> bytes = files_.Size(absl::StrCat(directory_.db_dir, "/", name));
    if (!bytes.ok()) continue;
    report_.files += 1;
    report_.bytes += *bytes;
    // Tables and blobs are read as files, and again as rows.
    const bool of_rows = absl::EndsWith(name, ".sst") || absl::EndsWith(name, ".blob");
    done_.bytes_total += of_rows ? 2 * *bytes : *bytes;
  }
  return Advance(0);
}

absl::Status Verification::CheckLog(LogScanner* scanner) {
  std::string damaged_file;
  uint64_t intact_bytes = 0;
  absl::Status status = ScanLog(files_, directory_, scanner, [&](const std::string& name) {
    if (!scanner->damaged() || !damaged_file.empty()) return;
    damaged_file = absl::StrCat("db/", name);
    intact_bytes = scanner->intact_bytes();
  });
  if (!status.ok()) return status;
  if (damaged_file.empty()) return Advance(0);
  std::string lost = "of the commits in it none was synced, as after a power failure";
  if (scanner->may_lose_synced()) {
    lost = absl::StrCat("commits up to ", scanner->newest_synced_commit(),
                        " had been synced; undamaged are those up to ",
                        scanner->newest_intact_commit().value_or(0));
  }
  check_->Problem("", {}, 0,
                  absl::StrCat("what is behind byte ", intact_bytes, " is damaged; ", lost),
                  damaged_file);
  return Advance(0);
}

absl::StatusOr<bool> Verification::OpenDatabase() {
  config_ = MakeConfig(options_);
  config_->db.paranoid_checks =
      false;  // opens with damaged tables too: they are checked one by one
  const rocksdb::Status status = OpenDb(*config_, directory_.db_dir, /*read_only=*/true, &bare_);
  if (status.ok()) return true;
  if (!IsDamage(status)) return FromReadStatus(status);
  check_->Problem("", {}, 0, absl::StrCat("the database cannot be opened: ", status.ToString()),
                  "db");
  return false;
}

void Verification::CheckCommit(const LogScanner& scanner) {
  const absl::StatusOr<uint64_t> held = HeldCommit(bare_.db, bare_.families, directory_.store_id);
  // Otherwise the row, or the log, has been reported.
  if (!held.ok() || scanner.damaged() || *held >= scanner.newest_synced_commit()) return;
  check_->Problem(
      "", {}, 0, LogTruncatedError(directory_.dir, *held, scanner.newest_synced_commit()).message(),
      "db");
}

absl::Status Verification::CheckTables() {
  std::vector<rocksdb::LiveFileMetaData> tables;
  bare_.db->GetLiveFilesMetaData(&tables);
  for (const rocksdb::LiveFileMetaData& table : tables) {
    const auto family = std::find_if(config_->families.begin(), config_->families.end(),
                                     [&](const rocksdb::ColumnFamilyDescriptor& descriptor) {
                                       return descriptor.name == table.column_family_name;
                                     });
    rocksdb::SstFileReader reader(rocksdb::Options(config_->db, family->options));
    rocksdb::Status status =
        reader.Open(absl::StrCat(directory_.db_dir, "/", table.relative_filename));
    if (status.ok()) status = reader.VerifyChecksum();
    if (!status.ok() && !IsDamage(status)) return FromReadStatus(status);
    if (!status.ok()) {
      check_->ProblemAt(
          table.column_family_name, table.smallestkey,
          absl::StrCat("of this row and those behind it, in the same file: ", status.ToString()),
          absl::StrCat("db/", table.relative_filename));
    }
    if (absl::Status go_on = Advance(static_cast<int64_t>(table.size)); !go_on.ok()) return go_on;
  }
  return absl::OkStatus();
}

absl::Status Verification::CheckBlobs() {
  for (rocksdb::ColumnFamilyHandle* family : bare_.families) {
    rocksdb::ColumnFamilyMetaData metadata;
    bare_.db->GetColumnFamilyMetaData(family, &metadata);
    for (const rocksdb::BlobMetaData& blob : metadata.blob_files) {
      const std::string name(absl::StripPrefix(blob.blob_file_name, "/"));
      const std::string path = absl::StrCat(directory_.db_dir, "/", name);
      const auto report = [&](absl::string_view key, absl::string_view why) {
        check_->ProblemAt(metadata.name, key, why, absl::StrCat("db/", name));
        if (!key.empty() && damaged_bodies_.size() < VerifyReport::kMaxProblems)
          damaged_bodies_.emplace(key);
      };
      const absl::StatusOr<int64_t> bytes = files_.Size(path);
      if (!bytes.ok()) {
        report("", bytes.status().message());
        continue;
      }
      BlobScanner scanner(*bytes, family->GetID(), report);
      absl::Status read =
          files_.ReadBlocks(path, 32 << 10, [&](absl::string_view block) { scanner.Add(block); });
      if (!read.ok()) return read;
      scanner.Finish();
      if (absl::Status go_on = Advance(*bytes); !go_on.ok()) return go_on;
    }
  }
  return absl::OkStatus();
}

absl::Status Verification::CheckRows() {
  if (absl::Status status = CheckRuns(); !status.ok()) return status;
  for (size_t family = static_cast<size_t>(Family::kDelayed); family < bare_.families.size();
       ++family) {
    if (absl::Status status = CheckFamily(family); !status.ok()) return status;
  }
  check_->Finish();
  return absl::OkStatus();
}

absl::Status Verification::CheckRuns() {
  RowWalk runs = Walk(static_cast<size_t>(Family::kMessages));
  RowWalk states = Walk(static_cast<size_t>(Family::kState));
  for (; runs.valid(); runs.Next()) {
    for (; states.valid() && states.key() < runs.key(); states.Next())
      check_->StateAlone(states.key());
    const bool has_state = states.valid() && states.key() == runs.key();
    check_->Run(runs.key(), runs.value(),
                has_state ? std::make_optional(states.value()) : std::nullopt);
    if (absl::Status status = AdvanceRow(runs.value().size()); !status.ok()) return status;
    if (has_state) states.Next();
  }
  for (; states.valid(); states.Next()) check_->StateAlone(states.key());
  if (absl::Status status = Add(runs); !status.ok()) return status;
  return Add(states);
}

absl::Status Verification::CheckFamily(size_t family) {
  RowWalk rows = Walk(family);
  for (; rows.valid(); rows.Next()) {
    switch (family) {
      case static_cast<size_t>(Family::kMeta):
        check_->MetaRow(rows.key(), rows.value());
        break;
      case static_cast<size_t>(Family::kDelayed):
        check_->DelayedRow(rows.key(), rows.value());
        break;
      case static_cast<size_t>(Family::kExpiry):
        check_->ExpiryRow(rows.key(), rows.value());
        break;
      default:
        check_->UnknownRow(kFamilyNames[family], rows.key());
    }
    if (absl::Status status = AdvanceRow(rows.value().size()); !status.ok()) return status;
  }
  return Add(rows);
}

absl::StatusOr<VerifyReport> Verification::Run(const std::string& dir) {
  absl::StatusOr<bool> entered = Enter(dir);
  if (!entered.ok()) return entered.status();
  if (!*entered) return std::move(report_);
  if (absl::Status status = CountFiles(); !status.ok()) return status;
  LogScanner scanner(directory_.store_id);
  if (absl::Status status = CheckLog(&scanner); !status.ok()) return status;
  absl::StatusOr<bool> opened = OpenDatabase();
  if (!opened.ok()) return opened.status();
  if (!*opened) return std::move(report_);
  CheckCommit(scanner);
  // The definitions first: what follows names the queues.
  if (absl::Status status = CheckFamily(static_cast<size_t>(Family::kMeta)); !status.ok())
    return status;
  if (absl::Status status = CheckTables(); !status.ok()) return status;
  if (absl::Status status = CheckBlobs(); !status.ok()) return status;
  if (absl::Status status = CheckRows(); !status.ok()) return status;
  return std::move(report_);
}

}  // namespace

absl::StatusOr<VerifyReport> VerifyDataDirectory(const std::string& dir,
                                                 const DefinitionReader& read_definition,
                                                 const ProgressCallback& progress,
                                                 rocksdb::Env* env) {
  return Verification(env != nullptr ? env : rocksdb::Env::Default(), read_definition, progress)
      .Run(dir);
}

}  // namespace barista::storage
