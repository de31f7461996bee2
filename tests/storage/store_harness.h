#ifndef BARISTA_TESTS_STORAGE_STORE_HARNESS_H_
#define BARISTA_TESTS_STORAGE_STORE_HARNESS_H_

#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "storage/memory_store.h"
#include "storage/rocksdb_store.h"
#include "storage/store.h"
#include "tests/storage/temp_dir.h"

namespace barista::storage {

enum class StoreKind { kMemory, kRocksDbRuns, kRocksDbSingles };

inline std::string Name(StoreKind kind) {
  switch (kind) {
    case StoreKind::kMemory:
      return "Memory";
    case StoreKind::kRocksDbRuns:
      return "RocksDbRuns";
    case StoreKind::kRocksDbSingles:
      return "RocksDbSingles";
  }
  return "";
}
inline void PrintTo(StoreKind kind, std::ostream* out) { *out << Name(kind); }

// A store of each kind, in a directory of its own.
class StoreHarness {
 public:
  explicit StoreHarness(StoreKind kind) : kind_(kind) {
    options_.dir = dir_ / "data";
    options_.memory_limit_bytes = 64 << 20;
    options_.ballast_bytes = 0;
    options_.max_record_messages = kind == StoreKind::kRocksDbSingles ? 1 : 64;
  }

  bool durable() const { return kind_ != StoreKind::kMemory; }
  int max_record_messages() const { return options_.max_record_messages; }
  RocksDbStoreOptions& options() { return options_; }

  absl::Status Open() {
    if (!durable()) {
      if (store_ == nullptr) store_ = NewMemoryStore();
      return absl::OkStatus();
    }
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> opened = OpenRocksDbStore(options_);
    if (!opened.ok()) return opened.status();
    store_ = *std::move(opened);
    return absl::OkStatus();
  }
  Store& store() { return *store_; }
  void Close() { store_.reset(); }

 private:
  const StoreKind kind_;
  TempDir dir_;
  RocksDbStoreOptions options_;
  std::unique_ptr<Store> store_;
};

inline absl::StatusOr<std::vector<StoredQueue>> QueuesOf(const Store& store) {
  std::vector<StoredQueue> queues;
  absl::Status status = store.VisitQueues([&](const StoredQueue& queue) {
    queues.push_back(queue);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return queues;
}

}  // namespace barista::storage

#endif  // BARISTA_TESTS_STORAGE_STORE_HARNESS_H_
