#include "storage/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/table.h>
#include <rocksdb/table_properties.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
#include "storage/rocksdb_options.h"
#include "storage/run_record.h"

namespace barista::storage {
namespace {

// On disk: never rename, never reorder. The last three have no rows yet; they are there so that
// their features need no new format.
constexpr const char* kFamilyNames[] = {"default", "messages", "state",  "delayed",
                                        "expiry",  "dedup",    "shared", "body"};

rocksdb::Slice ToSlice(absl::string_view bytes) {
  return rocksdb::Slice(bytes.data(), bytes.size());
}
absl::string_view ToView(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

// The file system's "no": by the text, since RocksDB has one code for all of them.
absl::Status FromFileStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = status.ToString();
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (status.IsNotFound() || status.IsPathNotFound()) return absl::NotFoundError(text);
  return absl::PermissionDeniedError(text);
}

// Of a read: what RocksDB could not decode is corrupt, what it could not read is unavailable.
absl::Status FromReadStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  if (status.IsCorruption()) return CorruptError("the database", status.ToString());
  ErrorInfo info;
  info.reason = "StoreUnavailable";
  return MakeError(absl::StatusCode::kUnavailable,
                   absl::StrCat("the store cannot be read: ", status.ToString()), info);
}

absl::Status FromOpenStatus(const std::string& dir, const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = status.ToString();
  if (status.IsNoSpace()) return StorageFullError(dir, text);
  if (status.IsCorruption()) return CorruptError(absl::StrCat("the database in ", dir), text);
  for (const char* refusal : {"Permission denied", "Read-only file system",
                              "Operation not permitted", "Not a directory"}) {
    if (!absl::StrContains(text, refusal)) continue;
    ErrorInfo info;
    info.reason = "DataDirectoryNotWritable";
    info.field = "data_dir";
    info.value = dir;
    return MakeError(absl::StatusCode::kPermissionDenied,
                     absl::StrCat("cannot write to the data directory ", dir, ": ", text), info);
  }
  ErrorInfo info;
  info.reason = "StoreUnavailable";
  return MakeError(absl::StatusCode::kUnavailable,
                   absl::StrCat("cannot open the database in ", dir, ": ", text), info);
}

// Files of a data directory in RocksDB's environment.
// ------------------------------------------------------------------------

class EnvFiles : public Files {
 public:
  explicit EnvFiles(rocksdb::Env* env) : env_(env) {}

  bool Exists(const std::string& path) override { return env_->FileExists(path).ok(); }

  absl::Status CreateDir(const std::string& path) override {
    if (Exists(path)) {
      bool is_directory = true;
      if (env_->IsDirectory(path, &is_directory).ok() && !is_directory) {
        return absl::PermissionDeniedError(absl::StrCat(path, " is not a directory"));
      }
      return absl::OkStatus();
    }
    const size_t slash = path.find_last_of('/');
    const std::string parent = slash == std::string::npos ? "."
                               : slash == 0               ? "/"
                                                          : path.substr(0, slash);
    if (slash + 1 == path.size()) return CreateDir(parent);  // a trailing slash
    if (absl::Status status = CreateDir(parent); !status.ok()) return status;
    if (rocksdb::Status status = env_->CreateDirIfMissing(path); !status.ok())
      return FromFileStatus(status);
    return SyncDir(parent);
  }

  absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) override {
    rocksdb::FileLock* lock = nullptr;
    const rocksdb::Status status = env_->LockFile(path, &lock);
    if (status.ok()) return std::make_unique<EnvLock>(env_, lock);
    if (status.IsNoSpace() || absl::StrContains(status.ToString(), "open a file for lock")) {
      return FromFileStatus(status);
    }
    return absl::FailedPreconditionError(status.ToString());
  }

  absl::StatusOr<std::string> Read(const std::string& path) override {
    std::string bytes;
    const rocksdb::Status status = rocksdb::ReadFileToString(env_, path, &bytes);
    if (!status.ok()) return FromFileStatus(status);
    return bytes;
  }

  absl::Status Replace(const std::string& path, absl::string_view bytes) override {
    const std::string temporary = path + ".tmp";
    rocksdb::Status status =
        rocksdb::WriteStringToFile(env_, ToSlice(bytes), temporary, /*should_sync=*/true);
    if (status.ok()) status = env_->RenameFile(temporary, path);
    if (!status.ok()) return FromFileStatus(status);
    return SyncDir(path.substr(0, path.find_last_of('/')));
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& dir) override {
    std::vector<std::string> names;
    const rocksdb::Status status = env_->GetChildren(dir, &names);
    if (!status.ok()) return FromFileStatus(status);
    return names;
  }

  absl::Status ReadBlocks(const std::string& path, size_t block_bytes,
                          const std::function<void(absl::string_view)>& take) override {
    std::unique_ptr<rocksdb::SequentialFile> file;
    rocksdb::Status status = env_->NewSequentialFile(path, &file, rocksdb::EnvOptions());
    if (!status.ok()) return FromFileStatus(status);
    std::string buffer(block_bytes * 32, '\0');
    size_t filled = 0;
    for (bool end = false; !end;) {
      rocksdb::Slice piece;
      status = file->Read(buffer.size() - filled, &piece, buffer.data() + filled);
      if (!status.ok()) return FromFileStatus(status);
      if (piece.data() != buffer.data() + filled) {
        std::copy_n(piece.data(), piece.size(), buffer.data() + filled);
      }
      filled += piece.size();
      end = piece.empty();
      if (!end && filled < buffer.size()) continue;
      const absl::string_view bytes(buffer.data(), filled);
      for (size_t at = 0; at < filled; at += block_bytes) take(bytes.substr(at, block_bytes));
      filled = 0;
    }
    return absl::OkStatus();
  }

 private:
  class EnvLock : public Lock {
   public:
    EnvLock(rocksdb::Env* env, rocksdb::FileLock* lock) : env_(env), lock_(lock) {}
    ~EnvLock() override { env_->UnlockFile(lock_).PermitUncheckedError(); }

   private:
    rocksdb::Env* const env_;
    rocksdb::FileLock* const lock_;
  };

  absl::Status SyncDir(const std::string& dir) {
    std::unique_ptr<rocksdb::Directory> directory;
    rocksdb::Status status = env_->NewDirectory(dir, &directory);
    if (status.ok()) status = directory->Fsync();
    return FromFileStatus(status);
  }

  rocksdb::Env* const env_;
};

// Options.
// -------------------------------------------------------------------------------------------------------------------

// Marks a table file for compaction when much of it is deletions: scans would walk over them, and
// what they delete still takes space. (RocksDB's own collector does not count SingleDelete.)
class DeletionCollector : public rocksdb::TablePropertiesCollector {
 public:
  rocksdb::Status AddUserKey(const rocksdb::Slice&, const rocksdb::Slice&, rocksdb::EntryType type,
                             rocksdb::SequenceNumber, uint64_t) override {
    ++entries_;
    if (type == rocksdb::kEntrySingleDelete || type == rocksdb::kEntryDelete) {
      ++deletions_;
      longest_run_ = std::max(longest_run_, ++run_);
    } else {
      run_ = 0;
    }
    return rocksdb::Status::OK();
  }
  rocksdb::Status Finish(rocksdb::UserCollectedProperties*) override {
    return rocksdb::Status::OK();
  }
  rocksdb::UserCollectedProperties GetReadableProperties() const override { return {}; }
  const char* Name() const override { return "barista.DeletionCollector"; }
  bool NeedCompact() const override {
    return longest_run_ >= kLongRun || (deletions_ >= kManyDeletions && deletions_ * 2 >= entries_);
  }

 private:
  static constexpr uint64_t kLongRun = 16384;
  static constexpr uint64_t kManyDeletions = 4096;
  uint64_t entries_ = 0;
  uint64_t deletions_ = 0;
  uint64_t run_ = 0;  // deletions without another entry between them
  uint64_t longest_run_ = 0;
};

class DeletionCollectorFactory : public rocksdb::TablePropertiesCollectorFactory {
 public:
  rocksdb::TablePropertiesCollector* CreateTablePropertiesCollector(
      rocksdb::TablePropertiesCollectorFactory::Context) override {
    return new DeletionCollector;
  }
  const char* Name() const override { return "barista.DeletionCollectorFactory"; }
};

struct RocksDbConfig {
  rocksdb::DBOptions db;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
};

// Everything is derived from the memory limit, of which the buffers take 3/8 and the block cache
// 1/8.
RocksDbConfig MakeConfig(const RocksDbStoreOptions& options) {
  const uint64_t limit =
      static_cast<uint64_t>(std::max<int64_t>(options.memory_limit_bytes, 1 << 20));
  constexpr uint64_t kMiB = 1 << 20;

  RocksDbConfig config;
  rocksdb::DBOptions& db = config.db;
  if (options.env != nullptr) db.env = options.env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(limit * 3 / 8);
  // What an open after a crash reads again: a second or so.
  db.max_total_wal_size = limit / 4;
  db.max_background_jobs = 2;
  db.max_open_files = 1024;
  db.max_file_opening_threads = 1;
  db.skip_stats_update_on_db_open = true;  // opening must not cost O(files)
  db.bytes_per_sync = kMiB;
  // One writer: its batches go in order, without hand-overs.
  db.allow_concurrent_memtable_write = false;
  db.enable_pipelined_write = false;
  db.unordered_write = false;
  db.two_write_queues = false;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.track_and_verify_wals_in_manifest = true;
  db.max_bgerror_resume_count = 0;  // I10: after an error nothing is retried behind our back
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.keep_log_file_num = 3;
  db.max_log_file_size = kMiB;
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(limit / 8);
  table.block_size = 16 << 10;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;

  rocksdb::ColumnFamilyOptions plain;
  plain.write_buffer_size = std::clamp<uint64_t>(limit / 8, kMiB, 64 * kMiB);
  plain.max_write_buffer_number = 4;
  plain.level_compaction_dynamic_level_bytes = true;
  plain.compression_per_level.assign(7, rocksdb::kLZ4Compression);
  plain.compression_per_level[0] = plain.compression_per_level[1] = rocksdb::kNoCompression;
  plain.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  plain.table_properties_collector_factories.push_back(
      std::make_shared<DeletionCollectorFactory>());

  // Large runs of a backlog lie in files of their own, so that compaction does not copy them again
  // and again.
  rocksdb::ColumnFamilyOptions messages = plain;
  messages.enable_blob_files = true;
  messages.min_blob_size = 4 << 10;
  messages.blob_file_size = 64 * kMiB;
  // (Not with a force threshold: with one, this RocksDB aborts when it opens a database whose last
  // table file is gone.)
  messages.enable_blob_garbage_collection = true;

  rocksdb::ColumnFamilyOptions state = plain;
  rocksdb::BlockBasedTableOptions state_table = table;
  state_table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  state.table_factory.reset(rocksdb::NewBlockBasedTableFactory(state_table));

  for (const char* name : kFamilyNames) {
    const absl::string_view family = name;
    config.families.emplace_back(name, family == "messages" || family == "body" ? messages
                                       : family == "state"                      ? state
                                                                                : plain);
  }
  return config;
}

// Rows of a batch on their way into RocksDB.
// ---------------------------------------------------------------------------------

struct KeyRange {
  std::string begin;
  std::string end;
};

class WriteBatchSink : public RowSink {
 public:
  explicit WriteBatchSink(const std::vector<rocksdb::ColumnFamilyHandle*>& families)
      : families_(families) {}

  void Clear() {
    if (batch_.GetDataSize() > kKeptBytes) {
      batch_ = rocksdb::WriteBatch();
    } else {
      batch_.Clear();
    }
    removed_.clear();
    status_ = rocksdb::Status::OK();
  }
  rocksdb::WriteBatch* batch() { return &batch_; }
  std::vector<KeyRange>& removed() { return removed_; }
  // The first operation that the batch refused.
  const rocksdb::Status& status() const { return status_; }

  void Put(Family family, absl::string_view key, absl::string_view value) override {
    Note(batch_.Put(Handle(family), ToSlice(key), ToSlice(value)));
  }
  void Delete(Family family, absl::string_view key) override {
    Note(batch_.Delete(Handle(family), ToSlice(key)));
  }
  void PutRun(absl::string_view key, absl::Span<const absl::string_view> parts) override {
    slices_.clear();
    for (absl::string_view part : parts) slices_.push_back(ToSlice(part));
    const rocksdb::Slice key_slice = ToSlice(key);
    Note(batch_.Put(Handle(Family::kMessages), rocksdb::SliceParts(&key_slice, 1),
                    rocksdb::SliceParts(slices_.data(), static_cast<int>(slices_.size()))));
  }
  void RemoveRun(absl::string_view key) override {
    Note(batch_.SingleDelete(Handle(Family::kMessages), ToSlice(key)));
  }
  void DeleteRange(Family family, absl::string_view begin, absl::string_view end) override {
    Note(batch_.DeleteRange(Handle(family), ToSlice(begin), ToSlice(end)));
    if (family == Family::kMessages) removed_.push_back({std::string(begin), std::string(end)});
  }

 private:
  static constexpr size_t kKeptBytes = 16 << 20;  // memory kept between batches

  rocksdb::ColumnFamilyHandle* Handle(Family family) const {
    return families_[static_cast<size_t>(family)];
  }
  void Note(const rocksdb::Status& status) {
    if (status_.ok()) status_ = status;
  }

  const std::vector<rocksdb::ColumnFamilyHandle*>& families_;
  rocksdb::WriteBatch batch_;
  std::vector<rocksdb::Slice> slices_;
  std::vector<KeyRange> removed_;
  rocksdb::Status status_;
};

// Whether writes are refused, and why. Thread-safe.
class Refusal {
 public:
  // OK, or kUnavailable/StoreUnavailable with the first cause.
  absl::Status Check() const {
    if (!refused_.load(std::memory_order_acquire)) return absl::OkStatus();
    MutexLock lock(&mutex_);
    return UnavailableError(cause_);
  }
  // From now on. Returns what Check does.
  absl::Status Latch(absl::string_view cause) {
    {
      MutexLock lock(&mutex_);
      if (cause_.empty()) cause_ = std::string(cause);
    }
    refused_.store(true, std::memory_order_release);
    return Check();
  }

 private:
  // Written by whoever meets an error first, read by every Write and Sync. The release in Latch
  // pairs with the acquire in Check; the mutex protects the text anyway, so that without the pair
  // only the moment of the refusal would be later.
  std::atomic<bool> refused_{false};
  mutable Mutex mutex_;
  std::string cause_ ABSL_GUARDED_BY(mutex_);
};

// Refuses writes as soon as a flush, a compaction or the log fails (I10).
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

// Reading.
// -------------------------------------------------------------------------------------------------------------------

using Families = std::vector<rocksdb::ColumnFamilyHandle*>;

rocksdb::ColumnFamilyHandle* HandleOf(const Families& families, Family family) {
  return families[static_cast<size_t>(family)];
}

absl::Status CorruptRow(QueueId queue, Sequence first, const absl::Status& why) {
  const ErrorInfo info = GetErrorInfo(why);
  return MakeError(
      why.code(),
      absl::StrCat("queue ", queue.value(), ", sequence ", first.value(), ": ", why.message()),
      info);
}

// The first sequence that a run with `sequence` in it can begin with.
Sequence LowestFirst(Sequence sequence) {
  constexpr uint64_t kReach = kMaxRunMessages - 1;
  return Sequence(sequence.value() > kReach ? sequence.value() - kReach : 0);
}

// Walks over the runs of one queue that have messages in [from, end), together with their states,
// as of one moment.
class RunCursor {
 public:
  RunCursor(rocksdb::DB* db, const Families& families, QueueId queue, Sequence from, Sequence end)
      : queue_(queue),
        from_(from),
        snapshot_(db),
        begin_key_(Key::Message(queue, LowestFirst(from))),
        end_key_(end == Sequence(~uint64_t{0}) ? Key::AfterQueue(queue) : Key::Message(queue, end)),
        begin_(ToSlice(begin_key_)),
        end_(ToSlice(end_key_)) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_.snapshot();
    options.iterate_lower_bound = &begin_;
    options.iterate_upper_bound = &end_;
    runs_.reset(db->NewIterator(options, HandleOf(families, Family::kMessages)));
    states_.reset(db->NewIterator(options, HandleOf(families, Family::kState)));
    runs_->Seek(begin_);
    states_->Seek(begin_);
    Settle();
  }

  // False: at the end, or status() is an error.
  bool valid() const { return status_.ok() && runs_->Valid(); }
  absl::Status status() const { return status_; }
  void Next() {
    runs_->Next();
    Settle();
  }

  Sequence first() const { return first_; }
  absl::string_view row() const { return ToView(runs_->value()); }
  const RunView& run() const { return *run_; }
  const RunState& state() const { return state_; }
  bool has_state() const { return has_state_; }

 private:
  // Goes on to a run that reaches `from`, and reads it.
  void Settle() {
    for (; runs_->Valid(); runs_->Next()) {
      QueueId queue;
      if (!ParseMessageKey(ToView(runs_->key()), &queue, &first_)) {
        status_ = CorruptError("a key of the family messages", "it has another form");
        return;
      }
      absl::StatusOr<RunView> run = RunView::Parse(row());
      if (!run.ok()) {
        status_ = CorruptRow(queue_, first_, run.status());
        return;
      }
      if (first_.value() + static_cast<uint64_t>(run->count()) <= from_.value()) continue;
      run_ = *run;
      ReadState();
      return;
    }
    status_ = FromReadStatus(runs_->status());
  }

  void ReadState() {
    while (states_->Valid() && states_->key().compare(runs_->key()) < 0) states_->Next();
    if (!states_->status().ok()) {
      status_ = FromReadStatus(states_->status());
      return;
    }
    has_state_ = states_->Valid() && states_->key() == runs_->key();
    state_ = RunState();
    state_.count = static_cast<uint8_t>(run_->count());
    if (!has_state_) return;
    absl::StatusOr<RunState> state = DecodeRunState(ToView(states_->value()));
    if (state.ok() && state->count != run_->count()) {
      state = CorruptError(
          "row of message states",
          absl::StrCat("it counts ", state->count, " messages instead of ", run_->count()));
    }
    if (!state.ok()) {
      status_ = CorruptRow(queue_, first_, state.status());
      return;
    }
    state_ = *std::move(state);
  }

  const QueueId queue_;
  const Sequence from_;
  rocksdb::ManagedSnapshot snapshot_;
  const Key begin_key_;
  const Key end_key_;
  const rocksdb::Slice begin_;
  const rocksdb::Slice end_;
  std::unique_ptr<rocksdb::Iterator> runs_;
  std::unique_ptr<rocksdb::Iterator> states_;
  absl::Status status_;
  Sequence first_ = Sequence(0);
  std::optional<RunView> run_;
  RunState state_;
  bool has_state_ = false;
};

// The rows that the translation of a batch asks for.
class DbRowReader : public RowReader {
 public:
  DbRowReader(rocksdb::DB* db, const Families& families) : db_(db), families_(families) {}

  absl::StatusOr<std::optional<RunState>> ReadState(QueueId queue, Sequence first) const override {
    rocksdb::PinnableSlice row;
    const rocksdb::Status status =
        db_->Get(rocksdb::ReadOptions(), HandleOf(families_, Family::kState),
                 ToSlice(Key::Message(queue, first)), &row);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return FromReadStatus(status);
    absl::StatusOr<RunState> state = DecodeRunState(ToView(row));
    if (!state.ok()) return CorruptRow(queue, first, state.status());
    return *std::move(state);
  }

  absl::StatusOr<std::optional<Run>> FindRun(QueueId queue, Sequence sequence) const override {
    const Key begin_key = Key::Message(queue, LowestFirst(sequence));
    const rocksdb::Slice begin = ToSlice(begin_key);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &begin;
    const std::unique_ptr<rocksdb::Iterator> runs(
        db_->NewIterator(options, HandleOf(families_, Family::kMessages)));
    runs->SeekForPrev(ToSlice(Key::Message(queue, sequence)));
    if (!runs->Valid()) {
      if (!runs->status().ok()) return FromReadStatus(runs->status());
      return std::nullopt;
    }
    Run found;
    QueueId found_queue;
    if (!ParseMessageKey(ToView(runs->key()), &found_queue, &found.first)) {
      return CorruptError("a key of the family messages", "it has another form");
    }
    absl::StatusOr<RunView> run = RunView::Parse(ToView(runs->value()));
    if (!run.ok()) return CorruptRow(queue, found.first, run.status());
    found.count = run->count();
    if (found.first.value() + static_cast<uint64_t>(found.count) <= sequence.value())
      return std::nullopt;
    return found;
  }

 private:
  rocksdb::DB* const db_;
  const Families& families_;
};

// A copy of `row` whose bytes stay where they are when the string moves.
std::string PinnedCopy(absl::string_view row) {
  std::string copy;
  copy.reserve(std::max<size_t>(row.size(), 64));
  copy.append(row.data(), row.size());
  return copy;
}

void AddToPage(const RunCursor& cursor, int index, absl::string_view row_copy, Page* page) {
  const absl::string_view message = cursor.run().message(index);
  ScannedMessage& scanned = page->messages.emplace_back();
  scanned.ref.sequence = Sequence(cursor.first().value() + static_cast<uint64_t>(index));
  scanned.ref.index = static_cast<uint8_t>(index);
  scanned.ref.count = static_cast<uint8_t>(cursor.run().count());
  scanned.ref.has_state = cursor.has_state();
  scanned.record =
      row_copy.substr(static_cast<size_t>(message.data() - cursor.row().data()), message.size());
  scanned.lease = cursor.state().GetLease(index);
  page->next = Sequence(scanned.ref.sequence.value() + 1);
}

// The store.
// -----------------------------------------------------------------------------------------------------------------

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
  absl::Status Start(const LogScanner& scan, bool accept_truncated_log);

  absl::Status Write(const Batch& batch) override;
  absl::Status Sync() override;
  absl::StatusOr<Page> Scan(QueueId queue, Sequence from, const ScanLimits& limits) const override;
  absl::StatusOr<std::optional<Page>> Lookup(QueueId queue, Sequence sequence) const override;
  absl::StatusOr<std::optional<Sequence>> FirstLive(QueueId queue, Sequence from) const override;
  absl::StatusOr<std::vector<DelayedRow>> ScanDelayed(QueueId queue, int64_t until_ms,
                                                      size_t max_rows,
                                                      size_t max_bytes) const override;
  absl::StatusOr<std::optional<int64_t>> FirstDelayed(QueueId queue) const override;
  absl::StatusOr<std::vector<ExpiryRow>> ScanExpiry(QueueId queue, Batch::ExpiryKind kind,
                                                    int64_t until_ms,
                                                    size_t max_rows) const override;
  absl::StatusOr<std::vector<StoredQueue>> LoadQueues() const override;
  uint32_t boot() const override { return boot_; }
  const std::string& secret() const override { return secret_; }
  const Recovery& recovery() const override { return recovery_; }
  int64_t FreeSpace() const override;
  void ReleaseBallast() override { ballast_.Release(); }
  void RestoreBallast() override { ballast_.Take(); }
  void Reclaim() override;
  StoreStats Stats() const override;

 private:
  static BatchTranslator::Options TranslatorOptions(const RocksDbStoreOptions& options) {
    BatchTranslator::Options result;
    result.max_run_messages = std::clamp(options.max_record_messages, 1, kMaxRunMessages);
    result.max_run_bytes = options.max_record_bytes;
    return result;
  }

  rocksdb::ColumnFamilyHandle* Handle(Family family) const { return HandleOf(families_, family); }
  // nullopt: there is no such row.
  absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view key) const;
  // Calls visit(key, value) for each row of `family` in [begin, end) until it returns false.
  absl::Status ForEachRow(
      Family family, const Key& begin, const Key& end,
      const std::function<bool(absl::string_view, absl::string_view)>& visit) const;
  absl::Status ReclaimRange(const KeyRange& range);
  absl::StatusOr<bool> WorthReclaiming(const KeyRange& range) const;

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

  Mutex reclaim_mutex_;
  std::vector<KeyRange> removed_ ABSL_GUARDED_BY(reclaim_mutex_);  // since the last Reclaim
};

absl::Status LogTruncatedError(const std::string& dir, uint64_t held, uint64_t synced) {
  ErrorInfo info;
  info.reason = "LogTruncated";
  info.field = "accept_truncated_log";
  info.value = "false";
  return MakeError(
      absl::StatusCode::kDataLoss,
      absl::StrCat("the log in ", dir, " is corrupt: of the commits that were synced, ", held + 1,
                   " to ", synced,
                   " can no longer be read; open with accept_truncated_log "
                   "(--accept-truncated-log) to give them up"),
      info);
}

absl::StatusOr<std::optional<std::string>> GetRow(rocksdb::DB* db,
                                                  rocksdb::ColumnFamilyHandle* family,
                                                  absl::string_view key) {
  std::string value;
  const rocksdb::Status status = db->Get(rocksdb::ReadOptions(), family, ToSlice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return FromReadStatus(status);
  return value;
}

// The newest commit that the database holds.
absl::StatusOr<uint64_t> HeldCommit(rocksdb::DB* db, const Families& families,
                                    absl::string_view store_id) {
  absl::StatusOr<std::optional<std::string>> row =
      GetRow(db, HandleOf(families, Family::kMeta), kCommitMarkerKey);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return 0;
  const std::optional<CommitMarker> marker = DecodeCommitMarker(store_id, **row);
  if (!marker) return CorruptError("commit row", "it is damaged, or another store's");
  return marker->commit;
}

absl::Status RocksDbStore::Start(const LogScanner& scan, bool accept_truncated_log) {
  absl::StatusOr<uint64_t> held = HeldCommit(db_, families_, directory_.store_id);
  if (!held.ok()) return held.status();
  const uint64_t synced = std::max(scan.newest_synced_commit(), *held);
  uint64_t newest = std::max(scan.newest_commit(), synced);
  // Behind the newest commit lies something that is not even recognised as a commit: the beginning
  // of one, or a damaged one.
  if (newest == *held && scan.damaged() && scan.newest_intact_commit().value_or(0) == *held)
    newest += 1;
  if (synced > *held && !accept_truncated_log) return LogTruncatedError(dir_, *held, synced);
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
  } else {
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
  rocksdb::WriteOptions options;
  options.sync = true;
  if (rocksdb::Status status = db_->Write(options, &batch); !status.ok())
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
  for (; cursor.valid(); cursor.Next()) {
    absl::string_view copy;
    for (int i = 0; i < cursor.run().count(); ++i) {
      const Sequence sequence(cursor.first().value() + static_cast<uint64_t>(i));
      if (sequence < from || sequence >= limits.end || cursor.state().IsDead(i)) continue;
      if (!page.messages.empty() &&
          (page.messages.size() >= limits.max_messages || bytes >= limits.max_bytes)) {
        return page;
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
  if (!cursor.valid()) {
    if (!cursor.status().ok()) return cursor.status();
    return std::nullopt;
  }
  const int index = static_cast<int>(sequence.value() - cursor.first().value());
  if (cursor.state().IsDead(index)) return std::nullopt;
  Page page;
  AddToPage(cursor, index, page.buffers.emplace_back(PinnedCopy(cursor.row())), &page);
  return page;
}

absl::StatusOr<std::optional<Sequence>> RocksDbStore::FirstLive(QueueId queue,
                                                                Sequence from) const {
  RunCursor cursor(db_, families_, queue, from, Sequence(~uint64_t{0}));
  for (; cursor.valid(); cursor.Next()) {
    for (int i = 0; i < cursor.run().count(); ++i) {
      const Sequence sequence(cursor.first().value() + static_cast<uint64_t>(i));
      if (sequence >= from && !cursor.state().IsDead(i)) return sequence;
    }
  }
  if (!cursor.status().ok()) return cursor.status();
  return std::nullopt;
}

absl::Status RocksDbStore::ForEachRow(
    Family family, const Key& begin, const Key& end,
    const std::function<bool(absl::string_view, absl::string_view)>& visit) const {
  const rocksdb::Slice limit = ToSlice(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &limit;
  const std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(options, Handle(family)));
  for (rows->Seek(ToSlice(begin)); rows->Valid(); rows->Next()) {
    if (!visit(ToView(rows->key()), ToView(rows->value()))) return absl::OkStatus();
  }
  return FromReadStatus(rows->status());
}

absl::StatusOr<std::vector<DelayedRow>> RocksDbStore::ScanDelayed(QueueId queue, int64_t until_ms,
                                                                  size_t max_rows,
                                                                  size_t max_bytes) const {
  std::vector<DelayedRow> result;
  size_t bytes = 0;
  bool well_formed = true;
  const absl::Status status =
      ForEachRow(Family::kDelayed, Key::Queue(queue), Key::AfterQueue(queue),
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
      Family::kExpiry, Key::Expiry(queue, kind, std::numeric_limits<int64_t>::min(), Sequence(0)),
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

absl::StatusOr<std::vector<StoredQueue>> RocksDbStore::LoadQueues() const {
  std::vector<StoredQueue> result;
  absl::Status row_status;
  const absl::Status status =
      ForEachRow(Family::kMeta, Key::Definition(QueueId(0)), Key::Definition(QueueId(~uint32_t{0})),
                 [&](absl::string_view key, absl::string_view value) {
                   StoredQueue queue;
                   absl::StatusOr<absl::string_view> definition = DecodeDefinition(value);
                   if (!ParseQueueRowKey(key, kDefinitionTag, &queue.queue)) {
                     row_status = CorruptError("a key of the definitions", "it has another form");
                   } else if (!definition.ok()) {
                     row_status = definition.status();
                   } else {
                     queue.definition = std::string(*definition);
                     result.push_back(std::move(queue));
                   }
                   return row_status.ok();
                 });
  if (!status.ok()) return status;
  if (!row_status.ok()) return row_status;
  for (StoredQueue& queue : result) {
    absl::StatusOr<std::optional<std::string>> row = GetMeta(Key::Counters(queue.queue));
    if (!row.ok()) return row.status();
    if (!row->has_value()) continue;
    absl::StatusOr<QueueCounters> counters = DecodeCounters(**row);
    if (!counters.ok()) return CorruptRow(queue.queue, Sequence(0), counters.status());
    queue.counters = *counters;
  }
  return result;
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
  for (const KeyRange& range : ranges) {
    if (!refusal_->Check().ok()) return;
    if (absl::Status status = ReclaimRange(range); !status.ok()) {
      refusal_->Latch(status.message()).IgnoreError();
      return;
    }
  }
}

// Files that lie wholly in the range are dropped without being read. That could drop a deletion
// from an upper level and keep, in a file that reaches across the range's border, what it deletes.
// So a new range deletion goes first: in the memtable or level 0, where dropping files does not
// reach, it covers whatever is left, and it is durable before a file goes.
absl::Status RocksDbStore::ReclaimRange(const KeyRange& range) {
  rocksdb::ColumnFamilyHandle* const family = Handle(Family::kMessages);
  absl::StatusOr<bool> worth_it = WorthReclaiming(range);
  if (!worth_it.ok() || !*worth_it) return worth_it.status();

  rocksdb::WriteOptions synced;
  synced.sync = true;
  rocksdb::Status status = db_->DeleteRange(synced, family, range.begin, range.end);
  const rocksdb::Slice begin = range.begin;
  const rocksdb::Slice end = range.end;
  if (status.ok())
    status = rocksdb::DeleteFilesInRange(db_, family, &begin, &end, /*include_end=*/false);
  if (!status.ok())
    return absl::UnavailableError(absl::StrCat("reclaiming space failed: ", status.ToString()));

  worth_it = WorthReclaiming(range);
  if (!worth_it.ok() || !*worth_it) return worth_it.status();
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  status = db_->CompactRange(options, family, &begin, &end);
  if (status.ok() || status.IsIncomplete() || status.IsShutdownInProgress())
    return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("reclaiming space failed: ", status.ToString()));
}

absl::StatusOr<bool> RocksDbStore::WorthReclaiming(const KeyRange& range) const {
  constexpr uint64_t kWorthIt = 8 << 20;
  rocksdb::ColumnFamilyHandle* const family = Handle(Family::kMessages);
  const rocksdb::Range tables(range.begin, range.end);
  rocksdb::SizeApproximationOptions options;
  options.include_memtables = true;
  options.include_files = true;
  uint64_t bytes = 0;
  const rocksdb::Status status = db_->GetApproximateSizes(options, family, &tables, 1, &bytes);
  if (!status.ok()) return FromReadStatus(status);
  // Bodies lie in blob files, of which only the whole size is known.
  uint64_t blobs = 0;
  db_->GetIntProperty(family, rocksdb::DB::Properties::kLiveBlobFileSize, &blobs);
  return bytes + blobs >= kWorthIt;
}

StoreStats RocksDbStore::Stats() const {
  StoreStats stats;
  uint64_t value = 0;
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    if (db_->GetIntProperty(family, rocksdb::DB::Properties::kEstimateLiveDataSize, &value))
      stats.live_bytes += value;
    if (db_->GetIntProperty(family, rocksdb::DB::Properties::kIsWriteStopped, &value)) {
      stats.write_stalled |= value != 0;
    }
  }
  uint64_t blobs = 0;
  uint64_t garbage = 0;
  if (db_->GetIntProperty(Handle(Family::kMessages), rocksdb::DB::Properties::kLiveBlobFileSize,
                          &blobs) &&
      db_->GetIntProperty(Handle(Family::kMessages),
                          rocksdb::DB::Properties::kLiveBlobFileGarbageSize, &garbage)) {
    stats.live_bytes += blobs - std::min(blobs, garbage);
  }
  if (db_->GetIntProperty(rocksdb::DB::Properties::kActualDelayedWriteRate, &value)) {
    stats.write_stalled |= value != 0;
  }
  stats.memtable_bytes = buffers_->memory_usage();
  std::vector<rocksdb::Env::FileAttributes> files;
  if (env_->GetChildrenFileAttributes(directory_.db_dir, &files).ok()) {
    for (const rocksdb::Env::FileAttributes& file : files) stats.disk_bytes += file.size_bytes;
  }
  return stats;
}

// Opening.
// -------------------------------------------------------------------------------------------------------------------

rocksdb::Status OpenDb(const RocksDbConfig& config, const std::string& db_dir, bool read_only,
                       BareRocksDb* bare) {
  if (read_only) {
    return rocksdb::DB::OpenForReadOnly(config.db, db_dir, config.families, &bare->families,
                                        &bare->db);
  }
  return rocksdb::DB::Open(config.db, db_dir, config.families, &bare->families, &bare->db);
}

// What recovery would find, without the recovery's writes: so that a refusal leaves everything as
// it is, and the next one is the same.
absl::Status CheckRecoverable(const RocksDbConfig& config, const DataDirectory& directory,
                              const std::string& dir, uint64_t synced) {
  BareRocksDb bare;
  const rocksdb::Status status = OpenDb(config, directory.db_dir, /*read_only=*/true, &bare);
  if (!status.ok()) return FromOpenStatus(dir, status);
  absl::StatusOr<uint64_t> held = HeldCommit(bare.db, bare.families, directory.store_id);
  if (!held.ok()) return held.status();
  return *held < synced ? LogTruncatedError(dir, *held, synced) : absl::OkStatus();
}

}  // namespace

BareRocksDb::~BareRocksDb() {
  if (db == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : families) {
    db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  delete db;
}

absl::StatusOr<std::unique_ptr<BareRocksDb>> OpenBareRocksDb(const RocksDbStoreOptions& options) {
  auto bare = std::make_unique<BareRocksDb>();
  const rocksdb::Status status =
      OpenDb(MakeConfig(options), options.dir, /*read_only=*/false, bare.get());
  if (!status.ok()) return FromOpenStatus(options.dir, status);
  return bare;
}

absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(const RocksDbStoreOptions& options) {
  rocksdb::Env* const env = options.env != nullptr ? options.env : rocksdb::Env::Default();
  EnvFiles files(env);
  absl::StatusOr<DataDirectory> directory = OpenDataDirectory(files, options.dir);
  if (!directory.ok()) return directory.status();
  LogScanner scan(directory->store_id);
  if (absl::Status status = ScanLog(files, directory->db_dir, &scan); !status.ok()) return status;

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
  if (absl::Status started = store->Start(scan, options.accept_truncated_log); !started.ok())
    return started;
  return store;
}

}  // namespace barista::storage
