#include "barista/broker.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <thread>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/base/callback.h"
#include "broker/broker_impl.h"
#include "broker/commit/commit_log.h"
#include "broker/message/validation.h"
#include "broker/queue/engine.h"
#include "broker/registry.h"
#include "broker/survey.h"
#include "storage/memory_store.h"
#include "storage/rocksdb_store.h"

namespace barista {
namespace internal {
namespace {

constexpr absl::Duration kSweepInterval = absl::Seconds(60);

absl::Status OutOfRange(absl::string_view field, absl::string_view value, absl::string_view limit) {
  return InvalidParameter(field, value, absl::StrCat("it must be ", limit, "."), limit);
}

absl::Status ValidateOptions(const BrokerOptions& options) {
  constexpr int64_t kMiB = int64_t{1} << 20;
  if (options.memory_limit_bytes < 64 * kMiB || options.memory_limit_bytes > (kMiB << 20)) {
    return OutOfRange("memory_limit_bytes", absl::StrCat(options.memory_limit_bytes),
                      "64 MiB to 1 TiB");
  }
  if (options.sync_interval < absl::Milliseconds(1) || options.sync_interval > absl::Seconds(60)) {
    return OutOfRange("sync_interval", absl::FormatDuration(options.sync_interval), "1ms to 60s");
  }
  if (options.free_space_floor_bytes < 0) {
    return OutOfRange("free_space_floor_bytes", absl::StrCat(options.free_space_floor_bytes),
                      "0 or more");
  }
  if (options.intake_limit_bytes < kMiB || options.intake_limit_bytes > 4096 * kMiB) {
    return OutOfRange("intake_limit_bytes", absl::StrCat(options.intake_limit_bytes),
                      "1 MiB to 4 GiB");
  }
  const auto is_arn_part = [](absl::string_view text) {
    return !text.empty() && text.size() <= 64 &&
           text.find_first_of(": \t\n") == absl::string_view::npos;
  };
  if (!is_arn_part(options.region))
    return OutOfRange("region", options.region, "1 to 64 characters without ':' or spaces");
  if (!is_arn_part(options.account))
    return OutOfRange("account", options.account, "1 to 64 characters without ':' or spaces");
  return absl::OkStatus();
}

// Passes the commit log and leaves nothing there.
class PingOp final : public commit::Operation {
 public:
  explicit PingOp(std::function<void()> answered)
      : Operation(Durability::kMemory, 0), answered_(std::move(answered)) {}
  absl::Status Prepare(commit::Turn&) override { return absl::OkStatus(); }
  void Complete(const absl::Status&) override {
    answered_();
    delete this;
  }

 private:
  const std::function<void()> answered_;
};

class BrokerImpl final : public Broker {
 public:
  BrokerImpl(const BrokerOptions& options, std::unique_ptr<storage::Store> store)
      : store_(std::move(store)),
        timer_(options.manual ? std::function<void()>() : [this] { WakeTimer(); }),
        registry_(&engine_),
        log_(LogOptions(options)) {
    engine_.options = options;
    engine_.clock = Clock_(options);
    engine_.store = store_.get();
    engine_.log = &log_;
    engine_.timer = &timer_;
    engine_.boot = store_->boot();
    std::memcpy(&engine_.receipt_key, store_->secret().data(), sizeof(engine_.receipt_key));
    engine_.arn_prefix = absl::StrCat("arn:aws:sqs:", options.region, ":", options.account, ":");
    engine_.ask_pager = [this](std::shared_ptr<StandardQueue> queue, PagerTask task) {
      AskPager(std::move(queue), task);
    };
    engine_.request_reclaim = [this] { RequestReclaim(); };
    engine_.run_once = [this] { return RunOnce(); };
    engine_.find_queue = [this](absl::string_view name) { return registry_.Find(name); };
    engine_.redefine = [this](StandardQueue* queue, const QueueAttributes& attributes,
                              const QueueTags* tags, absl::Span<const std::string> untag) {
      return registry_.Redefine(queue, attributes, tags, untag);
    };
    // The storage takes half of the memory limit, the windows a quarter, what is in flight an
    // eighth; the rest is for what is on its way, two pages among it.
    engine_.window_limit_bytes = options.memory_limit_bytes / 4;
    engine_.in_flight_limit_bytes = options.memory_limit_bytes / 8;
    engine_.page_bytes =
        static_cast<size_t>(std::min(options.memory_limit_bytes / 64, int64_t{8} << 20));
    engine_.memory_queue_limit_bytes = options.data_dir.empty() ? options.memory_limit_bytes / 4 * 3
                                                                : options.memory_limit_bytes / 4;
    absl::BitGen random;
    engine_.id_high = absl::Uniform<uint64_t>(random);
    engine_.id_seed = absl::Uniform<uint64_t>(random);
    engine_.wall_base_ms = engine_.WallMs();
    engine_.mono_base_ns = engine_.MonoNs();
    recovery_.unsynced_commits_dropped = store_->recovery().unsynced_commits_dropped;
    recovery_.synced_commits_lost = store_->recovery().synced_commits_lost;
  }

  ~BrokerImpl() override { Close().IgnoreError(); }

  absl::Status Start() {
    if (absl::Status status = registry_.Load(); !status.ok()) {
      engine_.closed.store(true);
      MutexLock lock(&close_mutex_);
      closed_ = true;
      return status;
    }
    timer_.Arm(engine_.MonoNs() + absl::ToInt64Nanoseconds(kSweepInterval),
               std::make_unique<SweepTimer>(this));
    subscription_ = options().clock == nullptr ? 0 : options().clock->Subscribe([this] {
      WakeTimer();
      log_.Wake();
    });
    if (options().manual) return absl::OkStatus();
    committer_ = std::thread([this] { log_.RunCommitter(); });
    timer_thread_ = std::thread([this] { RunTimer(); });
    pager_ = std::thread([this] { RunPager(); });
    housekeeper_ = std::thread([this] { RunHousekeeper(); });
    return absl::OkStatus();
  }

  absl::Status Close() override {
    MutexLock close_lock(&close_mutex_);
    if (closed_) return close_status_;
    closed_ = true;
    engine_.closed.store(true, std::memory_order_release);
    if (options().clock != nullptr) options().clock->Unsubscribe(subscription_);
    for (const std::shared_ptr<StandardQueue>& queue : registry_.All())
      queue->EndReceives(BrokerClosed());
    {
      MutexLock lock(&work_mutex_);
      stopping_ = true;
      timer_cv_.NotifyAll();
      pager_cv_.NotifyAll();
      housekeeper_cv_.NotifyAll();
    }
    {
      MutexLock lock(&backup_mutex_);
      while (backing_up_) backup_ended_.Wait(&backup_mutex_);
    }
    store_->StopReclaim();
    for (std::thread* thread : {&timer_thread_, &pager_, &housekeeper_}) {
      if (thread->joinable()) thread->join();
    }
    log_.Stop();
    if (committer_.joinable()) committer_.join();
    close_status_ = log_.Flush();
    log_.Detach();
    MutexLock lock(&engine_.peek_mutex);
    engine_.store = nullptr;
    store_.reset();
    return close_status_;
  }

  absl::StatusOr<Queue> CreateQueue(absl::string_view name, const QueueAttributes& attributes,
                                    const QueueTags& tags) override {
    if (absl::Status status = CheckControl(); !status.ok()) return status;
    absl::StatusOr<std::shared_ptr<StandardQueue>> queue = registry_.Create(name, attributes, tags);
    if (!queue.ok()) return queue.status();
    return Queue(*std::move(queue));
  }

  absl::StatusOr<Queue> GetQueue(absl::string_view name) override {
    if (engine_.closed.load(std::memory_order_acquire)) return BrokerClosed();
    std::shared_ptr<StandardQueue> queue = registry_.Find(name);
    if (queue == nullptr) return QueueDoesNotExist(name);
    return Queue(std::move(queue));
  }

  absl::Status DeleteQueue(absl::string_view name) override {
    if (absl::Status status = CheckControl(); !status.ok()) return status;
    return registry_.Delete(name);
  }

  absl::StatusOr<ListQueuesResult> ListQueues(const ListQueuesOptions& options) override {
    if (engine_.closed.load(std::memory_order_acquire)) return BrokerClosed();
    return registry_.List(options);
  }

  absl::StatusOr<BackupResult> Backup(const std::string& dir,
                                      const ProgressCallback& progress) override {
    if (absl::Status status = BeginBackup(dir); !status.ok()) return status;
    absl::StatusOr<BackupResult> result =
        store_->Backup(dir, [this, &progress](const FileProgress& done) {
          return !engine_.closed.load(std::memory_order_acquire) && (!progress || progress(done));
        });
    MutexLock lock(&backup_mutex_);
    backing_up_ = false;
    backup_ended_.NotifyAll();
    if (absl::IsCancelled(result.status()) && engine_.closed.load()) return BrokerClosed();
    return result;
  }

  BrokerStats Stats() const override {
    BrokerStats stats;
    stats.messages_sent = engine_.sent.load();
    stats.messages_received = engine_.received.load();
    stats.messages_deleted = engine_.deleted.load();
    stats.messages_expired = engine_.expired.load();
    stats.messages_dead_lettered = engine_.dead_lettered.load();
    stats.bytes_sent = engine_.bytes_sent.load();
    stats.queues = static_cast<int64_t>(registry_.size());
    stats.parked_receives = engine_.parked.load();
    stats.resident_messages = engine_.resident.load();
    stats.resident_bytes = engine_.resident_bytes.load();
    stats.receive_latency = engine_.receive_latency_ms.Stats(1e3);
    log_.AddTo(&stats);
    return stats;
  }

  absl::StatusOr<QueueSurvey> SurveyQueues(const SurveyOptions& options) const override {
    if (engine_.closed.load(std::memory_order_acquire)) return BrokerClosed();
    return Survey(registry_.list(), engine_.WallMs(), options);
  }

  absl::StatusOr<StorageStats> StatStorage() const override {
    MutexLock lock(&engine_.peek_mutex);
    if (engine_.store == nullptr) return BrokerClosed();
    return engine_.store->Stats();
  }

  void Ping(std::function<void()> answered) override {
    log_.Submit(new PingOp(std::move(answered)));
  }

  const RecoveryReport& recovery() const override { return recovery_; }
  const BrokerOptions& options() const override { return engine_.options; }

  bool RunOnce() override {
    if (!options().manual || engine_.closed.load()) return false;
    bool any = false;
    for (bool more = true; more; any = any || more) {
      more = timer_.RunDue(engine_.MonoNs());
      more = RunPagerTasks() || more;
      more = KeepHouse() || more;
      more = log_.RunOnce() || more;
    }
    return any;
  }

  absl::Duration NextDeadline() const override {
    const int64_t next_ns = std::min(timer_.NextDeadline(), log_.NextDeadline());
    return next_ns == core::kNever ? absl::InfiniteDuration() : absl::Nanoseconds(next_ns);
  }

 private:
  // Looks for expired messages now and then.
  class SweepTimer final : public core::TimerNode {
   public:
    explicit SweepTimer(BrokerImpl* broker) : broker_(broker) {}
    int64_t Fire(int64_t now_ns) override {
      MutexLock lock(&broker_->work_mutex_);
      broker_->sweep_wanted_ = true;
      broker_->housekeeper_cv_.NotifyOne();
      return now_ns + absl::ToInt64Nanoseconds(kSweepInterval);
    }
    bool Dead() const override { return false; }

   private:
    BrokerImpl* const broker_;
  };

  static Clock* Clock_(const BrokerOptions& options) {
    return options.clock != nullptr ? options.clock : Clock::System();
  }

  commit::CommitLogOptions LogOptions(const BrokerOptions& options) {
    commit::CommitLogOptions log;
    log.store = store_.get();
    log.clock = Clock_(options);
    log.inline_commit = options.inline_commit;
    log.threaded = !options.manual;
    log.sync_interval = options.sync_interval;
    log.intake_limit_bytes = options.intake_limit_bytes;
    log.free_space_floor_bytes = options.data_dir.empty() ? 0 : options.free_space_floor_bytes;
    log.last_commit = store_->recovery().last_commit;
    return log;
  }

  absl::Status CheckControl() const {
    if (engine_.closed.load(std::memory_order_acquire)) return BrokerClosed();
    return CheckMayBlock();
  }

  // From OK to the end of the backup Close waits.
  absl::Status BeginBackup(const std::string& dir) {
    if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
    if (dir.empty() || dir.front() != '/' || dir.find('\0') != std::string::npos)
      return OutOfRange("dir", dir, "an absolute path");
    MutexLock lock(&backup_mutex_);
    if (engine_.closed.load()) return BrokerClosed();
    if (backing_up_) {
      return MakeError(absl::StatusCode::kResourceExhausted, "a backup is being written already",
                       {.reason = "BackupInProgress", .limit = "1"});
    }
    backing_up_ = true;
    return absl::OkStatus();
  }

  void WakeTimer() {
    MutexLock lock(&work_mutex_);
    timer_woken_ = true;
    timer_cv_.NotifyOne();
  }

  void RunTimer() {
    for (;;) {
      timer_.RunDue(engine_.MonoNs());
      const int64_t next_ns = timer_.NextDeadline();
      MutexLock lock(&work_mutex_);
      if (stopping_) return;
      if (!timer_woken_) {
        if (next_ns == core::kNever) {
          timer_cv_.Wait(&work_mutex_);
        } else {
          const int64_t until_ns = core::Timer::EndOfTick(next_ns);
          timer_cv_.WaitFor(&work_mutex_,
                            absl::Nanoseconds(std::max<int64_t>(until_ns - engine_.MonoNs(), 0)));
        }
      }
      timer_woken_ = false;
    }
  }

  void AskPager(std::shared_ptr<StandardQueue> queue, PagerTask task) {
    MutexLock lock(&work_mutex_);
    pager_tasks_.push_back({std::move(queue), task});
    pager_cv_.NotifyOne();
  }

  void RequestReclaim() {
    MutexLock lock(&work_mutex_);
    reclaim_wanted_ = true;
    housekeeper_cv_.NotifyOne();
  }

  // What is wanted from the pager now; true if there was anything.
  bool RunPagerTasks() {
    std::deque<std::pair<std::shared_ptr<StandardQueue>, PagerTask>> tasks;
    {
      MutexLock lock(&work_mutex_);
      tasks.swap(pager_tasks_);
    }
    for (const auto& [queue, task] : tasks) {
      task == PagerTask::kPage ? queue->ReadPage() : queue->LookAtLeases();
    }
    return !tasks.empty();
  }

  void RunPager() {
    for (;;) {
      if (RunPagerTasks()) continue;
      MutexLock lock(&work_mutex_);
      while (!stopping_ && pager_tasks_.empty()) pager_cv_.Wait(&work_mutex_);
      if (stopping_) return;
    }
  }

  // What takes long and may wait; true if there was anything.
  bool KeepHouse() {
    bool sweep;
    bool reclaim;
    {
      MutexLock lock(&work_mutex_);
      sweep = std::exchange(sweep_wanted_, false);
      reclaim = std::exchange(reclaim_wanted_, false);
    }
    if (sweep) {
      for (const std::shared_ptr<StandardQueue>& queue : registry_.All()) queue->Sweep();
    }
    if (sweep || reclaim) store_->Reclaim();
    return sweep || reclaim;
  }

  void RunHousekeeper() {
    for (;;) {
      if (KeepHouse()) continue;
      MutexLock lock(&work_mutex_);
      while (!stopping_ && !sweep_wanted_ && !reclaim_wanted_) housekeeper_cv_.Wait(&work_mutex_);
      if (stopping_) return;
    }
  }

  std::unique_ptr<storage::Store> store_;
  // (Mutable: StatStorage keeps Close from closing the store meanwhile.)
  mutable Engine engine_;
  // (Mutable: NextDeadline sorts in what was armed.)
  mutable core::Timer timer_;
  Registry registry_;
  commit::CommitLog log_;
  RecoveryReport recovery_;
  int64_t subscription_ = 0;

  Mutex work_mutex_;
  CondVar timer_cv_;
  CondVar pager_cv_;
  CondVar housekeeper_cv_;
  bool stopping_ ABSL_GUARDED_BY(work_mutex_) = false;
  bool timer_woken_ ABSL_GUARDED_BY(work_mutex_) = false;
  std::deque<std::pair<std::shared_ptr<StandardQueue>, PagerTask>> pager_tasks_
      ABSL_GUARDED_BY(work_mutex_);
  bool sweep_wanted_ ABSL_GUARDED_BY(work_mutex_) = false;
  bool reclaim_wanted_ ABSL_GUARDED_BY(work_mutex_) = false;

  std::thread committer_;
  std::thread timer_thread_;
  std::thread pager_;
  std::thread housekeeper_;

  Mutex backup_mutex_;
  CondVar backup_ended_;
  bool backing_up_ ABSL_GUARDED_BY(backup_mutex_) = false;

  Mutex close_mutex_;
  bool closed_ ABSL_GUARDED_BY(close_mutex_) = false;
  absl::Status close_status_ ABSL_GUARDED_BY(close_mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Broker>> OpenBroker(const BrokerOptions& options,
                                                   std::unique_ptr<storage::Store> store) {
  if (absl::Status status = ValidateOptions(options); !status.ok()) return status;
  auto broker = std::make_unique<BrokerImpl>(options, std::move(store));
  if (absl::Status status = broker->Start(); !status.ok()) return status;
  return broker;
}

}  // namespace internal

absl::StatusOr<std::unique_ptr<Broker>> Broker::Open(const BrokerOptions& options) {
  if (absl::Status status = internal::ValidateOptions(options); !status.ok()) return status;
  BrokerOptions effective = options;
  if (options.data_dir.empty()) {
    effective.default_durability = Durability::kMemory;
    return internal::OpenBroker(effective, storage::NewMemoryStore());
  }
  storage::RocksDbStoreOptions store_options;
  store_options.dir = options.data_dir;
  store_options.memory_limit_bytes = options.memory_limit_bytes;
  store_options.accept_truncated_log = options.accept_truncated_log;
  absl::StatusOr<std::unique_ptr<storage::Store>> store = storage::OpenRocksDbStore(store_options);
  if (!store.ok()) return store.status();
  return internal::OpenBroker(effective, *std::move(store));
}

}  // namespace barista
