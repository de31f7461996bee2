#ifndef BARISTA_STORAGE_ROCKSDB_BATCH_H_
#define BARISTA_STORAGE_ROCKSDB_BATCH_H_

#include <rocksdb/slice.h>
#include <rocksdb/status.h>
#include <rocksdb/write_batch.h>

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "storage/batch_translator.h"
#include "storage/keys.h"
#include "storage/rocksdb_families.h"

namespace barista::storage {

// Rows of a batch on their way into RocksDB. Reused from batch to batch, for its memory. Committer
// only.
class WriteBatchSink : public RowSink {
 public:
  // `families` is borrowed and outlives this.
  explicit WriteBatchSink(const Families& families) : families_(families) {}

  // Before each batch. Keeps the memory of the last one, unless that was larger than 16 MiB.
  void Clear();

  // What was taken since Clear: the rows, and the ranges that were deleted in `messages`.
  rocksdb::WriteBatch* batch() { return &batch_; }
  const std::vector<KeyRange>& removed() const { return removed_; }
  // How many rows of `messages` or `delayed` were removed one by one.
  uint64_t removed_rows(Family family) const {
    return family == Family::kMessages ? removed_runs_ : removed_delayed_;
  }
  // The first operation that the batch refused.
  const rocksdb::Status& status() const { return status_; }

  void Put(Family family, absl::string_view key, absl::string_view value) override;
  void Delete(Family family, absl::string_view key) override;
  void PutRun(absl::string_view key, absl::Span<const absl::string_view> parts) override;
  void RemoveRun(absl::string_view key) override;
  void DeleteRange(Family family, absl::string_view begin, absl::string_view end) override;

 private:
  static constexpr size_t kKeptBytes = 16 << 20;  // memory kept between batches

  void Note(const rocksdb::Status& status) {
    if (status_.ok()) status_ = status;
  }

  const Families& families_;
  rocksdb::WriteBatch batch_;
  std::vector<rocksdb::Slice> slices_;
  std::vector<KeyRange> removed_;
  uint64_t removed_runs_ = 0;
  uint64_t removed_delayed_ = 0;
  rocksdb::Status status_;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_BATCH_H_
