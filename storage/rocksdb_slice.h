#ifndef BARISTA_STORAGE_ROCKSDB_SLICE_H_
#define BARISTA_STORAGE_ROCKSDB_SLICE_H_

#include <rocksdb/slice.h>

#include "absl/strings/string_view.h"

namespace barista::storage {

// The same bytes as RocksDB sees them, and as we do. Neither copies: the result is good for as long
// as the bytes are.
inline rocksdb::Slice ToSlice(absl::string_view bytes) {
  return rocksdb::Slice(bytes.data(), bytes.size());
}
inline absl::string_view ToView(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_SLICE_H_
