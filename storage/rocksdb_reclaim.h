#ifndef BARISTA_STORAGE_ROCKSDB_RECLAIM_H_
#define BARISTA_STORAGE_ROCKSDB_RECLAIM_H_

#include <atomic>
#include <cstdint>

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
// (I10); its message says what failed. Ends early, with OK, once `*canceled` is set.
absl::Status ReclaimRange(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                          const KeyRange& range, std::atomic<bool>* canceled);

// What messages leave behind that were removed one by one: `*removed_rows` of them since the last
// time this merged deletions with what they delete, which it then takes off. It merges when they
// outnumber what lives; that finds the garbage of blob files, and files that are all garbage go.
// When half of all blobs is garbage, the living ones are copied. So what is copied is less than
// what was removed. Nothing is written for which `free_bytes` would not do: space for receiving and
// deleting goes first. Threads, time and errors as above.
absl::Status ReclaimRemoved(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                            std::atomic<uint64_t>* removed_rows, uint64_t free_bytes,
                            std::atomic<bool>* canceled);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_RECLAIM_H_
