#ifndef BARISTA_STORAGE_ROCKSDB_ERROR_LISTENER_H_
#define BARISTA_STORAGE_ROCKSDB_ERROR_LISTENER_H_

#include <rocksdb/listener.h>
#include <rocksdb/status.h>

#include <memory>
#include <utility>

#include "storage/refusal.h"

namespace barista::storage {

// Refuses writes as soon as a flush, a compaction or the log fails, and keeps RocksDB from
// recovering by itself (I10). Called on RocksDB's threads; thread-safe. The refusal is shared,
// since a database may tell its listeners of errors until it is closed.
class ErrorListener : public rocksdb::EventListener {
 public:
  explicit ErrorListener(std::shared_ptr<Refusal> refusal) : refusal_(std::move(refusal)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    refusal_->Latch(status->ToString()).IgnoreError();
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }

 private:
  const std::shared_ptr<Refusal> refusal_;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_ERROR_LISTENER_H_
