#include "storage/rocksdb_config.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>
#include <rocksdb/table.h>
#include <rocksdb/table_properties.h>
#include <rocksdb/types.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "storage/rocksdb_families.h"

namespace barista::storage {
namespace {

// Marks a table file for compaction when much of it is deletions: scans would walk over them, and
// what they delete still takes space. (RocksDB's own collector does not count SingleDelete.)
class DeletionCollector : public rocksdb::TablePropertiesCollector {
 public:
  rocksdb::Status AddUserKey(const rocksdb::Slice&, const rocksdb::Slice&, rocksdb::EntryType type,
                             rocksdb::SequenceNumber, uint64_t) override {
    ++entries_;
    if (type == rocksdb::kEntrySingleDelete || type == rocksdb::kEntryDelete) {
      ++deletions_;
      longest_run_ = std::max(longest_run_, ++run_);
    } else {
      run_ = 0;
    }
    return rocksdb::Status::OK();
  }
  rocksdb::Status Finish(rocksdb::UserCollectedProperties*) override {
    return rocksdb::Status::OK();
  }
  rocksdb::UserCollectedProperties GetReadableProperties() const override { return {}; }
  const char* Name() const override { return "barista.DeletionCollector"; }
  bool NeedCompact() const override {
    return longest_run_ >= kLongRun || (deletions_ >= kManyDeletions && deletions_ * 2 >= entries_);
  }

 private:
  static constexpr uint64_t kLongRun = 16384;
  static constexpr uint64_t kManyDeletions = 1024;
  uint64_t entries_ = 0;
  uint64_t deletions_ = 0;
  uint64_t run_ = 0;  // deletions without another entry between them
  uint64_t longest_run_ = 0;
};

class DeletionCollectorFactory : public rocksdb::TablePropertiesCollectorFactory {
 public:
  rocksdb::TablePropertiesCollector* CreateTablePropertiesCollector(
      rocksdb::TablePropertiesCollectorFactory::Context) override {
    return new DeletionCollector;
  }
  const char* Name() const override { return "barista.DeletionCollectorFactory"; }
};

}  // namespace

RocksDbConfig MakeConfig(const RocksDbStoreOptions& options) {
  const uint64_t limit =
      static_cast<uint64_t>(std::max<int64_t>(options.memory_limit_bytes, 1 << 20));
  constexpr uint64_t kMiB = 1 << 20;

  RocksDbConfig config;
  rocksdb::DBOptions& db = config.db;
  if (options.env != nullptr) db.env = options.env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(limit * 3 / 8);
  // What an open after a crash reads again: a second or so.
  db.max_total_wal_size = limit / 4;
  db.max_background_jobs = 2;
  db.max_open_files = 1024;
  db.max_file_opening_threads = 1;
  db.skip_stats_update_on_db_open = true;  // opening must not cost O(files)
  db.bytes_per_sync = kMiB;
  // One writer: its batches go in order, without hand-overs.
  db.allow_concurrent_memtable_write = false;
  db.enable_pipelined_write = false;
  db.unordered_write = false;
  db.two_write_queues = false;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.track_and_verify_wals_in_manifest = true;
  db.max_bgerror_resume_count = 0;  // I10: after an error nothing is retried behind our back
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.keep_log_file_num = 3;
  db.max_log_file_size = kMiB;
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(limit / 8);
  table.block_size = 16 << 10;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;

  rocksdb::ColumnFamilyOptions plain;
  plain.write_buffer_size = std::clamp<uint64_t>(limit / 8, kMiB, 64 * kMiB);
  plain.max_write_buffer_number = 4;
  plain.level_compaction_dynamic_level_bytes = true;
  plain.compression_per_level.assign(7, rocksdb::kLZ4Compression);
  plain.compression_per_level[0] = plain.compression_per_level[1] = rocksdb::kNoCompression;
  plain.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  plain.table_properties_collector_factories.push_back(
      std::make_shared<DeletionCollectorFactory>());

  // Large runs of a backlog lie in files of their own, so that compaction does not copy them again
  // and again.
  rocksdb::ColumnFamilyOptions messages = plain;
  messages.enable_blob_files = true;
  messages.min_blob_size = 4 << 10;
  messages.blob_file_size = 64 * kMiB;
  // (Not with a force threshold: with one, this RocksDB aborts when it opens a database whose last
  // table file is gone.)
  messages.enable_blob_garbage_collection = true;

  rocksdb::ColumnFamilyOptions state = plain;
  rocksdb::BlockBasedTableOptions state_table = table;
  state_table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  state.table_factory.reset(rocksdb::NewBlockBasedTableFactory(state_table));

  for (const char* name : kFamilyNames) {
    const absl::string_view family = name;
    config.families.emplace_back(name, family == "messages" || family == "body" ? messages
                                       : family == "state"                      ? state
                                                                                : plain);
  }
  return config;
}

}  // namespace barista::storage
