#ifndef BARISTA_STORAGE_ROCKSDB_RECOVERY_H_
#define BARISTA_STORAGE_ROCKSDB_RECOVERY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/data_directory.h"
#include "storage/rocksdb_families.h"

namespace rocksdb {
class DB;
}

namespace barista::storage {

struct RocksDbConfig;

// The newest commit that the database holds; 0 if it holds none. kDataLoss/DataCorrupt: its row is
// damaged or of another store than `store_id`; otherwise as FromReadStatus.
absl::StatusOr<uint64_t> HeldCommit(rocksdb::DB* db, const Families& families,
                                    absl::string_view store_id);

// kDataLoss/LogTruncated: of the commits up to `synced`, which were synced, recovery gives those up
// to `held`. held < synced.
absl::Status LogTruncatedError(const std::string& dir, uint64_t held, uint64_t synced);

// What recovery would find, without the recovery's writes: so that a refusal leaves everything as
// it is, and the next one is the same. LogTruncatedError if that is less than commit `synced`;
// otherwise as FromOpenStatus and HeldCommit. `dir` is what errors call the data directory. Costs
// what an opening costs.
absl::Status CheckRecoverable(const RocksDbConfig& config, const DataDirectory& directory,
                              const std::string& dir, uint64_t synced);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_RECOVERY_H_
