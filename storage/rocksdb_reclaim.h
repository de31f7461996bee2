#ifndef BARISTA_STORAGE_ROCKSDB_RECLAIM_H_
#define BARISTA_STORAGE_ROCKSDB_RECLAIM_H_

#include "absl/status/status.h"
#include "storage/keys.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace barista::storage {

// Gives the space of `range` back to the file system, if it is worth the work. The rows in it have
// been deleted, and none is ever written there again. Thread-safe, also beside writes. May take
// long: syncs the log, and compacts what dropping files leaves. Any error is to end all writing
// (I10); its message says what failed.
absl::Status ReclaimRange(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                          const KeyRange& range);

// Has what memory holds of `family` written to a file, some time soon. Thread-safe, also beside
// writes. Errors as above.
absl::Status StartFlush(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_RECLAIM_H_
