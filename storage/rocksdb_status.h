#ifndef BARISTA_STORAGE_ROCKSDB_STATUS_H_
#define BARISTA_STORAGE_ROCKSDB_STATUS_H_

#include <string>

#include "absl/status/status.h"

namespace rocksdb {
class Status;
}

namespace barista::storage {

// Whether the file system said no for good: by the text, since RocksDB has one code for all of its
// errors.
bool IsRefusal(const rocksdb::Status& status);

// What RocksDB answered, as an error of ours; OK for its OK.

// Of a read: kDataLoss/DataCorrupt for what RocksDB could not decode, kUnavailable/StoreUnavailable
// for what it could not read.
absl::Status FromReadStatus(const rocksdb::Status& status);

// Of opening the database in `dir`: kResourceExhausted/StorageFull; kDataLoss/DataCorrupt;
// kPermissionDenied/DataDirectoryNotWritable; kUnavailable/StoreUnavailable for everything else.
absl::Status FromOpenStatus(const std::string& dir, const rocksdb::Status& status);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_STATUS_H_
