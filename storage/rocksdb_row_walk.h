#ifndef BARISTA_STORAGE_ROCKSDB_ROW_WALK_H_
#define BARISTA_STORAGE_ROCKSDB_ROW_WALK_H_

#include <rocksdb/iterator.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "barista/verify.h"
#include "storage/rocksdb_slice.h"
#include "storage/row_check.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace barista::storage {

// Whether RocksDB's answer says that bytes are not as they were written, or not there; not that
// they cannot be read just now.
bool IsDamage(const rocksdb::Status& status);

// Walks over all rows of a family in order, goes on behind what is damaged, and tells `check` what
// was left out. Counts the rows. Thread-compatible; everything given to it outlives it.
class RowWalk {
 public:
  // `damaged_keys`: rows whose bodies are known to be damaged, and reported.
  RowWalk(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, absl::string_view name,
          const std::set<std::string, std::less<>>& damaged_keys, RowCheck* check);

  bool valid() const { return !ended_; }
  absl::string_view key() const { return ToView(rows_->key()); }
  absl::string_view value() const { return ToView(rows_->value()); }
  void Next();

  // OK at the end; otherwise why reading failed, if it was not damage. As FromReadStatus.
  const absl::Status& status() const { return status_; }
  // What was walked over.
  const VerifyReport::Family& counts() const { return counts_; }

 private:
  // Arrives at a row, or at the end.
  void Settle();
  // Seeks behind the damage that follows last_key_. False: there is no telling where it ends.
  bool SkipDamage(const rocksdb::Status& damage);

  const std::set<std::string, std::less<>>& damaged_keys_;
  RowCheck& check_;
  const std::unique_ptr<rocksdb::Iterator> rows_;
  bool ended_ = false;
  bool skipped_queue_ = false;  // and no row was read since
  std::string last_key_;        // of the row read last, or where reading went on
  absl::Status status_;
  VerifyReport::Family counts_;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_ROW_WALK_H_
