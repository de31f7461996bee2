#include "storage/rocksdb_reclaim.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <cstdint>
#include <utility>

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

absl::Status Compact(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                     rocksdb::CompactRangeOptions options, const rocksdb::Slice* begin,
                     const rocksdb::Slice* end, std::atomic<bool>* canceled) {
  options.exclusive_manual_compaction = false;
  options.canceled = canceled;
  const rocksdb::Status status = db->CompactRange(options, family, begin, end);
  if (status.ok() || status.IsIncomplete() || status.IsShutdownInProgress())
    return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("reclaiming space failed: ", status.ToString()));
}

uint64_t Property(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, const std::string& name) {
  uint64_t value = 0;
  db->GetIntProperty(family, name, &value);
  return value;
}

}  // namespace

// Files that lie wholly in the range are dropped without being read. That could drop a deletion
// from an upper level and keep, in a file that reaches across the range's border, what it deletes.
// So a new range deletion goes first: in the memtable or level 0, where dropping files does not
// reach, it covers whatever is left, and it is durable before a file goes.
absl::Status ReclaimRange(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                          const KeyRange& range, std::atomic<bool>* canceled) {
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
  return Compact(db, family, {}, &begin, &end, canceled);
}

absl::Status ReclaimRemoved(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                            std::atomic<uint64_t>* removed_rows, uint64_t free_bytes,
                            std::atomic<bool>* canceled) {
  using Properties = rocksdb::DB::Properties;
  constexpr uint64_t kWorthIt = 64 << 20;
  const auto tables = [&] { return Property(db, family, Properties::kLiveSstFilesSize); };
  const auto blobs = [&] { return Property(db, family, Properties::kLiveBlobFileSize); };
  const auto garbage = [&] { return Property(db, family, Properties::kLiveBlobFileGarbageSize); };

  const uint64_t removed = removed_rows->load(std::memory_order_relaxed);
  // The estimate counts what lives once, and what is removed but not merged yet twice.
  const bool many = removed > Property(db, family, Properties::kEstimateNumKeys) / 3;
  if (many && tables() + blobs() >= kWorthIt && free_bytes > kWorthIt + tables()) {
    removed_rows->fetch_sub(removed, std::memory_order_relaxed);
    if (absl::Status status = Compact(db, family, {}, nullptr, nullptr, canceled); !status.ok())
      return status;
  }
  if (garbage() < kWorthIt || garbage() < blobs() / 2 ||
      free_bytes <= kWorthIt + tables() + blobs() - garbage())
    return absl::OkStatus();
  rocksdb::CompactRangeOptions collect;
  collect.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  collect.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
  collect.blob_garbage_collection_age_cutoff = 1.0;
  return Compact(db, family, collect, nullptr, nullptr, canceled);
}

}  // namespace barista::storage
