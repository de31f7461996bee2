#include "storage/rocksdb_recovery.h"

#include <rocksdb/status.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "storage/commit_marker.h"
#include "storage/errors.h"
#include "storage/keys.h"
#include "storage/rocksdb_bare.h"
#include "storage/rocksdb_config.h"
#include "storage/rocksdb_rows.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {

absl::StatusOr<uint64_t> HeldCommit(rocksdb::DB* db, const Families& families,
                                    absl::string_view store_id) {
  absl::StatusOr<std::optional<std::string>> row =
      GetRow(db, HandleOf(families, Family::kMeta), kCommitMarkerKey);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return 0;
  const std::optional<CommitMarker> marker = DecodeCommitMarker(store_id, **row);
  if (!marker) return CorruptError("commit row", "it is damaged, or another store's");
  return marker->commit;
}

absl::Status LogTruncatedError(const std::string& dir, uint64_t held, uint64_t synced) {
  ErrorInfo info;
  info.reason = "LogTruncated";
  info.field = "accept_truncated_log";
  info.value = "false";
  return MakeError(
      absl::StatusCode::kDataLoss,
      absl::StrCat("the log in ", dir, " is corrupt: of the commits that were synced, ", held + 1,
                   " to ", synced,
                   " can no longer be read; open with accept_truncated_log "
                   "(--accept-truncated-log) to give them up"),
      info);
}

absl::Status CheckRecoverable(const RocksDbConfig& config, const DataDirectory& directory,
                              const std::string& dir, uint64_t synced) {
  BareRocksDb bare;
  const rocksdb::Status status = OpenDb(config, directory.db_dir, /*read_only=*/true, &bare);
  if (!status.ok()) return FromOpenStatus(dir, status);
  absl::StatusOr<uint64_t> held = HeldCommit(bare.db, bare.families, directory.store_id);
  if (!held.ok()) return held.status();
  return *held < synced ? LogTruncatedError(dir, *held, synced) : absl::OkStatus();
}

}  // namespace barista::storage
