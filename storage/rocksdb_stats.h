#ifndef BARISTA_STORAGE_ROCKSDB_STATS_H_
#define BARISTA_STORAGE_ROCKSDB_STATS_H_

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <string>

#include "barista/stats.h"
#include "storage/rocksdb_families.h"

namespace barista::storage {

// What RocksDB says about itself and its directory `db_dir`; memtable_bytes and free_bytes are left
// to the caller. Takes the database's lock a few times; O(files).
StorageStats ReadStats(rocksdb::DB* db, const Families& families, rocksdb::Env* env,
                       const std::string& db_dir);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_STATS_H_
