#ifndef BARISTA_STORAGE_ROCKSDB_CONFIG_H_
#define BARISTA_STORAGE_ROCKSDB_CONFIG_H_

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <vector>

#include "storage/rocksdb_store.h"

namespace barista::storage {

// What a database is opened with. Plain data; copies share the buffer manager and the caches.
struct RocksDbConfig {
  rocksdb::DBOptions db;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;  // in the order of kFamilyNames
};

// The options of a store's database and of its column families. Everything is derived from the
// memory limit (at least 1 MiB), of which the buffers take 3/8 and the block cache 1/8. Of
// `options` only that and `env` matter; `env` must outlive the database.
RocksDbConfig MakeConfig(const RocksDbStoreOptions& options);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_CONFIG_H_
