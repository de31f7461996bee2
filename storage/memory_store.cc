#include "storage/memory_store.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <variant>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "barista/error.h"
#include "broker/base/mutex.h"
#include "storage/random_bytes.h"

namespace barista::storage {
namespace {

struct StoredMessage {
  std::string record;
  Lease lease;
};

struct QueueRows {
  absl::btree_map<Sequence, StoredMessage> messages;
  absl::btree_map<std::pair<int64_t, uint64_t>, std::string> delayed;  // {due_ms, id}
  absl::btree_set<std::tuple<Batch::ExpiryKind, int64_t, Sequence>> expiry;
  std::string definition;
  bool defined = false;
  QueueCounters counters;
  uint64_t bytes = 0;  // of `messages` and `delayed`
};

class MemoryStore : public Store {
 public:
  MemoryStore() : secret_(RandomBytes(16)) {}

  absl::Status Write(const Batch& batch) override {
    MutexLock lock(&mutex_);
    for (const Batch::Operation& operation : batch.operations()) {
      std::visit([this](const auto& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { Apply(op); },
                 operation);
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override { return absl::OkStatus(); }

  absl::StatusOr<Page> Scan(QueueId queue, Sequence from, const ScanLimits& limits) const override {
    MutexLock lock(&mutex_);
    Page page;
    page.next = from;
    page.end = true;
    const QueueRows* rows = Find(queue);
    if (rows == nullptr) return page;
    size_t bytes = 0;
    for (auto it = rows->messages.lower_bound(from);
         it != rows->messages.end() && it->first < limits.end; ++it) {
      if ((!page.messages.empty() &&
           (page.messages.size() >= limits.max_messages || bytes >= limits.max_bytes)) ||
          page.hidden.size() >= limits.max_hidden) {
        page.end = false;
        break;
      }
      if (it->second.lease.visible_at_ms > limits.hidden_after_ms) {
        page.hidden.push_back({it->first, it->second.lease.visible_at_ms});
        page.next = Sequence(it->first.value() + 1);
        continue;
      }
      Add(it->first, it->second, &page);
      bytes += it->second.record.size();
    }
    PointAtBuffers(&page);
    return page;
  }

  absl::StatusOr<std::optional<Page>> Lookup(QueueId queue, Sequence sequence) const override {
    MutexLock lock(&mutex_);
    const QueueRows* rows = Find(queue);
    if (rows == nullptr) return std::nullopt;
    const auto it = rows->messages.find(sequence);
    if (it == rows->messages.end()) return std::nullopt;
    Page page;
    Add(it->first, it->second, &page);
    PointAtBuffers(&page);
    return page;
  }

  absl::StatusOr<std::vector<HiddenMessage>> ScanHidden(QueueId queue, Sequence from, Sequence end,
                                                        int64_t after_ms) const override {
    MutexLock lock(&mutex_);
    std::vector<HiddenMessage> hidden;
    const QueueRows* rows = Find(queue);
    if (rows == nullptr) return hidden;
    for (auto it = rows->messages.lower_bound(from); it != rows->messages.end() && it->first < end;
         ++it) {
      if (it->second.lease.visible_at_ms > after_ms)
        hidden.push_back({it->first, it->second.lease.visible_at_ms});
    }
    return hidden;
  }

  absl::StatusOr<std::optional<LeasedMessage>> FindLease(QueueId queue,
                                                         Sequence sequence) const override {
    MutexLock lock(&mutex_);
    const QueueRows* rows = Find(queue);
    if (rows == nullptr) return std::nullopt;
    const auto it = rows->messages.find(sequence);
    if (it == rows->messages.end() || it->second.lease == Lease()) return std::nullopt;
    return LeasedMessage{{sequence, 0, 1, /*has_state=*/true}, it->second.lease};
  }

  absl::StatusOr<std::optional<Sequence>> FirstLive(QueueId queue, Sequence from) const override {
    MutexLock lock(&mutex_);
    const QueueRows* rows = Find(queue);
    if (rows == nullptr) return std::nullopt;
    const auto it = rows->messages.lower_bound(from);
    if (it == rows->messages.end()) return std::nullopt;
    return it->first;
  }

  absl::StatusOr<std::vector<DelayedRow>> ScanDelayed(QueueId queue, int64_t until_ms,
                                                      size_t max_rows,
                                                      size_t max_bytes) const override {
    MutexLock lock(&mutex_);
    std::vector<DelayedRow> result;
    const QueueRows* rows = Find(queue);
    if (rows == nullptr) return result;
    size_t bytes = 0;
    for (const auto& [key, record] : rows->delayed) {
      if (key.first > until_ms || result.size() >= max_rows) break;
      if (!result.empty() && bytes >= max_bytes) break;
      result.push_back({key.first, key.second, record});
      bytes += record.size();
    }
    return result;
  }

  absl::StatusOr<std::optional<int64_t>> FirstDelayed(QueueId queue) const override {
    MutexLock lock(&mutex_);
    const QueueRows* rows = Find(queue);
    if (rows == nullptr || rows->delayed.empty()) return std::nullopt;
    return rows->delayed.begin()->first.first;
  }

  absl::StatusOr<std::vector<ExpiryRow>> ScanExpiry(QueueId queue, Batch::ExpiryKind kind,
                                                    int64_t until_ms,
                                                    size_t max_rows) const override {
    MutexLock lock(&mutex_);
    std::vector<ExpiryRow> result;
    const QueueRows* rows = Find(queue);
    if (rows == nullptr) return result;
    const std::tuple begin(kind, std::numeric_limits<int64_t>::min(), Sequence(0));
    for (auto it = rows->expiry.lower_bound(begin); it != rows->expiry.end(); ++it) {
      const auto& [row_kind, at_ms, sequence] = *it;
      if (row_kind != kind || at_ms > until_ms || result.size() >= max_rows) break;
      result.push_back({row_kind, at_ms, sequence});
    }
    return result;
  }

  absl::Status VisitQueues(
      const std::function<absl::Status(const StoredQueue&)>& visit) const override {
    MutexLock lock(&mutex_);
    for (const auto& [queue, rows] : queues_) {
      if (!rows.defined) continue;
      absl::Status status = visit({queue, rows.definition, rows.counters});
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  uint32_t boot() const override { return 1; }
  const std::string& secret() const override { return secret_; }
  const Recovery& recovery() const override { return recovery_; }
  int64_t FreeSpace() const override { return std::numeric_limits<int64_t>::max(); }
  void ReleaseBallast() override {}
  void RestoreBallast() override {}
  void Reclaim() override {}
  void StopReclaim() override {}
  absl::StatusOr<BackupResult> Backup(const std::string&, const ProgressCallback&) override {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     "there is no data directory to back up: everything is in memory",
                     {.reason = "UnsupportedOperation"});
  }

  StorageStats Stats() const override {
    MutexLock lock(&mutex_);
    StorageStats stats;
    for (const auto& [queue, rows] : queues_) stats.live_bytes += rows.bytes;
    stats.memtable_bytes = stats.live_bytes;
    return stats;
  }

 private:
  const QueueRows* Find(QueueId queue) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto it = queues_.find(queue);
    return it == queues_.end() ? nullptr : &it->second;
  }

  static void Add(Sequence sequence, const StoredMessage& message, Page* page) {
    ScannedMessage& scanned = page->messages.emplace_back();
    scanned.ref.sequence = sequence;
    scanned.lease = message.lease;
    scanned.ref.has_state = message.lease != Lease();
    page->buffers.push_back(message.record);
    page->next = Sequence(sequence.value() + 1);
  }

  // Only when all buffers are there: short strings move when the vector grows.
  static void PointAtBuffers(Page* page) {
    for (size_t i = 0; i < page->messages.size(); ++i) {
      page->messages[i].record = page->buffers[i];
    }
  }

  void Apply(const Batch::Append& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    QueueRows& rows = queues_[op.queue];
    rows.messages.insert_or_assign(op.sequence, StoredMessage{std::string(op.record), Lease()});
    rows.bytes += op.record.size();
    *op.ref = RecordRef();
    op.ref->sequence = op.sequence;
  }
  void Apply(const Batch::Ack& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    QueueRows& rows = queues_[op.queue];
    const auto it = rows.messages.find(op.ref.sequence);
    if (it == rows.messages.end()) return;
    rows.bytes -= it->second.record.size();
    rows.messages.erase(it);
  }
  void Apply(const Batch::SetLease& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    QueueRows& rows = queues_[op.queue];
    const auto it = rows.messages.find(op.ref->sequence);
    if (it != rows.messages.end()) it->second.lease = op.lease;
    op.ref->has_state = true;
  }
  void Apply(const Batch::PutDelayed& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    QueueRows& rows = queues_[op.queue];
    std::string& record = rows.delayed[{op.due_ms, op.id}];
    rows.bytes += op.record.size() - record.size();
    record = std::string(op.record);
  }
  void Apply(const Batch::DeleteDelayed& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    QueueRows& rows = queues_[op.queue];
    const auto it = rows.delayed.find({op.due_ms, op.id});
    if (it == rows.delayed.end()) return;
    rows.bytes -= it->second.size();
    rows.delayed.erase(it);
  }
  void Apply(const Batch::PutExpiry& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    queues_[op.queue].expiry.insert({op.kind, op.at_ms, op.sequence});
  }
  void Apply(const Batch::DeleteExpiry& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    queues_[op.queue].expiry.erase({op.kind, op.at_ms, op.sequence});
  }
  void Apply(const Batch::PutCounters& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    queues_[op.queue].counters = op.counters;
  }
  void Apply(const Batch::PutDefinition& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    QueueRows& rows = queues_[op.queue];
    rows.definition = std::string(op.definition);
    rows.defined = true;
  }
  void Apply(const Batch::Purge& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    QueueRows& rows = queues_[op.queue];
    rows.messages.erase(rows.messages.begin(), rows.messages.lower_bound(op.below));
    rows.delayed.clear();
    rows.expiry.clear();
    rows.bytes = 0;
    for (const auto& [sequence, message] : rows.messages) rows.bytes += message.record.size();
  }
  void Apply(const Batch::DropQueue& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    queues_.erase(op.queue);
  }

  const std::string secret_;
  const Recovery recovery_;
  mutable Mutex mutex_;
  absl::btree_map<QueueId, QueueRows> queues_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace barista::storage
