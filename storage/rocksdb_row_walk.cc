#include "storage/rocksdb_row_walk.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>

#include "absl/strings/str_cat.h"
#include "storage/keys.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {
namespace {

rocksdb::Iterator* NewIterator(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = 2 << 20;
  return db->NewIterator(options, family);
}

}  // namespace

bool IsDamage(const rocksdb::Status& status) {
  return !status.ok() && (!status.IsIOError() || status.IsPathNotFound());
}

RowWalk::RowWalk(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, absl::string_view name,
                 const std::set<std::string, std::less<>>& damaged_keys, RowCheck* check)
    : damaged_keys_(damaged_keys), check_(*check), rows_(NewIterator(db, family)) {
  counts_.name = std::string(name);
  rows_->SeekToFirst();
  Settle();
}

void RowWalk::Next() {
  rows_->Next();
  Settle();
}

void RowWalk::Settle() {
  while (!rows_->Valid()) {
    const rocksdb::Status status = rows_->status();
    if (!status.ok() && !IsDamage(status)) status_ = FromReadStatus(status);
    if (!IsDamage(status) || !SkipDamage(status)) {
      ended_ = true;
      return;
    }
  }
  skipped_queue_ = false;
  last_key_.assign(rows_->key().data(), rows_->key().size());
  counts_.rows += 1;
  counts_.bytes += static_cast<int64_t>(rows_->key().size() + rows_->value().size());
}

bool RowWalk::SkipDamage(const rocksdb::Status& damage) {
  QueueId queue;
  if (const auto body = damaged_keys_.upper_bound(last_key_); body != damaged_keys_.end()) {
    if (ParseQueuePrefix(*body, &queue)) check_.Incomplete(queue);
    last_key_ = *body;
    rows_->Seek(absl::StrCat(last_key_, absl::string_view("\0", 1)));
    return true;
  }
  const std::string what =
      absl::StrCat(last_key_.empty() ? "the first rows" : "what is behind this row",
                   " cannot be read: ", damage.ToString());
  check_.ProblemAt(counts_.name, last_key_, what);
  if (skipped_queue_ || counts_.name == RowCheck::kMeta || !ParseQueuePrefix(last_key_, &queue)) {
    check_.IncompleteFrom(skipped_queue_ ? queue : QueueId(0));
    return false;
  }
  check_.Incomplete(queue);
  skipped_queue_ = true;
  last_key_ = std::string(Key::AfterQueue(queue).view());
  rows_->Seek(last_key_);
  return true;
}

}  // namespace barista::storage
