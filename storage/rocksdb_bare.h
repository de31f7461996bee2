#ifndef BARISTA_STORAGE_ROCKSDB_BARE_H_
#define BARISTA_STORAGE_ROCKSDB_BARE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/rocksdb_store.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Status;
}  // namespace rocksdb

namespace barista::storage {

struct RocksDbConfig;

// A RocksDB database with the store's options and column families, and nothing of the store around
// it: what the store stands on, the floor that benchmarks compare with, and the way in for tests
// that look at rows.
struct BareRocksDb {
  BareRocksDb() = default;
  BareRocksDb(const BareRocksDb&) = delete;
  BareRocksDb& operator=(const BareRocksDb&) = delete;
  ~BareRocksDb();  // closes it

  rocksdb::DB* db = nullptr;
  // meta (named "default"), messages, state, delayed, expiry, dedup, shared, body.
  std::vector<rocksdb::ColumnFamilyHandle*> families;
};

// `options.dir` is RocksDB's own directory: of a store's data directory DIR it is DIR/db. Errors as
// FromOpenStatus (rocksdb_status.h) lists them.
absl::StatusOr<std::unique_ptr<BareRocksDb>> OpenBareRocksDb(const RocksDbStoreOptions& options);

// The same with a configuration of the caller's and RocksDB's own answer. `*bare` is empty, and
// stays so on an error. With `read_only` the log is recovered into memory and nothing is written.
rocksdb::Status OpenDb(const RocksDbConfig& config, const std::string& db_dir, bool read_only,
                       BareRocksDb* bare);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_BARE_H_
