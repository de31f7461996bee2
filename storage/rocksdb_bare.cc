#include "storage/rocksdb_bare.h"

#include <rocksdb/db.h>
#include <rocksdb/status.h>

#include "storage/rocksdb_config.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {

BareRocksDb::~BareRocksDb() {
  if (db == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : families) {
    db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  delete db;
}

absl::StatusOr<std::unique_ptr<BareRocksDb>> OpenBareRocksDb(const RocksDbStoreOptions& options) {
  auto bare = std::make_unique<BareRocksDb>();
  const rocksdb::Status status =
      OpenDb(MakeConfig(options), options.dir, /*read_only=*/false, bare.get());
  if (!status.ok()) return FromOpenStatus(options.dir, status);
  return bare;
}

rocksdb::Status OpenDb(const RocksDbConfig& config, const std::string& db_dir, bool read_only,
                       BareRocksDb* bare) {
  if (read_only) {
    return rocksdb::DB::OpenForReadOnly(config.db, db_dir, config.families, &bare->families,
                                        &bare->db);
  }
  return rocksdb::DB::Open(config.db, db_dir, config.families, &bare->families, &bare->db);
}

}  // namespace barista::storage
