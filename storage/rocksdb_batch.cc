#include "storage/rocksdb_batch.h"

#include <string>

#include "storage/rocksdb_slice.h"

namespace barista::storage {

void WriteBatchSink::Clear() {
  if (batch_.GetDataSize() > kKeptBytes) {
    batch_ = rocksdb::WriteBatch();
  } else {
    batch_.Clear();
  }
  removed_.clear();
  removed_runs_ = removed_delayed_ = 0;
  status_ = rocksdb::Status::OK();
}

void WriteBatchSink::Put(Family family, absl::string_view key, absl::string_view value) {
  Note(batch_.Put(HandleOf(families_, family), ToSlice(key), ToSlice(value)));
}

void WriteBatchSink::Delete(Family family, absl::string_view key) {
  Note(batch_.Delete(HandleOf(families_, family), ToSlice(key)));
  removed_delayed_ += family == Family::kDelayed;
}

void WriteBatchSink::PutRun(absl::string_view key, absl::Span<const absl::string_view> parts) {
  slices_.clear();
  for (absl::string_view part : parts) slices_.push_back(ToSlice(part));
  const rocksdb::Slice key_slice = ToSlice(key);
  Note(batch_.Put(HandleOf(families_, Family::kMessages), rocksdb::SliceParts(&key_slice, 1),
                  rocksdb::SliceParts(slices_.data(), static_cast<int>(slices_.size()))));
}

void WriteBatchSink::RemoveRun(absl::string_view key) {
  Note(batch_.SingleDelete(HandleOf(families_, Family::kMessages), ToSlice(key)));
  ++removed_runs_;
}

void WriteBatchSink::DeleteRange(Family family, absl::string_view begin, absl::string_view end) {
  Note(batch_.DeleteRange(HandleOf(families_, family), ToSlice(begin), ToSlice(end)));
  if (family == Family::kMessages) removed_.push_back({std::string(begin), std::string(end)});
}

}  // namespace barista::storage
