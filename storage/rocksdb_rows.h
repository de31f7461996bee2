#ifndef BARISTA_STORAGE_ROCKSDB_ROWS_H_
#define BARISTA_STORAGE_ROCKSDB_ROWS_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "broker/base/ids.h"
#include "storage/keys.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace barista::storage {

// Reads rows of one family, as they are at the time of the call. Thread-safe. Errors as
// FromReadStatus (rocksdb_status.h) lists them.

// nullopt: there is no such row.
absl::StatusOr<std::optional<std::string>> GetRow(rocksdb::DB* db,
                                                  rocksdb::ColumnFamilyHandle* family,
                                                  absl::string_view key);

// Calls visit(key, value) for each row in [begin, end) until it returns false. The views are the
// callee's only during the call.
absl::Status ForEachRow(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, const Key& begin,
                        const Key& end,
                        const std::function<bool(absl::string_view, absl::string_view)>& visit);

// `why`, from decoding a row, with the row's queue and sequence in front of its message.
absl::Status CorruptRow(QueueId queue, Sequence first, const absl::Status& why);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_ROWS_H_
