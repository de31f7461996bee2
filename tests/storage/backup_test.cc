// Backups of a store, and what restoring makes of them.

#include <rocksdb/env.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/backup_manifest.h"
#include "storage/memory_store.h"
#include "storage/restore.h"
#include "storage/rocksdb_store.h"
#include "storage/verify.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/fault_fs.h"
#include "tests/storage/golden.h"
#include "tests/storage/temp_dir.h"

namespace barista::storage {
namespace {

using ::testing::HasSubstr;
using Operation = FaultFileSystem::Operation;

constexpr uint32_t kQueue = 1;

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() : fs_(std::make_shared<FaultFileSystem>()), env_(rocksdb::NewCompositeEnv(fs_)) {}

  RocksDbStoreOptions Options(const std::string& dir) {
    RocksDbStoreOptions options;
    options.dir = dir;
    options.env = env_.get();
    options.ballast_bytes = 0;
    options.memory_limit_bytes = memory_limit_bytes_;
    return options;
  }
  std::unique_ptr<Store> OpenAt(const std::string& dir) {
    absl::StatusOr<std::unique_ptr<Store>> store = OpenRocksDbStore(Options(dir));
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  void SetUp() override { store_ = OpenAt(dir_ / "data"); }

  // One message a commit, synced.
  void Append(int count, size_t bytes = 100) {
    for (; count > 0; --count) {
      builder_.Append(kQueue, next_sequence_++, std::string(bytes, 'm'));
      ASSERT_TRUE(builder_.CommitTo(*store_).ok());
    }
  }
  absl::StatusOr<BackupResult> Backup(const std::string& name, const ProgressCallback& go_on = {}) {
    return store_->Backup(dir_ / name, go_on);
  }
  absl::StatusOr<BackupResult> Restore(const std::string& backup, const std::string& name,
                                       const ProgressCallback& go_on = {}) {
    return RestoreBackup(dir_ / backup, dir_ / name, go_on, env_.get());
  }
  void MustBackup(const std::string& name) {
    const absl::StatusOr<BackupResult> result = Backup(name);
    ASSERT_TRUE(result.ok()) << result.status();
  }
  void MustRestore(const std::string& backup, const std::string& name) {
    const absl::StatusOr<BackupResult> result = Restore(backup, name);
    ASSERT_TRUE(result.ok()) << result.status();
  }

  static std::set<uint64_t> SequencesIn(const Store& store) {
    ScanLimits limits;
    limits.max_messages = limits.max_bytes = ~size_t{0};
    std::set<uint64_t> sequences;
    absl::StatusOr<Page> page = store.Scan(QueueId(kQueue), Sequence(0), limits);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return sequences;
    for (const ScannedMessage& message : page->messages)
      sequences.insert(message.ref.sequence.value());
    return sequences;
  }
  std::set<uint64_t> SequencesOf(const std::string& name) {
    const std::unique_ptr<Store> store = OpenAt(dir_ / name);
    if (store == nullptr) return {};
    EXPECT_EQ(store->recovery().synced_commits_lost, 0u);
    EXPECT_EQ(store->recovery().unsynced_commits_dropped, 0u);
    return SequencesIn(*store);
  }
  static std::set<uint64_t> UpTo(uint64_t last) {
    std::set<uint64_t> sequences;
    for (uint64_t i = 1; i <= last; ++i) sequences.insert(i);
    return sequences;
  }

  // Name and content of every file below `name`.
  std::map<std::string, std::string> Contents(const std::string& name) {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ / name)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::stringstream bytes;
      bytes << in.rdbuf();
      contents[entry.path().string()] = bytes.str();
    }
    return contents;
  }
  // The names in the test's directory: nothing may be left behind.
  std::set<std::string> Names() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path()))
      names.insert(entry.path().filename().string());
    return names;
  }
  static void ExpectError(const absl::Status& status, absl::StatusCode code,
                          const std::string& reason, const std::string& field = "") {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(GetErrorInfo(status).reason, reason) << status;
    EXPECT_EQ(GetErrorInfo(status).field, field) << status;
  }

  TempDir dir_;
  const std::shared_ptr<FaultFileSystem> fs_;
  const std::unique_ptr<rocksdb::Env> env_;
  int64_t memory_limit_bytes_ = 64 << 20;
  std::unique_ptr<Store> store_;
  BatchBuilder builder_;
  uint64_t next_sequence_ = 1;
};

TEST(BackupManifestTest, BytesAreAsReleased) {
  BackupManifest manifest;
  manifest.store_id = std::string(16, '\x5a');
  manifest.files = {{"CURRENT", 16}, {"000012.sst", 4096}, {"a name with spaces", 0}};
  const std::string text = EncodeBackupManifest(manifest);
  ExpectGolden("backup_manifest", text);
  const absl::StatusOr<BackupManifest> read = DecodeBackupManifest("BACKUP", text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->store_id, manifest.store_id);
  EXPECT_EQ(read->files, manifest.files);
  EXPECT_EQ(read->bytes(), 4112);
}

TEST(BackupManifestTest, EveryCutAndEveryFlippedBitIsSeen) {
  BackupManifest manifest;
  manifest.store_id = std::string(16, '\x5a');
  manifest.files = {{"CURRENT", 16}, {"000012.sst", 4096}};
  const std::string text = EncodeBackupManifest(manifest);
  for (size_t at = 0; at < text.size(); ++at) {
    EXPECT_FALSE(DecodeBackupManifest("BACKUP", text.substr(0, at)).ok()) << at;
    std::string flipped = text;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_FALSE(DecodeBackupManifest("BACKUP", flipped).ok()) << at;
  }
}

TEST(BackupManifestTest, NamesThatLeadElsewhereAreRefused) {
  for (const char* name : {"../x", "/etc/passwd", "..", ".", ""}) {
    BackupManifest manifest;
    manifest.store_id = std::string(16, '\x5a');
    manifest.files = {{name, 1}};
    const absl::Status status =
        DecodeBackupManifest("BACKUP", EncodeBackupManifest(manifest)).status();
    EXPECT_EQ(GetErrorInfo(status).reason, "DataCorrupt") << name << ": " << status;
  }
}

TEST_F(BackupTest, HoldsWhatWasCommittedBeforeItAndNothingOfAfterwards) {
  Append(10);
  builder_.Ack(kQueue, 3);
  ASSERT_TRUE(builder_.CommitTo(*store_).ok());
  MustBackup("backup");
  builder_.Ack(kQueue, 4);
  Append(5);
  MustRestore("backup", "restored");
  std::set<uint64_t> expected = UpTo(10);
  expected.erase(3);
  EXPECT_EQ(SequencesOf("restored"), expected);
  EXPECT_EQ(Names(), (std::set<std::string>{"backup", "data", "restored"}));
}

TEST_F(BackupTest, HoldsCommitsThatWereNotSynced) {
  builder_.Append(kQueue, 1, "m");
  ASSERT_TRUE(builder_.WriteTo(*store_).ok());
  MustBackup("backup");
  MustRestore("backup", "restored");
  EXPECT_EQ(SequencesOf("restored"), UpTo(1));
}

TEST_F(BackupTest, TablesAndBlobsCome) {
  store_.reset();
  memory_limit_bytes_ = 4 << 20;  // flushes soon
  store_ = OpenAt(dir_ / "data");
  Append(600, 20'000);
  const absl::StatusOr<BackupResult> result = Backup("backup");
  ASSERT_TRUE(result.ok()) << result.status();
  std::set<std::string> endings;
  int64_t bytes = 0;
  int64_t files = 0;
  for (const auto& [name, content] : Contents("backup/db")) {
    endings.insert(std::filesystem::path(name).extension().string());
    bytes += static_cast<int64_t>(content.size());
    ++files;
  }
  EXPECT_TRUE(endings.count(".sst") == 1 && endings.count(".blob") == 1);
  EXPECT_EQ(result->files, files);
  EXPECT_EQ(result->bytes, bytes);
  MustRestore("backup", "restored");
  EXPECT_EQ(SequencesOf("restored"), UpTo(600));
}

// Small ones, ones for blob files, and ones that RocksDB writes to the log in several pieces.
size_t SizeOf(uint64_t message) {
  if (message % 40 == 0) return 3 << 20;
  return message % 7 == 0 ? 20'000 : 300;
}

TEST_F(BackupTest, ManyWhileCommitsGoOnAreEachAPrefixOfThem) {
  store_.reset();
  memory_limit_bytes_ = 4 << 20;
  store_ = OpenAt(dir_ / "data");
  std::atomic<bool> stop{false};
  std::atomic<bool> pause{false};  // while nothing is to be learnt from more
  std::atomic<uint64_t> committed{0};
  std::thread committer([&] {
    for (uint64_t i = 1; !stop; ++i) {
      while (pause && !stop) std::this_thread::yield();
      builder_.Append(kQueue, i, std::string(SizeOf(i), 'm'));
      if (!(i % 5 == 0 ? builder_.CommitTo(*store_) : builder_.WriteTo(*store_)).ok()) break;
      committed = i;
    }
  });
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = committed;
    pause = false;
    while (committed < before + 200) std::this_thread::yield();
    const uint64_t at_least = committed;
    const std::string name = absl::StrCat("backup", i);
    const absl::StatusOr<BackupResult> result = Backup(name);
    EXPECT_TRUE(result.ok()) << result.status();
    const uint64_t at_most = committed + 1;
    pause = true;
    if (!result.ok()) break;
    const absl::StatusOr<VerifyReport> report = VerifyDataDirectory(
        dir_ / name, [](QueueId, absl::string_view) { return std::string("q"); }, {}, env_.get());
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) break;
    for (const VerifyReport::Problem& problem : report->problems) {
      EXPECT_EQ(problem.file, "") << problem.message;  // the rows are not the engine's
    }
    const absl::StatusOr<BackupResult> restored = Restore(name, absl::StrCat("restored", i));
    EXPECT_TRUE(restored.ok()) << restored.status();
    if (!restored.ok()) break;
    const std::set<uint64_t> sequences = SequencesOf(absl::StrCat("restored", i));
    EXPECT_EQ(sequences, UpTo(sequences.size()));
    EXPECT_GE(sequences.size(), at_least);
    EXPECT_LE(sequences.size(), at_most);
  }
  stop = true;
  committer.join();
}

TEST_F(BackupTest, IsRestoredAgainAndStaysAsItIs) {
  Append(10);
  MustBackup("backup");
  const auto before = Contents("backup");
  std::string secrets[2];
  for (int i = 0; i < 2; ++i) {
    const std::string name = absl::StrCat("restored", i);
    MustRestore("backup", name);
    EXPECT_EQ(Contents("backup"), before);
    const std::unique_ptr<Store> store = OpenAt(dir_ / name);
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(SequencesIn(*store), UpTo(10));
    secrets[i] = store->secret();
  }
  EXPECT_EQ(Contents("backup"), before);
  // Handles of one of the three fit nothing in the others (I6).
  EXPECT_NE(secrets[0], secrets[1]);
  EXPECT_NE(secrets[0], store_->secret());
  EXPECT_NE(secrets[1], store_->secret());
}

TEST_F(BackupTest, OfARestoredDirectoryWorksToo) {
  Append(3);
  MustBackup("backup");
  MustRestore("backup", "restored");
  const std::unique_ptr<Store> store = OpenAt(dir_ / "restored");
  ASSERT_NE(store, nullptr);
  ASSERT_TRUE(store->Backup(dir_ / "second", {}).ok());
  MustRestore("second", "again");
  EXPECT_EQ(SequencesOf("again"), UpTo(3));
}

TEST_F(BackupTest, IsNoDataDirectory) {
  Append(1);
  MustBackup("backup");
  const auto before = Contents("backup");
  ExpectError(OpenRocksDbStore(Options(dir_ / "backup")).status(),
              absl::StatusCode::kFailedPrecondition, "DataDirectoryIsBackup", "data_dir");
  EXPECT_EQ(Contents("backup"), before);
}

TEST_F(BackupTest, GoesIntoAnEmptyDirectoryAndIntoNoOther) {
  Append(1);
  std::filesystem::create_directory(dir_ / "empty");
  MustBackup("empty/");
  ExpectError(Backup("empty").status(), absl::StatusCode::kAlreadyExists, "DirectoryNotEmpty",
              "dir");
  std::filesystem::create_directory(dir_ / "left.tmp");
  ExpectError(Backup("left").status(), absl::StatusCode::kAlreadyExists, "DirectoryNotEmpty",
              "dir");
  EXPECT_TRUE(std::filesystem::exists(dir_ / "left.tmp"));
  ExpectError(Backup("none/backup").status(), absl::StatusCode::kInvalidArgument,
              "InvalidParameterValue", "dir");
  std::ofstream(dir_ / "file") << "x";
  ExpectError(Backup("file").status(), absl::StatusCode::kAlreadyExists, "DirectoryNotEmpty",
              "dir");
  for (const char* inside : {"data", "data/db/backup", "none/../data/backup", "data/"}) {
    ExpectError(Backup(inside).status(), absl::StatusCode::kInvalidArgument,
                "InvalidParameterValue", "dir");
  }
  EXPECT_EQ(Names(), (std::set<std::string>{"data", "empty", "file", "left.tmp"}));
}

TEST_F(BackupTest, FailuresOfItsDirectoryLeaveNothingAndTheStoreGoesOn) {
  Append(3);
  const std::map<absl::StatusCode, rocksdb::IOStatus> faults = {
      {absl::StatusCode::kResourceExhausted, rocksdb::IOStatus::NoSpace("0 bytes left")},
      {absl::StatusCode::kPermissionDenied, rocksdb::IOStatus::IOError("Permission denied")},
      {absl::StatusCode::kUnavailable, rocksdb::IOStatus::IOError("bad sector")}};
  const std::map<absl::StatusCode, std::string> reasons = {
      {absl::StatusCode::kResourceExhausted, "StorageFull"},
      {absl::StatusCode::kPermissionDenied, "DirectoryNotWritable"},
      {absl::StatusCode::kUnavailable, "DirectoryUnavailable"}};
  for (const auto& [code, fault] : faults) {
    for (const Operation operation : {Operation::kCreate, Operation::kAppend, Operation::kSync}) {
      const std::string backup = dir_ / "backup";
      fs_->SetFault([=, &fault = fault](Operation tried, const std::string& path) {
        return tried == operation && absl::StartsWith(path, backup) ? fault
                                                                    : rocksdb::IOStatus::OK();
      });
      const absl::Status status = Backup("backup").status();
      fs_->Lift();
      EXPECT_EQ(status.code(), code) << status;
      EXPECT_EQ(GetErrorInfo(status).reason, reasons.at(code)) << status;
      EXPECT_EQ(Names(), std::set<std::string>{"data"});
    }
  }
  Append(1);
  MustBackup("backup");
}

TEST_F(BackupTest, IsRefusedAtOnceWhereThereIsNoRoom) {
  Append(3);
  fs_->SetFreeSpace(10);
  ExpectError(Backup("backup").status(), absl::StatusCode::kResourceExhausted, "StorageFull");
  fs_->SetFreeSpace(0);
  MustBackup("backup");
  fs_->SetFreeSpace(10);
  ExpectError(Restore("backup", "restored").status(), absl::StatusCode::kResourceExhausted,
              "StorageFull");
  fs_->SetFreeSpace(0);
  EXPECT_EQ(Names(), (std::set<std::string>{"backup", "data"}));
}

TEST_F(BackupTest, IsGivenUpWhenItsCallerSaysSo) {
  Append(3);
  ExpectError(Backup("backup", [](const FileProgress&) { return false; }).status(),
              absl::StatusCode::kCancelled, "");
  EXPECT_EQ(Names(), std::set<std::string>{"data"});
  MustBackup("backup");
  ExpectError(Restore("backup", "restored", [](const FileProgress&) { return false; }).status(),
              absl::StatusCode::kCancelled, "");
  EXPECT_EQ(Names(), (std::set<std::string>{"backup", "data"}));
}

TEST_F(BackupTest, TellsHowFarItHasCome) {
  Append(50, 100'000);
  FileProgress last;
  const absl::StatusOr<BackupResult> result = Backup("backup", [&](const FileProgress& progress) {
    EXPECT_GE(progress.bytes_done, last.bytes_done);
    last = progress;
    return true;
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(last.bytes_total, result->bytes);
  EXPECT_EQ(last.bytes_done, result->bytes);
}

TEST_F(BackupTest, AFailedSyncOfTheLogRefusesWritesFromThenOn) {
  Append(3);
  const std::string data = dir_ / "data";
  fs_->SetFault([=](Operation tried, const std::string& path) {
    return tried == Operation::kSync && absl::StartsWith(path, data) && absl::EndsWith(path, ".log")
               ? rocksdb::IOStatus::IOError("the cable is out")
               : rocksdb::IOStatus::OK();
  });
  builder_.Append(kQueue, next_sequence_++, "m");
  ASSERT_TRUE(builder_.WriteTo(*store_).ok());
  ExpectError(Backup("backup").status(), absl::StatusCode::kUnavailable, "StoreUnavailable");
  fs_->Lift();
  ExpectError(store_->Sync(), absl::StatusCode::kUnavailable, "StoreUnavailable");
  ExpectError(Backup("backup").status(), absl::StatusCode::kUnavailable, "StoreUnavailable");
  EXPECT_EQ(Names(), std::set<std::string>{"data"});
}

TEST_F(BackupTest, ThatIsNotWholeIsNotRestored) {
  Append(3);
  MustBackup("backup");
  ExpectError(Restore("data", "restored").status(), absl::StatusCode::kInvalidArgument,
              "InvalidParameterValue", "backup_dir");
  std::filesystem::create_directory(dir_ / "full");
  std::ofstream(dir_ / "full/file") << "x";
  ExpectError(Restore("backup", "full").status(), absl::StatusCode::kAlreadyExists,
              "DirectoryNotEmpty", "data_dir");
  for (const auto& [path, content] : Contents("backup")) {
    std::filesystem::remove(path);
    absl::Status status = Restore("backup", "restored").status();
    EXPECT_FALSE(status.ok()) << path;
    std::ofstream(path, std::ios::binary) << content.substr(0, content.size() - 1);
    status = Restore("backup", "restored").status();
    ExpectError(status, absl::StatusCode::kDataLoss, "DataCorrupt");
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    std::ofstream(path, std::ios::binary) << content;
  }
  EXPECT_EQ(Names(), (std::set<std::string>{"backup", "data", "full"}));
  MustRestore("backup", "restored");
}

TEST_F(BackupTest, OfANewerVersionIsNotRestored) {
  Append(1);
  MustBackup("backup");
  std::ofstream(dir_ / "backup/BACKUP") << "backup 2\n";
  ExpectError(Restore("backup", "restored").status(), absl::StatusCode::kFailedPrecondition,
              "DataDirectoryTooNew", "version");
}

TEST(MemoryStoreBackupTest, IsRefused) {
  const absl::Status status = NewMemoryStore()->Backup("/tmp/none", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorInfo(status).reason, "UnsupportedOperation");
}

}  // namespace
}  // namespace barista::storage
