#ifndef BARISTA_TESTS_COMMIT_SCRIPTED_STORE_H_
#define BARISTA_TESTS_COMMIT_SCRIPTED_STORE_H_

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/memory_store.h"
#include "storage/store.h"

namespace barista::testing {

// A store in memory that counts, and fails or stops when it is told to. `inner` may be shared by
// several, one after the other: a restart.
class ScriptedStore : public storage::Store {
 public:
  ScriptedStore() : ScriptedStore(storage::NewMemoryStore(), 1) {}
  ScriptedStore(std::shared_ptr<storage::Store> inner, uint32_t boot)
      : boot_(boot), inner_(std::move(inner)) {}

  absl::Status Write(const storage::Batch& batch) override {
    if (on_write) on_write(batch);
    if (fail_write) return absl::UnavailableError("write failed");
    ++writes;
    operations += batch.operations().size();
    commit_numbers.push_back(batch.commit_number);
    last_synced.push_back(batch.last_synced_commit);
    return inner_->Write(batch);
  }
  absl::Status Sync() override {
    if (on_sync) on_sync();
    if (fail_sync) return absl::UnavailableError("sync failed");
    ++syncs;
    return absl::OkStatus();
  }
  absl::StatusOr<storage::Page> Scan(QueueId q, Sequence from,
                                     const storage::ScanLimits& limits) const override {
    absl::StatusOr<storage::Page> page = inner_->Scan(q, from, limits);
    ++scans;
    std::function<void()> meanwhile;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      meanwhile.swap(during_next_scan_);
    }
    if (meanwhile) meanwhile();
    return page;
  }
  absl::StatusOr<std::optional<storage::Page>> Lookup(QueueId q, Sequence s) const override {
    return inner_->Lookup(q, s);
  }
  absl::StatusOr<std::optional<Sequence>> FirstLive(QueueId q, Sequence from) const override {
    return inner_->FirstLive(q, from);
  }
  absl::StatusOr<std::vector<storage::DelayedRow>> ScanDelayed(QueueId q, int64_t until, size_t n,
                                                               size_t bytes) const override {
    return inner_->ScanDelayed(q, until, n, bytes);
  }
  absl::StatusOr<std::optional<int64_t>> FirstDelayed(QueueId q) const override {
    return inner_->FirstDelayed(q);
  }
  absl::StatusOr<std::vector<storage::ExpiryRow>> ScanExpiry(QueueId q,
                                                             storage::Batch::ExpiryKind kind,
                                                             int64_t until,
                                                             size_t n) const override {
    return inner_->ScanExpiry(q, kind, until, n);
  }
  absl::StatusOr<std::vector<storage::HiddenMessage>> ScanHidden(QueueId q, Sequence from,
                                                                 Sequence end,
                                                                 int64_t after) const override {
    return inner_->ScanHidden(q, from, end, after);
  }
  absl::StatusOr<std::optional<storage::LeasedMessage>> FindLease(QueueId q,
                                                                  Sequence s) const override {
    return inner_->FindLease(q, s);
  }
  absl::Status VisitQueues(
      const std::function<absl::Status(const storage::StoredQueue&)>& visit) const override {
    return inner_->VisitQueues(visit);
  }
  uint32_t boot() const override { return boot_; }
  const std::string& secret() const override { return inner_->secret(); }
  const storage::Recovery& recovery() const override { return inner_->recovery(); }
  int64_t FreeSpace() const override { return free_space; }
  void ReleaseBallast() override { ++ballast_released; }
  void RestoreBallast() override { ++ballast_restored; }
  void Reclaim() override { inner_->Reclaim(); }
  void StopReclaim() override { inner_->StopReclaim(); }
  absl::StatusOr<BackupResult> Backup(const std::string& dir,
                                      const ProgressCallback& progress) override {
    return on_backup ? on_backup(dir, progress) : inner_->Backup(dir, progress);
  }
  StorageStats Stats() const override { return {}; }

  // `meanwhile` (or null) is called once, by the next Scan, between its reading and its return.
  // (Where a Scan may be that of a turn, it must not wait for another turn.) True: it takes the
  // place of one that has not been called.
  bool SetDuringNextScan(std::function<void()> meanwhile) {
    std::lock_guard<std::mutex> lock(mutex_);
    during_next_scan_.swap(meanwhile);
    return meanwhile != nullptr;
  }

  std::function<void(const storage::Batch&)> on_write;
  std::function<void()> on_sync;
  std::function<absl::StatusOr<BackupResult>(const std::string&, const ProgressCallback&)>
      on_backup;
  mutable std::atomic<int> scans{0};
  std::atomic<bool> fail_write{false};
  std::atomic<bool> fail_sync{false};
  int64_t free_space = std::numeric_limits<int64_t>::max();
  int writes = 0;
  int syncs = 0;
  size_t operations = 0;
  int ballast_released = 0;
  int ballast_restored = 0;
  std::vector<uint64_t> commit_numbers;
  std::vector<uint64_t> last_synced;

 private:
  mutable std::mutex mutex_;
  mutable std::function<void()> during_next_scan_;  // guarded by mutex_
  const uint32_t boot_;
  const std::shared_ptr<storage::Store> inner_;
};

}  // namespace barista::testing

#endif  // BARISTA_TESTS_COMMIT_SCRIPTED_STORE_H_
