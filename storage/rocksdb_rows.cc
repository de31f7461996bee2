#include "storage/rocksdb_rows.h"

#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "storage/rocksdb_slice.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {

absl::StatusOr<std::optional<std::string>> GetRow(rocksdb::DB* db,
                                                  rocksdb::ColumnFamilyHandle* family,
                                                  absl::string_view key) {
  std::string value;
  const rocksdb::Status status = db->Get(rocksdb::ReadOptions(), family, ToSlice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return FromReadStatus(status);
  return value;
}

absl::Status ForEachRow(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, const Key& begin,
                        const Key& end,
                        const std::function<bool(absl::string_view, absl::string_view)>& visit) {
  const rocksdb::Slice limit = ToSlice(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &limit;
  const std::unique_ptr<rocksdb::Iterator> rows(db->NewIterator(options, family));
  for (rows->Seek(ToSlice(begin)); rows->Valid(); rows->Next()) {
    if (!visit(ToView(rows->key()), ToView(rows->value()))) return absl::OkStatus();
  }
  return FromReadStatus(rows->status());
}

absl::Status CorruptRow(QueueId queue, Sequence first, const absl::Status& why) {
  const ErrorInfo info = GetErrorInfo(why);
  return MakeError(
      why.code(),
      absl::StrCat("queue ", queue.value(), ", sequence ", first.value(), ": ", why.message()),
      info);
}

}  // namespace barista::storage
