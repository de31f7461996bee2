#ifndef BARISTA_STORAGE_ROCKSDB_BATCH_H_
#define BARISTA_STORAGE_ROCKSDB_BATCH_H_

#include <rocksdb/slice.h>
#include <rocksdb/status.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstddef>
#include <cstdint>
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
  // How many rows of `family` fewer there are after it; ranges are not counted.
  int64_t fewer(Family family) const { return fewer_[static_cast<size_t>(family)]; }
  // The first operation that the batch refused.
  const rocksdb::Status& status() const { return status_; }

  void Put(Family family, absl::string_view key, absl::string_view value) override;
  void Delete(Family family, absl::string_view key) override;
  void PutRun(absl::string_view key, absl::Span<const absl::string_view> parts) override;
  void RemoveRun(absl::string_view key) override;
  void DeleteRange(Family family, absl::string_view begin, absl::string_view end) override;

 private:
  static constexpr size_t kKeptBytes = 16 << 20;  // memory kept between batches

  int64_t& Fewer(Family family) { return fewer_[static_cast<size_t>(family)]; }
  void Note(const rocksdb::Status& status) {
    if (status_.ok()) status_ = status;
  }

  const Families& families_;
  rocksdb::WriteBatch batch_;
  std::vector<rocksdb::Slice> slices_;
  std::vector<KeyRange> removed_;
  std::array<int64_t, 5> fewer_{};  // by Family
  rocksdb::Status status_;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_BATCH_H_
