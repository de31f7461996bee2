#include "storage/rocksdb_reclaim.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {
namespace {

absl::StatusOr<bool> WorthReclaiming(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                                     const KeyRange& range) {
  constexpr uint64_t kWorthIt = 8 << 20;
  const rocksdb::Range tables(range.begin, range.end);
  rocksdb::SizeApproximationOptions options;
  options.include_memtables = true;
  options.include_files = true;
  uint64_t bytes = 0;
  const rocksdb::Status status = db->GetApproximateSizes(options, family, &tables, 1, &bytes);
  if (!status.ok()) return FromReadStatus(status);
  // Bodies lie in blob files, of which only the whole size is known.
  uint64_t blobs = 0;
  db->GetIntProperty(family, rocksdb::DB::Properties::kLiveBlobFileSize, &blobs);
  return bytes > 0 && bytes + blobs >= kWorthIt;
}

}  // namespace

// Files that lie wholly in the range are dropped without being read. That could drop a deletion
// from an upper level and keep, in a file that reaches across the range's border, what it deletes.
// So a new range deletion goes first: in the memtable or level 0, where dropping files does not
// reach, it covers whatever is left, and it is durable before a file goes.
absl::Status ReclaimRange(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                          const KeyRange& range) {
  absl::StatusOr<bool> worth_it = WorthReclaiming(db, family, range);
  if (!worth_it.ok() || !*worth_it) return worth_it.status();

  rocksdb::WriteOptions synced;
  synced.sync = true;
  rocksdb::Status status = db->DeleteRange(synced, family, range.begin, range.end);
  const rocksdb::Slice begin = range.begin;
  const rocksdb::Slice end = range.end;
  if (status.ok())
    status = rocksdb::DeleteFilesInRange(db, family, &begin, &end, /*include_end=*/false);
  if (!status.ok())
    return absl::UnavailableError(absl::StrCat("reclaiming space failed: ", status.ToString()));

  worth_it = WorthReclaiming(db, family, range);
  if (!worth_it.ok() || !*worth_it) return worth_it.status();
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  status = db->CompactRange(options, family, &begin, &end);
  if (status.ok() || status.IsIncomplete() || status.IsShutdownInProgress())
    return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("reclaiming space failed: ", status.ToString()));
}

absl::Status StartFlush(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family) {
  rocksdb::FlushOptions options;
  options.wait = false;
  const rocksdb::Status status = db->Flush(options, family);
  if (status.ok() || status.IsIncomplete() || status.IsTryAgain() || status.IsShutdownInProgress())
    return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("reclaiming space failed: ", status.ToString()));
}

}  // namespace barista::storage
