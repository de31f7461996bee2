#include "storage/rocksdb_stats.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace barista::storage {
namespace {

using Properties = rocksdb::DB::Properties;
using Map = std::map<std::string, std::string>;

uint64_t Number(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, const std::string& property) {
  uint64_t value = 0;
  return db->GetIntProperty(family, property, &value) ? value : 0;
}

// 0 where the key is missing, or not a number.
uint64_t Number(const Map& map, const std::string& key) {
  const auto it = map.find(key);
  uint64_t value = 0;
  return it != map.end() && absl::SimpleAtoi(it->second, &value) ? value : 0;
}

void AddFamily(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, StorageStats* stats) {
  stats->live_bytes += Number(db, family, Properties::kEstimateLiveDataSize);
  const uint64_t blobs = Number(db, family, Properties::kLiveBlobFileSize);
  const uint64_t garbage = Number(db, family, Properties::kLiveBlobFileGarbageSize);
  stats->live_bytes += blobs - std::min(blobs, garbage);
  stats->pending_compaction_bytes +=
      Number(db, family, Properties::kEstimatePendingCompactionBytes);
  stats->write_stalled |= Number(db, family, Properties::kIsWriteStopped) != 0;
  Map counts;
  if (db->GetMapProperty(family, Properties::kCFStats, &counts)) {
    stats->write_stops += Number(counts, "io_stalls.total_stop");
    stats->write_slowdowns += Number(counts, "io_stalls.total_slowdown");
  }
}

void AddFiles(rocksdb::Env* env, const std::string& dir, StorageStats* stats) {
  std::vector<rocksdb::Env::FileAttributes> files;
  if (!env->GetChildrenFileAttributes(dir, &files).ok()) return;
  for (const rocksdb::Env::FileAttributes& file : files) {
    stats->disk_bytes += file.size_bytes;
    if (absl::EndsWith(file.name, ".log")) stats->log_bytes += file.size_bytes;
    if (absl::EndsWith(file.name, ".sst")) stats->table_bytes += file.size_bytes;
    if (absl::EndsWith(file.name, ".blob")) stats->blob_bytes += file.size_bytes;
  }
}

}  // namespace

StorageStats ReadStats(rocksdb::DB* db, const Families& families, rocksdb::Env* env,
                       const std::string& db_dir) {
  StorageStats stats;
  for (rocksdb::ColumnFamilyHandle* family : families) AddFamily(db, family, &stats);
  // Of the whole database, whichever family is asked.
  rocksdb::ColumnFamilyHandle* const any = db->DefaultColumnFamily();
  stats.write_stalled |= Number(db, any, Properties::kActualDelayedWriteRate) != 0;
  stats.running_compactions = Number(db, any, Properties::kNumRunningCompactions);
  stats.running_flushes = Number(db, any, Properties::kNumRunningFlushes);
  stats.block_cache_bytes = Number(db, any, Properties::kBlockCacheUsage);
  Map whole;
  if (db->GetMapProperty(any, Properties::kDBStats, &whole)) {
    stats.write_stall_time = absl::Microseconds(Number(whole, "db.user_write_stall_micros"));
  }
  AddFiles(env, db_dir, &stats);
  return stats;
}

}  // namespace barista::storage
