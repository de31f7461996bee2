#ifndef BARISTA_STORAGE_ROCKSDB_FAMILIES_H_
#define BARISTA_STORAGE_ROCKSDB_FAMILIES_H_

#include <cstddef>
#include <vector>

#include "storage/batch_translator.h"

namespace rocksdb {
class ColumnFamilyHandle;
}

namespace barista::storage {

// The column families, the first of them in the order of `Family`. On disk: never rename, never
// reorder. The last three have no rows yet; they are there so that their features need no new
// format.
inline constexpr const char* kFamilyNames[] = {"default", "messages", "state",  "delayed",
                                               "expiry",  "dedup",    "shared", "body"};

// The handles of an open database, in the order of kFamilyNames. Whoever opened it owns them.
using Families = std::vector<rocksdb::ColumnFamilyHandle*>;

inline rocksdb::ColumnFamilyHandle* HandleOf(const Families& families, Family family) {
  return families[static_cast<size_t>(family)];
}

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_FAMILIES_H_
