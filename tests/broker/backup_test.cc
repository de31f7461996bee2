// Backups of a broker: what is in them, when they are refused, and what restoring and verifying
// make of them.

#include "barista/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/verify.h"
#include "broker/base/mutex.h"
#include "broker/broker_impl.h"
#include "tests/commit/scripted_store.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

using ::testing::IsEmpty;

class BrokerBackupTest : public ::testing::Test {
 protected:
  void SetUp() override { broker_ = OpenAt("data"); }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  std::unique_ptr<Broker> OpenAt(const std::string& name) {
    BrokerOptions options;
    options.data_dir = Path(name);
    options.clock = &clock_;
    options.manual = true;
    options.free_space_floor_bytes = 0;
    auto broker = Broker::Open(options);
    EXPECT_OK(broker);
    return broker.ok() ? *std::move(broker) : nullptr;
  }
  // Lets time pass and does what is due then.
  void Advance(Broker& broker, absl::Duration step) {
    clock_.Advance(step);
    broker.RunOnce();
  }
  Queue Create(const std::string& name, const QueueAttributes& attributes = {}) {
    auto queue = broker_->CreateQueue(name, attributes);
    EXPECT_OK(queue);
    return *queue;
  }
  static std::multiset<std::string> BodiesIn(Broker& broker, const std::string& name) {
    std::multiset<std::string> bodies;
    auto queue = broker.GetQueue(name);
    EXPECT_OK(queue);
    if (!queue.ok()) return bodies;
    for (;;) {
      broker.RunOnce();
      auto batch = queue->Receive({.max_messages = 100, .wait = absl::ZeroDuration()});
      EXPECT_OK(batch);
      if (!batch.ok() || batch->empty()) return bodies;
      for (const ReceivedMessage& message : *batch) bodies.emplace(message.body);
    }
  }
  static VerifyReport Verify(const std::string& path) {
    auto report = VerifyDataDirectory(path);
    EXPECT_OK(report);
    return report.ok() ? *std::move(report) : VerifyReport();
  }
  static std::vector<std::string> ProblemsOf(const VerifyReport& report) {
    std::vector<std::string> texts;
    for (const VerifyReport::Problem& problem : report.problems) {
      texts.push_back(absl::StrCat(problem.family, " ", problem.queue, " ", problem.sequence, ": ",
                                   problem.message));
    }
    return texts;
  }

  TemporaryDirectory directory_;
  ManualClock clock_;
  std::unique_ptr<Broker> broker_;
};

TEST_F(BrokerBackupTest, HoldsWhatWasAcknowledgedBeforeIt) {
  Queue fsync = Create("fsync", {.visibility_timeout = absl::Seconds(30)});
  Queue os = Create("os", {.durability = Durability::kOs});
  Queue memory = Create("memory", {.durability = Durability::kMemory});
  for (int i = 0; i < 5; ++i) {
    for (Queue* queue : {&fsync, &os, &memory})
      ASSERT_OK(queue->Send({.body = absl::StrCat("body ", i)}));
  }
  ASSERT_OK(fsync.Send({.body = "later", .delay = absl::Seconds(60)}));
  auto received = fsync.Receive({.max_messages = 2});
  ASSERT_OK(received);
  ASSERT_EQ(received->size(), 2u);
  const std::string deleted((*received)[0].body);
  ASSERT_OK(fsync.Delete((*received)[0].receipt_handle));

  const auto result = broker_->Backup(Path("backup"));
  ASSERT_OK(result);
  EXPECT_GT(result->files, 0);
  EXPECT_GT(result->bytes, 0);
  ASSERT_OK(fsync.Send({.body = "after"}));
  ASSERT_OK(broker_->DeleteQueue("os"));

  ASSERT_OK(RestoreBackup(Path("backup"), Path("restored")));
  const std::unique_ptr<Broker> restored = OpenAt("restored");
  ASSERT_NE(restored, nullptr);
  Advance(*restored, absl::Seconds(61));  // the message in flight and the delayed one come too
  std::multiset<std::string> expected = {"body 0", "body 1", "body 2", "body 3", "body 4"};
  EXPECT_EQ(BodiesIn(*restored, "os"), expected);
  EXPECT_THAT(BodiesIn(*restored, "memory"), IsEmpty());
  expected.insert("later");
  expected.erase(deleted);
  EXPECT_EQ(BodiesIn(*restored, "fsync"), expected);
  EXPECT_EQ(restored->recovery().synced_commits_lost, 0u);
}

// I6: the original goes on after the backup, and its sequences and boots are those that the
// restored broker gives out too.
TEST_F(BrokerBackupTest, HandlesFromBeforeARestoreTouchNothingAfterIt) {
  Create("q");
  ASSERT_OK(broker_->Backup(Path("backup")));
  broker_.reset();
  broker_ = OpenAt("data");
  Queue original = *broker_->GetQueue("q");
  ASSERT_OK(original.Send({.body = "of the original"}));
  auto received = original.Receive();
  ASSERT_OK(received);
  ASSERT_EQ(received->size(), 1u);
  const ReceiptHandle handle = received->front().receipt_handle;
  broker_.reset();

  for (const char* name : {"first", "second"}) {
    ASSERT_OK(RestoreBackup(Path("backup"), Path(name)));
    const std::unique_ptr<Broker> restored = OpenAt(name);
    Queue queue = *restored->GetQueue("q");
    ASSERT_OK(queue.Send({.body = "of the restored one"}));
    ASSERT_OK(queue.Receive());
    EXPECT_EQ(GetErrorInfo(queue.Delete(handle)).reason, "ReceiptHandleIsInvalid");
    Advance(*restored, absl::Seconds(31));
    EXPECT_EQ(BodiesIn(*restored, "q").size(), 1u);
  }
}

TEST_F(BrokerBackupTest, IsRefusedWithWhatIsWrong) {
  for (const std::string& dir : {std::string("relative"), std::string(), std::string("/a\0b", 4)}) {
    const auto result = broker_->Backup(dir);
    EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
    EXPECT_TRUE(FailsWith(result, "InvalidParameterValue", "dir"));
  }
  EXPECT_TRUE(FailsWith(broker_->Backup(Path("data/backup")), "InvalidParameterValue", "dir"));
  ASSERT_OK(broker_->Backup(Path("backup")));
  EXPECT_TRUE(FailsWith(broker_->Backup(Path("backup")), "DirectoryNotEmpty", "dir"));
  auto in_memory = Broker::Open({.manual = true});
  ASSERT_OK(in_memory);
  EXPECT_TRUE(FailsWith((*in_memory)->Backup(Path("none")), "UnsupportedOperation", ""));
  EXPECT_FALSE(std::filesystem::exists(Path("none")));
  ASSERT_OK(broker_->Close());
  EXPECT_TRUE(FailsWith(broker_->Backup(Path("none")), "BrokerClosed", ""));
}

// A broker whose backups last until the test, or the broker, lets them end.
class LongBackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = std::make_unique<ScriptedStore>(
        std::shared_ptr<storage::Store>(storage::NewMemoryStore()), /*boot=*/1);
    store->on_backup = [this](const std::string&, const ProgressCallback& progress) {
      begun_.Notify();
      while (progress({0, 1})) std::this_thread::yield();
      return absl::StatusOr<BackupResult>(absl::CancelledError("given up"));
    };
    BrokerOptions options;
    options.data_dir = "scripted";
    auto broker = internal::OpenBroker(options, std::move(store));
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
  }

  Notification begun_;
  std::unique_ptr<Broker> broker_;
};

TEST_F(LongBackupTest, ThereIsOneAtATime) {
  std::atomic<bool> go_on{true};
  absl::Status status;
  std::thread first([&] {
    status = broker_->Backup("/a", [&](const FileProgress&) { return go_on.load(); }).status();
  });
  begun_.Wait();
  const auto second = broker_->Backup("/b");
  EXPECT_TRUE(absl::IsResourceExhausted(second.status()));
  EXPECT_TRUE(FailsWith(second, "BackupInProgress", ""));
  ASSERT_OK(broker_->CreateQueue("q"));  // other work goes on
  go_on = false;
  first.join();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  // And then there may be the next one.
  const auto third = broker_->Backup("/c", [](const FileProgress&) { return false; });
  EXPECT_TRUE(absl::IsCancelled(third.status())) << third.status();
}

TEST_F(LongBackupTest, CloseGivesItUp) {
  absl::Status status;
  std::thread backup([&] { status = broker_->Backup("/a").status(); });
  begun_.Wait();
  ASSERT_OK(broker_->Close());
  backup.join();
  EXPECT_EQ(GetErrorInfo(status).reason, "BrokerClosed") << status;
}

// Whatever a broker does, its counts agree with its rows.
TEST_F(BrokerBackupTest, DirectoriesAndBackupsOfABusyBrokerVerify) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  const auto pick = [&](unsigned n) { return random() % n; };
  Create("dead");
  std::vector<Queue> queues;
  for (const Durability durability : {Durability::kFsync, Durability::kOs, Durability::kMemory}) {
    QueueAttributes attributes;
    attributes.durability = durability;
    attributes.visibility_timeout = absl::Seconds(5);
    attributes.retention = absl::Seconds(120);
    if (durability == Durability::kFsync) attributes.redrive_policy = RedrivePolicy{"dead", 2};
    queues.push_back(Create(absl::StrCat("q", queues.size()), attributes));
  }
  std::vector<std::pair<size_t, ReceiptHandle>> handles;
  for (int step = 0; step < 1200; ++step) {
    const size_t q = pick(static_cast<unsigned>(queues.size()));
    Queue& queue = queues[q];
    switch (pick(12)) {
      case 0:
      case 1:
      case 2: {
        const std::string body(1 + pick(pick(10) == 0 ? 20'000 : 200), 'b');
        OutgoingMessage message;
        message.body = body;
        if (pick(4) == 0) message.delay = absl::Seconds(1 + pick(30));
        message.attributes = {{"table", "7"}};
        ASSERT_OK(queue.Send(message));
        break;
      }
      case 3:
      case 4:
      case 5: {
        auto batch = queue.Receive({.max_messages = 10, .wait = absl::ZeroDuration()});
        ASSERT_OK(batch);
        for (const ReceivedMessage& message : *batch)
          handles.emplace_back(q, message.receipt_handle);
        break;
      }
      case 6:
      case 7:
      case 8:
        if (handles.empty()) break;
        std::swap(handles[pick(static_cast<unsigned>(handles.size()))], handles.back());
        // It may be gone, or moved, by now.
        queues[handles.back().first].Delete(handles.back().second).IgnoreError();
        handles.pop_back();
        break;
      case 9:
        if (pick(40) == 0) ASSERT_OK(queue.Purge());
        break;
      case 10:
        Advance(*broker_, absl::Seconds(pick(10)));
        break;
      default:
        broker_->RunOnce();
    }
    if (step % 400 == 399) {
      const std::string backup = Path(absl::StrCat("backup", step));
      ASSERT_OK(broker_->Backup(backup));
      const VerifyReport report = Verify(backup);
      EXPECT_THAT(ProblemsOf(report), IsEmpty());
      EXPECT_TRUE(report.is_backup);
      ASSERT_OK(RestoreBackup(backup, Path(absl::StrCat("restored", step))));
      EXPECT_THAT(ProblemsOf(Verify(Path(absl::StrCat("restored", step)))), IsEmpty());
    }
  }
  const auto in_use = VerifyDataDirectory(Path("data"));
  EXPECT_TRUE(FailsWith(in_use, "DataDirectoryInUse", "data_dir"));
  ASSERT_OK(broker_->DeleteQueue("q1"));
  broker_.reset();
  const VerifyReport report = Verify(Path("data"));
  EXPECT_THAT(ProblemsOf(report), IsEmpty());
  std::set<std::string> names;
  for (const VerifyReport::Queue& queue : report.queues) names.insert(queue.name);
  EXPECT_EQ(names, (std::set<std::string>{"dead", "q0", "q2"}));
}

}  // namespace
}  // namespace barista::testing
