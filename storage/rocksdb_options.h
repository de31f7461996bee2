#ifndef BARISTA_STORAGE_ROCKSDB_OPTIONS_H_
#define BARISTA_STORAGE_ROCKSDB_OPTIONS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/rocksdb_store.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace barista::storage {

// A RocksDB database with the store's options and column families, and nothing of the store around
// it: the floor that benchmarks compare with, and the way in for tests that look at rows.
struct BareRocksDb {
  BareRocksDb() = default;
  BareRocksDb(const BareRocksDb&) = delete;
  BareRocksDb& operator=(const BareRocksDb&) = delete;
  ~BareRocksDb();  // closes it

  rocksdb::DB* db = nullptr;
  // meta (named "default"), messages, state, delayed, expiry, dedup, shared, body.
  std::vector<rocksdb::ColumnFamilyHandle*> families;
};

// `options.dir` is RocksDB's own directory: of a store's data directory DIR it is DIR/db.
absl::StatusOr<std::unique_ptr<BareRocksDb>> OpenBareRocksDb(const RocksDbStoreOptions& options);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_OPTIONS_H_
