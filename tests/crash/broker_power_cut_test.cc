// Cuts the power after every write and every sync of a scripted run of a broker, and opens what the
// disk would hold (I1, I2).

#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "barista/broker.h"
#include "broker/broker_impl.h"
#include "storage/rocksdb_store.h"
#include "tests/conformance/broker_kinds.h"
#include "tests/crash/power_cut_fs.h"

namespace barista::testing {
namespace {

using Survival = PowerCutFileSystem::Survival;

BrokerOptions Options(const std::string& dir, Durability durability, Clock* clock) {
  BrokerOptions options;
  options.data_dir = dir;
  options.default_durability = durability;
  options.memory_limit_bytes = 64 << 20;
  options.free_space_floor_bytes = 0;
  options.manual = true;
  options.clock = clock;
  return options;
}

absl::StatusOr<std::unique_ptr<Broker>> Open(const std::string& dir, Durability durability,
                                             Clock* clock, rocksdb::Env* env) {
  storage::RocksDbStoreOptions store_options;
  store_options.dir = dir;
  store_options.memory_limit_bytes = 2 << 20;  // small, so that the run flushes
  store_options.ballast_bytes = 0;
  store_options.env = env;
  absl::StatusOr<std::unique_ptr<storage::Store>> store = storage::OpenRocksDbStore(store_options);
  if (!store.ok()) return store.status();
  return internal::OpenBroker(Options(dir, durability, clock), *std::move(store));
}

constexpr size_t kNotYet = ~size_t{0};

// What a client knows of one message: when (in events of the file system) its calls began and were
// acknowledged.
struct Ledger {
  struct Entry {
    std::string queue;
    size_t sent = kNotYet;
    size_t removal_began = kNotYet;  // delete, purge or deletion of the queue
    size_t removed = kNotYet;
  };
  std::map<std::string, Entry> messages;  // by body
};

// A run of sends, batches, delays, receives, deletes, a purge and a queue deletion on queues of one
// durability.
class ScriptedRun {
 public:
  explicit ScriptedRun(Durability durability)
      : durability_(durability),
        fs_(std::make_shared<PowerCutFileSystem>(dir_.path())),
        env_(rocksdb::NewCompositeEnv(fs_)) {
    auto opened = Open(dir_.path() + "/data", durability, &clock_, env_.get());
    EXPECT_OK(opened);
    broker_ = *std::move(opened);
    for (const char* name : {"steady", "purged", "dropped"}) EXPECT_OK(broker_->CreateQueue(name));
    for (int round = 0; round < 4; ++round) {
      Send("steady", 1, absl::ZeroDuration());
      Send("steady", 20, absl::ZeroDuration());
      Send("purged", 5, absl::ZeroDuration());
      Send("dropped", 5, absl::ZeroDuration());
      Send("steady", 3, absl::Seconds(20));
      ReceiveAndDelete("steady", 12);
      Send("steady", 2, absl::ZeroDuration(), std::string(300'000, 'x'));
      ReceiveAndDelete("steady", 3);
      if (durability_ == Durability::kFsync) {
        // Time passes: delayed messages come, lazy leases go to the log.
        clock_.Advance(absl::Seconds(10));
        broker_->RunOnce();
      }
      if (round == 1) Remove("purged", [&] { return broker_->GetQueue("purged")->Purge(); });
      if (round == 2) Remove("dropped", [&] { return broker_->DeleteQueue("dropped"); });
      if (round == 2) EXPECT_OK(broker_->CreateQueue("dropped"));
    }
    end_ = fs_->events();
    broker_.reset();
  }

  size_t events() const { return end_; }
  const Ledger& ledger() const { return ledger_; }
  const PowerCutFileSystem& fs() const { return *fs_; }
  ManualClock& clock() { return clock_; }

 private:
  void Send(const std::string& queue, int n, absl::Duration delay, const std::string& tail = "") {
    std::vector<std::string> bodies;
    for (int i = 0; i < n; ++i) {
      bodies.push_back(queue + " " + std::to_string(next_++) + " " + tail);
      ledger_.messages[bodies.back()].queue = queue;
    }
    std::vector<OutgoingMessage> batch;
    for (const std::string& body : bodies) batch.push_back({.body = body, .delay = delay});
    for (const auto& result : broker_->GetQueue(queue)->SendBatch(batch)) EXPECT_OK(result);
    for (const std::string& body : bodies) ledger_.messages[body].sent = fs_->events();
  }

  void ReceiveAndDelete(const std::string& name, int n) {
    Queue queue = *broker_->GetQueue(name);
    const auto got = queue.Receive({.max_messages = n});
    ASSERT_OK(got);
    std::vector<ReceiptHandle> handles;
    for (const ReceivedMessage& m : *got) {
      handles.push_back(m.receipt_handle);
      ledger_.messages[std::string(m.body)].removal_began = fs_->events();
    }
    if (handles.empty()) return;
    for (const absl::Status& status : queue.DeleteBatch(handles)) EXPECT_OK(status);
    for (const ReceivedMessage& m : *got)
      ledger_.messages[std::string(m.body)].removed = fs_->events();
  }

  void Remove(const std::string& queue, const std::function<absl::Status()>& remove) {
    std::vector<Ledger::Entry*> affected;
    for (auto& [body, entry] : ledger_.messages) {
      if (entry.queue == queue && entry.removed == kNotYet) affected.push_back(&entry);
    }
    for (Ledger::Entry* entry : affected) entry->removal_began = fs_->events();
    EXPECT_OK(remove());
    for (Ledger::Entry* entry : affected) entry->removed = fs_->events();
  }

  const Durability durability_;
  TemporaryDirectory dir_;
  std::shared_ptr<PowerCutFileSystem> fs_;
  std::unique_ptr<rocksdb::Env> env_;
  ManualClock clock_;
  std::unique_ptr<Broker> broker_;
  Ledger ledger_;
  int next_ = 0;
  size_t end_ = 0;
};

// What a broker finds in `dir`: bodies of everything it delivers within half a day.
std::multiset<std::string> Deliveries(const std::string& dir, Durability durability,
                                      ManualClock* clock) {
  std::multiset<std::string> bodies;
  auto broker = Open(dir, durability, clock, nullptr);
  EXPECT_OK(broker);
  if (!broker.ok()) return bodies;
  clock->Advance(absl::Hours(12));
  (*broker)->RunOnce();
  const auto queues = (*broker)->ListQueues();
  EXPECT_OK(queues);
  for (const std::string& name : queues->names) {
    Queue queue = *(*broker)->GetQueue(name);
    for (;;) {
      const auto got = queue.Receive({.max_messages = 1000, .visibility_timeout = absl::Hours(12)});
      EXPECT_OK(got);
      if (!got.ok() || got->empty()) break;
      for (const ReceivedMessage& m : *got) bodies.insert(std::string(m.body));
    }
    const auto description = queue.Describe();
    EXPECT_EQ(description->visible, 0) << name;
    EXPECT_EQ(description->delayed, 0) << name;
  }
  return bodies;
}

struct Verdict {
  int lost = 0;         // acknowledged and not removed, and not there
  int resurrected = 0;  // its removal was acknowledged, and there
  int strange = 0;      // never sent, or twice
};

Verdict Judge(const Ledger& ledger, size_t cut, const std::multiset<std::string>& delivered) {
  Verdict verdict;
  for (const auto& [body, entry] : ledger.messages) {
    const size_t copies = delivered.count(body);
    if (entry.sent <= cut && entry.removal_began > cut && copies == 0) ++verdict.lost;
    if (entry.removed <= cut && copies > 0) ++verdict.resurrected;
    if (copies > 1) ++verdict.strange;
  }
  for (const std::string& body : delivered) {
    if (ledger.messages.count(body) == 0) ++verdict.strange;
  }
  return verdict;
}

TEST(BrokerPowerCutTest, FsyncLosesNothingAndUndoesNoDelete) {
  ScriptedRun run(Durability::kFsync);
  TemporaryDirectory target;
  for (size_t cut = 0; cut <= run.events(); ++cut) {
    for (Survival survival : {Survival::kSyncedOnly, Survival::kTorn}) {
      if (survival == Survival::kTorn && cut % 4 != 0) continue;
      SCOPED_TRACE("cut after " + std::to_string(cut) + " of " + std::to_string(run.events()) +
                   ": " + (cut > 0 ? run.fs().Describe(cut - 1) : "nothing") +
                   (survival == Survival::kTorn ? ", torn" : ""));
      run.fs().Materialize(cut, survival, cut, target.path());
      ManualClock clock(run.clock().Now());
      const Verdict verdict =
          Judge(run.ledger(), cut, Deliveries(target.path() + "/data", Durability::kFsync, &clock));
      ASSERT_EQ(verdict.lost, 0);
      ASSERT_EQ(verdict.resurrected, 0);
      ASSERT_EQ(verdict.strange, 0);
    }
  }
}

// The same test on `os` must see a loss, or it could not see one at all; and the death of the
// process alone loses nothing there.
TEST(BrokerPowerCutTest, OsLosesToThePowerButNotToTheDeathOfTheProcess) {
  ScriptedRun run(Durability::kOs);
  TemporaryDirectory target;
  int lost = 0;
  for (size_t cut = 0; cut <= run.events(); cut += 3) {
    SCOPED_TRACE("cut after " + std::to_string(cut) + " of " + std::to_string(run.events()));
    ManualClock clock(run.clock().Now());
    run.fs().Materialize(cut, Survival::kSyncedOnly, cut, target.path());
    lost +=
        Judge(run.ledger(), cut, Deliveries(target.path() + "/data", Durability::kOs, &clock)).lost;
    run.fs().Materialize(cut, Survival::kEverything, cut, target.path());
    const Verdict killed =
        Judge(run.ledger(), cut, Deliveries(target.path() + "/data", Durability::kOs, &clock));
    ASSERT_EQ(killed.lost, 0);
    ASSERT_EQ(killed.resurrected, 0);
    ASSERT_EQ(killed.strange, 0);
  }
  EXPECT_GT(lost, 0);
}

}  // namespace
}  // namespace barista::testing
