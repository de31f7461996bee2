#include "storage/rocksdb_store.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "barista/error.h"
#include "broker/base/mutex.h"
#include "storage/ballast.h"
#include "storage/batch_translator.h"
#include "storage/commit_marker.h"
#include "storage/data_directory.h"
#include "storage/errors.h"
#include "storage/keys.h"
#include "storage/log_scan.h"
#include "storage/meta_rows.h"
#include "storage/random_bytes.h"
#include "storage/refusal.h"
#include "storage/rocksdb_backup.h"
#include "storage/rocksdb_bare.h"
#include "storage/rocksdb_batch.h"
#include "storage/rocksdb_config.h"
#include "storage/rocksdb_error_listener.h"
#include "storage/rocksdb_families.h"
#include "storage/rocksdb_files.h"
#include "storage/rocksdb_reclaim.h"
#include "storage/rocksdb_recovery.h"
#include "storage/rocksdb_rows.h"
#include "storage/rocksdb_runs.h"
#include "storage/rocksdb_slice.h"
#include "storage/rocksdb_stats.h"
#include "storage/rocksdb_status.h"
#include "storage/run_record.h"

namespace barista::storage {
namespace {

// Whether `path` is `dir` or lies below it, wherever symbolic links lead.
bool IsWithin(const std::string& path, const std::string& dir) {
  std::error_code ignored;
  const std::filesystem::path inner = std::filesystem::weakly_canonical(path, ignored);
  const std::filesystem::path outer = std::filesystem::weakly_canonical(dir, ignored);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

// A store in a data directory (data_directory.h). Threads as `Store` has them: what is neither
// guarded nor the committer's alone does not change after Start, or is thread-safe itself.
class RocksDbStore : public Store {
 public:
  RocksDbStore(const RocksDbStoreOptions& options, rocksdb::Env* env, DataDirectory directory,
               std::unique_ptr<BareRocksDb> bare, std::shared_ptr<Refusal> refusal,
               std::shared_ptr<rocksdb::WriteBufferManager> buffers)
      : dir_(options.dir),
        env_(env),
        directory_(std::move(directory)),
        refusal_(std::move(refusal)),
        buffers_(std::move(buffers)),
        bare_(std::move(bare)),
        db_(bare_->db),
        families_(bare_->families),
        reader_(db_, families_),
        translator_(TranslatorOptions(options)),
        sink_(families_),
        ballast_(directory_.ballast_path, options.ballast_bytes) {}

  // Reads what the store says about itself, and writes that it was opened. `scan` has seen the log
  // as it was before.
  absl::Status Start(const LogScanner& scan, const RocksDbStoreOptions& options);

  absl::Status Write(const Batch& batch) override;
  absl::Status Sync() override;
  absl::StatusOr<Page> Scan(QueueId queue, Sequence from, const ScanLimits& limits) const override;
  absl::StatusOr<std::optional<Page>> Lookup(QueueId queue, Sequence sequence) const override;
  absl::StatusOr<std::vector<HiddenMessage>> ScanHidden(QueueId queue, Sequence from, Sequence end,
                                                        int64_t after_ms) const override;
  absl::StatusOr<std::optional<LeasedMessage>> FindLease(QueueId queue,
                                                         Sequence sequence) const override;
  absl::StatusOr<std::optional<Sequence>> FirstLive(QueueId queue, Sequence from) const override;
  absl::StatusOr<std::vector<DelayedRow>> ScanDelayed(QueueId queue, int64_t until_ms,
                                                      size_t max_rows,
                                                      size_t max_bytes) const override;
  absl::StatusOr<std::optional<int64_t>> FirstDelayed(QueueId queue) const override;
  absl::StatusOr<std::vector<ExpiryRow>> ScanExpiry(QueueId queue, Batch::ExpiryKind kind,
                                                    int64_t until_ms,
                                                    size_t max_rows) const override;
  absl::Status VisitQueues(
      const std::function<absl::Status(const StoredQueue&)>& visit) const override;
  uint32_t boot() const override { return boot_; }
  const std::string& secret() const override { return secret_; }
  const Recovery& recovery() const override { return recovery_; }
  int64_t FreeSpace() const override;
  void ReleaseBallast() override { ballast_.Release(); }
  void RestoreBallast() override { ballast_.Take(); }
  void Reclaim() override;
  void StopReclaim() override { reclaim_stopped_.store(true); }
  absl::StatusOr<BackupResult> Backup(const std::string& dir,
                                      const ProgressCallback& progress) override;
  StorageStats Stats() const override;

 private:
  static BatchTranslator::Options TranslatorOptions(const RocksDbStoreOptions& options) {
    BatchTranslator::Options result;
    result.max_run_messages = std::clamp(options.max_record_messages, 1, kMaxRunMessages);
    result.max_run_bytes = options.max_record_bytes;
    // A twentieth of the memory limit, up to the default one.
    const auto limit = static_cast<size_t>(std::max<int64_t>(options.memory_limit_bytes, 1 << 20));
    result.max_table_entries = std::min(result.max_table_entries, limit / 8192);
    result.max_table_leases = std::min(result.max_table_leases, limit / 1024);
    return result;
  }

  rocksdb::ColumnFamilyHandle* Handle(Family family) const { return HandleOf(families_, family); }
  // nullopt: there is no such row.
  absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view key) const;

  const std::string dir_;
  rocksdb::Env* const env_;
  const DataDirectory directory_;
  const std::shared_ptr<Refusal> refusal_;
  const std::shared_ptr<rocksdb::WriteBufferManager> buffers_;
  const std::unique_ptr<BareRocksDb> bare_;
  rocksdb::DB* const db_;
  const Families& families_;
  const DbRowReader reader_;
  BatchTranslator translator_;  // committer only
  WriteBatchSink sink_;         // committer only
  Ballast ballast_;
  std::string secret_;
  uint32_t boot_ = 0;
  Recovery recovery_;

  // Of the families with bodies: rows removed one by one since space was last reclaimed. What
  // earlier boots removed nobody has counted: it may be much.
  struct Removed {
    Family family;
    std::atomic<uint64_t> rows{uint64_t{1} << 60};
  };
  std::array<Removed, 2> removed_rows_{Removed{Family::kMessages}, Removed{Family::kDelayed}};
  std::atomic<bool> reclaim_stopped_{false};
  Mutex reclaim_mutex_;
  std::vector<KeyRange> removed_ ABSL_GUARDED_BY(reclaim_mutex_);  // since the last Reclaim
};

absl::Status RocksDbStore::Start(const LogScanner& scan, const RocksDbStoreOptions& options) {
  absl::StatusOr<uint64_t> held = HeldCommit(db_, families_, directory_.store_id);
  if (!held.ok()) return held.status();
  const uint64_t synced = std::max(scan.newest_synced_commit(), *held);
  uint64_t newest = std::max(scan.newest_commit(), synced);
  // Behind the newest commit lies something that is not even recognised as a commit: the beginning
  // of one, or a damaged one.
  if (newest == *held && scan.damaged() && scan.newest_intact_commit().value_or(0) == *held)
    newest += 1;
  if (synced > *held && !options.accept_truncated_log)
    return LogTruncatedError(dir_, *held, synced);
  // Commit numbers go on behind everything there is a trace of, so that no number ever stands for
  // two commits.
  recovery_.last_commit = newest;
  recovery_.synced_commits_lost = synced - *held;
  recovery_.unsynced_commits_dropped = newest - synced;

  absl::StatusOr<std::optional<std::string>> identity = GetMeta(kIdentityKey);
  if (!identity.ok()) return identity.status();
  absl::StatusOr<std::optional<std::string>> boot = GetMeta(kBootKey);
  if (!boot.ok()) return boot.status();
  rocksdb::WriteBatch batch;
  if (identity->has_value()) {
    absl::StatusOr<IdentityRow> row = DecodeIdentity(**identity);
    if (!row.ok()) return row.status();
    if (row->store_id != directory_.store_id) {
      return CorruptError(absl::StrCat("the data directory ", dir_),
                          "its VERSION is of another database");
    }
    secret_ = row->secret;
  }
  if (!identity->has_value() || options.new_secret) {
    secret_ = RandomBytes(kSecretBytes);
    batch.Put(ToSlice(kIdentityKey), EncodeIdentity({directory_.store_id, secret_}));
  }
  if (boot->has_value()) {
    absl::StatusOr<uint32_t> last_boot = DecodeBoot(**boot);
    if (!last_boot.ok()) return last_boot.status();
    boot_ = *last_boot;
  }
  boot_ += 1;
  batch.Put(ToSlice(kBootKey), EncodeBoot(boot_));
  // Recovery has put everything that it found into synced files, and this is synced too.
  const auto marker = EncodeCommitMarker(directory_.store_id, {newest, newest});
  batch.Put(ToSlice(kCommitMarkerKey), rocksdb::Slice(marker.data(), marker.size()));
  rocksdb::WriteOptions synced_write;
  synced_write.sync = true;
  if (rocksdb::Status status = db_->Write(synced_write, &batch); !status.ok())
    return FromOpenStatus(dir_, status);
  ballast_.Take();
  return absl::OkStatus();
}

absl::Status RocksDbStore::Write(const Batch& batch) {
  if (absl::Status status = refusal_->Check(); !status.ok()) return status;
  sink_.Clear();
  const auto marker =
      EncodeCommitMarker(directory_.store_id, {batch.commit_number, batch.last_synced_commit});
  sink_.Put(Family::kMeta, kCommitMarkerKey, absl::string_view(marker.data(), marker.size()));
  if (absl::Status status = translator_.Translate(batch, reader_, &sink_); !status.ok()) {
    return refusal_->Latch(status.message());
  }
  rocksdb::Status status = sink_.status();
  if (status.ok()) status = db_->Write(rocksdb::WriteOptions(), sink_.batch());
  if (!status.ok()) return refusal_->Latch(absl::StrCat("a write failed: ", status.ToString()));
  for (Removed& removed : removed_rows_)
    removed.rows.fetch_add(sink_.removed_rows(removed.family), std::memory_order_relaxed);
  if (!sink_.removed().empty()) {
    MutexLock lock(&reclaim_mutex_);
    removed_.insert(removed_.end(), sink_.removed().begin(), sink_.removed().end());
  }
  return absl::OkStatus();
}

absl::Status RocksDbStore::Sync() {
  if (absl::Status status = refusal_->Check(); !status.ok()) return status;
  const rocksdb::Status status = db_->SyncWAL();
  if (!status.ok()) return refusal_->Latch(absl::StrCat("a sync failed: ", status.ToString()));
  return absl::OkStatus();
}

absl::StatusOr<Page> RocksDbStore::Scan(QueueId queue, Sequence from,
                                        const ScanLimits& limits) const {
  Page page;
  page.next = from;
  size_t bytes = 0;
  RunCursor cursor(db_, families_, queue, from, limits.end);
  for (;;) {
    cursor.SkipHidden(limits.hidden_after_ms, limits.max_hidden, &page.hidden);
    page.next = std::min(cursor.next(), limits.end);
    if (page.hidden.size() >= limits.max_hidden) return page;
    if (!cursor.Next()) break;
    absl::string_view copy;
    for (int i = 0; i < cursor.run().count(); ++i) {
      const Sequence sequence(cursor.first().value() + static_cast<uint64_t>(i));
      if (sequence < from || sequence >= limits.end || cursor.state().IsDead(i)) continue;
      if ((!page.messages.empty() &&
           (page.messages.size() >= limits.max_messages || bytes >= limits.max_bytes)) ||
          page.hidden.size() >= limits.max_hidden) {
        return page;
      }
      const int64_t visible_at_ms = cursor.state().VisibleAt(i);
      if (visible_at_ms > limits.hidden_after_ms) {
        page.hidden.push_back({sequence, visible_at_ms});
        page.next = Sequence(sequence.value() + 1);
        continue;
      }
      if (copy.data() == nullptr) copy = page.buffers.emplace_back(PinnedCopy(cursor.row()));
      AddToPage(cursor, i, copy, &page);
      bytes += page.messages.back().record.size();
    }
  }
  if (!cursor.status().ok()) return cursor.status();
  page.end = true;
  return page;
}

absl::StatusOr<std::optional<Page>> RocksDbStore::Lookup(QueueId queue, Sequence sequence) const {
  RunCursor cursor(db_, families_, queue, sequence, Sequence(sequence.value() + 1));
  if (!cursor.Next()) {
    if (!cursor.status().ok()) return cursor.status();
    return std::nullopt;
  }
  const int index = static_cast<int>(sequence.value() - cursor.first().value());
  if (cursor.state().IsDead(index)) return std::nullopt;
  Page page;
  AddToPage(cursor, index, page.buffers.emplace_back(PinnedCopy(cursor.row())), &page);
  return page;
}

absl::StatusOr<std::vector<HiddenMessage>> RocksDbStore::ScanHidden(QueueId queue, Sequence from,
                                                                    Sequence end,
                                                                    int64_t after_ms) const {
  std::vector<HiddenMessage> hidden;
  StateCursor states(db_, families_, queue, from, end, rocksdb::ReadOptions());
  for (; states.valid(); states.Next()) states.AddHidden(after_ms, &hidden);
  if (!states.status().ok()) return states.status();
  return hidden;
}

absl::StatusOr<std::optional<LeasedMessage>> RocksDbStore::FindLease(QueueId queue,
                                                                     Sequence sequence) const {
  StateCursor states(db_, families_, queue, sequence, Sequence(sequence.value() + 1),
                     rocksdb::ReadOptions());
  if (!states.status().ok()) return states.status();
  if (!states.valid()) return std::nullopt;
  const int index = static_cast<int>(sequence.value() - states.first().value());
  const Lease lease = states.state().GetLease(index);
  if (states.state().IsDead(index) || lease == Lease()) return std::nullopt;
  RecordRef ref{sequence, static_cast<uint8_t>(index), states.state().count, /*has_state=*/true};
  return LeasedMessage{ref, lease};
}

absl::StatusOr<std::optional<Sequence>> RocksDbStore::FirstLive(QueueId queue,
                                                                Sequence from) const {
  RunCursor cursor(db_, families_, queue, from, Sequence(~uint64_t{0}));
  while (cursor.Next()) {
    for (int i = 0; i < cursor.run().count(); ++i) {
      const Sequence sequence(cursor.first().value() + static_cast<uint64_t>(i));
      if (sequence >= from && !cursor.state().IsDead(i)) return sequence;
    }
  }
  if (!cursor.status().ok()) return cursor.status();
  return std::nullopt;
}

absl::StatusOr<std::vector<DelayedRow>> RocksDbStore::ScanDelayed(QueueId queue, int64_t until_ms,
                                                                  size_t max_rows,
                                                                  size_t max_bytes) const {
  std::vector<DelayedRow> result;
  size_t bytes = 0;
  bool well_formed = true;
  const absl::Status status =
      ForEachRow(db_, Handle(Family::kDelayed), Key::Queue(queue), Key::AfterQueue(queue),
                 [&](absl::string_view key, absl::string_view value) {
                   DelayedRow row;
                   well_formed = ParseDelayedKey(key, &row.due_ms, &row.id);
                   if (!well_formed || row.due_ms > until_ms || result.size() >= max_rows)
                     return false;
                   if (!result.empty() && bytes >= max_bytes) return false;
                   bytes += value.size();
                   row.record = std::string(value);
                   result.push_back(std::move(row));
                   return true;
                 });
  if (!status.ok()) return status;
  if (!well_formed) return CorruptError("a key of the family delayed", "it has another form");
  return result;
}

absl::StatusOr<std::optional<int64_t>> RocksDbStore::FirstDelayed(QueueId queue) const {
  absl::StatusOr<std::vector<DelayedRow>> rows =
      ScanDelayed(queue, std::numeric_limits<int64_t>::max(), 1, 1);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return std::nullopt;
  return rows->front().due_ms;
}

absl::StatusOr<std::vector<ExpiryRow>> RocksDbStore::ScanExpiry(QueueId queue,
                                                                Batch::ExpiryKind kind,
                                                                int64_t until_ms,
                                                                size_t max_rows) const {
  std::vector<ExpiryRow> result;
  bool well_formed = true;
  const absl::Status status = ForEachRow(
      db_, Handle(Family::kExpiry),
      Key::Expiry(queue, kind, std::numeric_limits<int64_t>::min(), Sequence(0)),
      Key::AfterQueue(queue), [&](absl::string_view key, absl::string_view) {
        ExpiryRow row;
        well_formed = ParseExpiryKey(key, &row.kind, &row.at_ms, &row.sequence);
        if (!well_formed || row.kind != kind || row.at_ms > until_ms || result.size() >= max_rows) {
          return false;
        }
        result.push_back(row);
        return true;
      });
  if (!status.ok()) return status;
  if (!well_formed) return CorruptError("a key of the family expiry", "it has another form");
  return result;
}

absl::Status RocksDbStore::VisitQueues(
    const std::function<absl::Status(const StoredQueue&)>& visit) const {
  const auto read = [&](absl::string_view key, absl::string_view value) -> absl::Status {
    StoredQueue queue;
    if (!ParseQueueRowKey(key, kDefinitionTag, &queue.queue)) {
      return CorruptError("a key of the definitions", "it has another form");
    }
    absl::StatusOr<absl::string_view> definition = DecodeDefinition(value);
    if (!definition.ok()) return definition.status();
    queue.definition = std::string(*definition);
    absl::StatusOr<std::optional<std::string>> row = GetMeta(Key::Counters(queue.queue));
    if (!row.ok()) return row.status();
    if (row->has_value()) {
      absl::StatusOr<QueueCounters> counters = DecodeCounters(**row);
      if (!counters.ok()) return CorruptRow(queue.queue, Sequence(0), counters.status());
      queue.counters = *counters;
    }
    return visit(queue);
  };
  absl::Status visited;
  const absl::Status status = ForEachRow(db_, Handle(Family::kMeta), Key::Definition(QueueId(0)),
                                         Key::Definition(QueueId(~uint32_t{0})),
                                         [&](absl::string_view key, absl::string_view value) {
                                           visited = read(key, value);
                                           return visited.ok();
                                         });
  return status.ok() ? visited : status;
}

absl::StatusOr<std::optional<std::string>> RocksDbStore::GetMeta(absl::string_view key) const {
  return GetRow(db_, Handle(Family::kMeta), key);
}

int64_t RocksDbStore::FreeSpace() const {
  uint64_t bytes = 0;
  if (!env_->GetFreeSpace(dir_, &bytes).ok()) return std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::min<uint64_t>(bytes, std::numeric_limits<int64_t>::max()));
}

void RocksDbStore::Reclaim() {
  std::vector<KeyRange> ranges;
  {
    MutexLock lock(&reclaim_mutex_);
    ranges.swap(removed_);
  }
  const auto may_go_on = [&](const absl::Status& status) {
    if (!status.ok()) refusal_->Latch(status.message()).IgnoreError();
    return !reclaim_stopped_.load() && refusal_->Check().ok();
  };
  rocksdb::ColumnFamilyHandle* const messages = Handle(Family::kMessages);
  if (!may_go_on(absl::OkStatus())) return;
  for (const KeyRange& range : ranges) {
    if (!may_go_on(ReclaimRange(db_, messages, range, &reclaim_stopped_))) return;
  }
  for (Removed& removed : removed_rows_) {
    const uint64_t free_bytes = static_cast<uint64_t>(std::max<int64_t>(FreeSpace(), 0));
    if (!may_go_on(ReclaimRemoved(db_, Handle(removed.family), &removed.rows, free_bytes,
                                  &reclaim_stopped_)))
      return;
  }
}

absl::StatusOr<BackupResult> RocksDbStore::Backup(const std::string& dir,
                                                  const ProgressCallback& progress) {
  if (absl::Status status = refusal_->Check(); !status.ok()) return status;
  if (IsWithin(dir, dir_)) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat("the backup ", dir, " would lie in the data directory ", dir_,
                                  "; name a directory outside of it"),
                     {.reason = "InvalidParameterValue", .field = "dir", .value = dir});
  }
  EnvFiles files(env_);
  absl::StatusOr<BackupResult> result = WriteBackup(db_, files, directory_, dir, progress);
  if (result.ok()) return result;
  // Rather this: it says that not only the backup has failed.
  if (absl::Status status = refusal_->Check(); !status.ok()) return status;
  return result;
}

StorageStats RocksDbStore::Stats() const {
  StorageStats stats = ReadStats(db_, families_, env_, directory_.db_dir);
  stats.memtable_bytes = buffers_->memory_usage();
  stats.free_bytes = static_cast<uint64_t>(std::max<int64_t>(FreeSpace(), 0));
  return stats;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(const RocksDbStoreOptions& options) {
  rocksdb::Env* const env = options.env != nullptr ? options.env : rocksdb::Env::Default();
  EnvFiles files(env);
  absl::StatusOr<DataDirectory> directory = OpenDataDirectory(files, options.dir);
  if (!directory.ok()) return directory.status();
  LogScanner scan(directory->store_id);
  if (absl::Status status = ScanLog(files, *directory, &scan); !status.ok()) return status;

  RocksDbConfig config = MakeConfig(options);
  if (scan.may_lose_synced() && !options.accept_truncated_log) {
    absl::Status status =
        CheckRecoverable(config, *directory, options.dir, scan.newest_synced_commit());
    if (!status.ok()) return status;
  }
  // Which log files there have to be, and how long, is checked unless losing some of it was
  // accepted.
  config.db.track_and_verify_wals_in_manifest = !options.accept_truncated_log;
  const auto refusal = std::make_shared<Refusal>();
  config.db.listeners.push_back(std::make_shared<ErrorListener>(refusal));
  auto bare = std::make_unique<BareRocksDb>();
  rocksdb::Status status = OpenDb(config, directory->db_dir, /*read_only=*/false, bare.get());
  if (status.IsNoSpace()) {
    // The ballast is for this: to get at the messages on a full disk.
    Ballast(directory->ballast_path, options.ballast_bytes).Release();
    status = OpenDb(config, directory->db_dir, /*read_only=*/false, bare.get());
  }
  if (!status.ok()) return FromOpenStatus(options.dir, status);
  auto store = std::make_unique<RocksDbStore>(options, env, *std::move(directory), std::move(bare),
                                              refusal, config.db.write_buffer_manager);
  if (absl::Status started = store->Start(scan, options); !started.ok()) return started;
  return store;
}

}  // namespace barista::storage
