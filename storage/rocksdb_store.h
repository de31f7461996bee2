#ifndef BARISTA_STORAGE_ROCKSDB_STORE_H_
#define BARISTA_STORAGE_ROCKSDB_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "storage/store.h"

namespace rocksdb {
class Env;
}

namespace barista::storage {

struct RocksDbStoreOptions {
  std::string dir;
  // RocksDB's share is derived from it: write buffers, log size, block cache.
  int64_t memory_limit_bytes = int64_t{512} << 20;
  bool accept_truncated_log = false;
  // Makes the secret anew, so that receipt handles given out before fit nothing: for a copy of a
  // store whose original may have gone on.
  bool new_secret = false;
  // Space held back for draining a full disk; 0: no ballast.
  int64_t ballast_bytes = int64_t{32} << 20;
  // A record holds a run of messages of one queue that one batch appended: at most so many [1, 64]
  // …
  int max_record_messages = 64;
  // … and at most so many bytes, unless a single message is larger.
  size_t max_record_bytes = 64 << 10;
  // Not owned; null: the machine's files. Tests put a file system of theirs under the store.
  rocksdb::Env* env = nullptr;
};

// Opens or creates a data directory. Errors as Broker::Open lists them.
absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(const RocksDbStoreOptions& options);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_STORE_H_
