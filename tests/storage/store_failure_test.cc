// What a store does when its disk fails, is full, or holds something else than it should (I9, I10).

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/keys.h"
#include "storage/rocksdb_bare.h"
#include "storage/rocksdb_store.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/fault_fs.h"
#include "tests/storage/temp_dir.h"

namespace barista::storage {
namespace {

using ::testing::HasSubstr;
using Operation = FaultFileSystem::Operation;

constexpr uint32_t kQueue = 1;

class StoreFailureTest : public ::testing::Test {
 protected:
  StoreFailureTest()
      : fs_(std::make_shared<FaultFileSystem>()), env_(rocksdb::NewCompositeEnv(fs_)) {
    options_.dir = dir_ / "data";
    options_.env = env_.get();
    options_.ballast_bytes = 0;
    options_.memory_limit_bytes = 64 << 20;
  }

  absl::Status Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> opened = OpenRocksDbStore(options_);
    if (!opened.ok()) return opened.status();
    store_ = *std::move(opened);
    builder_.StartFrom(store_->recovery().last_commit);
    return absl::OkStatus();
  }
  void MustOpen() {
    const absl::Status status = Open();
    ASSERT_TRUE(status.ok()) << status;
  }
  // One message a commit.
  absl::Status Append(bool sync, size_t bytes = 100) {
    builder_.Append(kQueue, next_sequence_++, std::string(bytes, 'm'));
    return sync ? builder_.CommitTo(*store_) : builder_.WriteTo(*store_);
  }
  void AppendSynced(int count) {
    for (; count > 0; --count) ASSERT_TRUE(Append(/*sync=*/true).ok());
  }
  size_t Messages() {
    ScanLimits limits;
    limits.max_messages = limits.max_bytes = ~size_t{0};
    absl::StatusOr<Page> page = store_->Scan(QueueId(kQueue), Sequence(0), limits);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? page->messages.size() : 0;
  }

  static void ExpectError(const absl::Status& status, absl::StatusCode code,
                          const std::string& reason) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(GetErrorInfo(status).reason, reason) << status;
  }

  // The newest file of the database with this ending.
  std::string NewestFile(const std::string& ending) {
    std::string newest;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "data/db")) {
      const std::string path = entry.path().string();
      if (absl::EndsWith(path, ending)) newest = std::max(newest, path);
    }
    EXPECT_FALSE(newest.empty()) << ending;
    return newest;
  }
  static std::string ReadFile(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
  }
  static void WriteFile(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  static void FlipByte(const std::string& path, size_t at) {
    std::string bytes = ReadFile(path);
    ASSERT_LT(at, bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
    WriteFile(path, bytes);
  }
  // Name and content of everything but RocksDB's text log.
  std::map<std::string, std::string> Contents() {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "data")) {
      if (!entry.is_regular_file() || absl::StartsWith(entry.path().filename().string(), "LOG"))
        continue;
      contents[entry.path().string()] = ReadFile(entry.path().string());
    }
    return contents;
  }

  TempDir dir_;
  const std::shared_ptr<FaultFileSystem> fs_;
  const std::unique_ptr<rocksdb::Env> env_;
  RocksDbStoreOptions options_;
  std::unique_ptr<Store> store_;
  BatchBuilder builder_;
  uint64_t next_sequence_ = 1;
};

FaultFileSystem::Fault FailOn(Operation operation, const std::string& ending,
                              const rocksdb::IOStatus& how) {
  return [=](Operation tried, const std::string& path) {
    return tried == operation && absl::EndsWith(path, ending) ? how : rocksdb::IOStatus::OK();
  };
}

// Refusing writes.
// -----------------------------------------------------------------------------------------------------------

TEST_F(StoreFailureTest, AFailedSyncRefusesWritesUntilTheStoreIsReopened) {
  MustOpen();
  AppendSynced(3);
  fs_->SetFault(FailOn(Operation::kSync, ".log", rocksdb::IOStatus::IOError("the cable is out")));
  const absl::Status failed = Append(/*sync=*/true);
  ExpectError(failed, absl::StatusCode::kUnavailable, "StoreUnavailable");
  EXPECT_THAT(failed.message(), HasSubstr("the cable is out"));
  fs_->Lift();
  for (int i = 0; i < 3; ++i) {
    const absl::Status refused = Append(/*sync=*/false);
    ExpectError(refused, absl::StatusCode::kUnavailable, "StoreUnavailable");
    EXPECT_THAT(refused.message(), HasSubstr("the cable is out"));
    ExpectError(store_->Sync(), absl::StatusCode::kUnavailable, "StoreUnavailable");
  }
  EXPECT_GE(Messages(), 3u);  // reading goes on
  MustOpen();
  EXPECT_GE(Messages(), 3u);
  EXPECT_TRUE(Append(/*sync=*/true).ok());
}

TEST_F(StoreFailureTest, AFailedWriteRefusesWritesUntilTheStoreIsReopened) {
  MustOpen();
  AppendSynced(3);
  fs_->SetFault(FailOn(Operation::kAppend, ".log", rocksdb::IOStatus::IOError("bad sector")));
  ExpectError(Append(/*sync=*/false), absl::StatusCode::kUnavailable, "StoreUnavailable");
  fs_->Lift();
  const absl::Status refused = Append(/*sync=*/false);
  ExpectError(refused, absl::StatusCode::kUnavailable, "StoreUnavailable");
  EXPECT_THAT(refused.message(), HasSubstr("bad sector"));
  MustOpen();
  EXPECT_EQ(Messages(), 3u);
  next_sequence_ = 100;
  EXPECT_TRUE(Append(/*sync=*/true).ok());
}

TEST_F(StoreFailureTest, ADiskThatFillsUpDuringAWriteRefusesWrites) {
  MustOpen();
  AppendSynced(1);
  fs_->SetFault(FailOn(Operation::kAppend, ".log", rocksdb::IOStatus::NoSpace("0 bytes left")));
  const absl::Status failed = Append(/*sync=*/false);
  ExpectError(failed, absl::StatusCode::kUnavailable, "StoreUnavailable");
  EXPECT_THAT(failed.message(), HasSubstr("No space"));
  fs_->Lift();
  ExpectError(Append(/*sync=*/false), absl::StatusCode::kUnavailable, "StoreUnavailable");
  MustOpen();
  EXPECT_EQ(Messages(), 1u);
}

TEST_F(StoreFailureTest, AFailedFlushRefusesWrites) {
  options_.memory_limit_bytes = 4 << 20;
  MustOpen();
  AppendSynced(1);
  fs_->SetFault(FailOn(Operation::kSync, ".sst", rocksdb::IOStatus::IOError("cannot flush")));
  absl::Status status;
  // Each write brings the next flush nearer; far fewer would do.
  for (int i = 0; i < 5000 && status.ok(); ++i) status = Append(/*sync=*/false, 20000);
  ExpectError(status, absl::StatusCode::kUnavailable, "StoreUnavailable");
  EXPECT_THAT(status.message(), HasSubstr("cannot flush"));
  fs_->Lift();
  ExpectError(store_->Sync(), absl::StatusCode::kUnavailable, "StoreUnavailable");
  MustOpen();
  EXPECT_GE(Messages(), 1u);
}

// Damaged logs.
// --------------------------------------------------------------------------------------------------------------

TEST_F(StoreFailureTest, AFlippedByteInTheSyncedLogIsReportedEachTime) {
  MustOpen();
  AppendSynced(100);
  store_.reset();
  const std::string log = NewestFile(".log");
  FlipByte(log, std::filesystem::file_size(log) / 2);
  const auto before = Contents();
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = Open();
    ExpectError(status, absl::StatusCode::kDataLoss, "LogTruncated");
    EXPECT_THAT(status.message(), HasSubstr("accept_truncated_log"));
    EXPECT_THAT(status.message(), HasSubstr("to 99 "));  // the 100th is not known to be synced
    EXPECT_TRUE(Contents() == before);
  }

  options_.accept_truncated_log = true;
  MustOpen();
  const Recovery lost = store_->recovery();
  EXPECT_GT(lost.synced_commits_lost, 20u);
  EXPECT_LT(lost.synced_commits_lost, 80u);
  EXPECT_EQ(lost.unsynced_commits_dropped, 1u);
  EXPECT_EQ(lost.last_commit, 100u);
  EXPECT_EQ(Messages(), 99 - lost.synced_commits_lost);

  options_.accept_truncated_log = false;
  MustOpen();
  EXPECT_EQ(store_->recovery().synced_commits_lost, 0u);
  EXPECT_EQ(store_->recovery().last_commit, 100u);
  AppendSynced(1);
}

TEST_F(StoreFailureTest, AFlippedByteAnywhereInTheLogIsNeverSilent) {
  MustOpen();
  AppendSynced(20);
  store_.reset();
  const auto intact = Contents();
  const std::string log = NewestFile(".log");
  const size_t size = std::filesystem::file_size(log);
  for (size_t at = 0; at < size; at += 41) {
    SCOPED_TRACE(at);
    FlipByte(log, at);
    const absl::Status status = Open();
    if (status.ok()) {
      // Only the last commit may be gone, which nothing says was synced; and that is reported.
      EXPECT_GE(Messages() + store_->recovery().unsynced_commits_dropped, 20u);
      EXPECT_LE(store_->recovery().unsynced_commits_dropped, 1u);
    } else {
      ExpectError(status, absl::StatusCode::kDataLoss, "LogTruncated");
    }
    store_.reset();
    std::filesystem::remove_all(dir_ / "data");
    for (const auto& [path, bytes] : intact) {
      std::filesystem::create_directories(std::filesystem::path(path).parent_path());
      WriteFile(path, bytes);
    }
    if (HasFailure()) return;
  }
}

TEST_F(StoreFailureTest, UnsyncedCommitsThatAreLostAreCounted) {
  MustOpen();
  AppendSynced(10);
  const std::string log = NewestFile(".log");
  const size_t synced_bytes = std::filesystem::file_size(log);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Append(/*sync=*/false).ok());
  store_.reset();
  FlipByte(log, synced_bytes + 100);
  MustOpen();
  EXPECT_EQ(Messages(), 10u);
  EXPECT_EQ(store_->recovery().unsynced_commits_dropped, 5u);
  EXPECT_EQ(store_->recovery().synced_commits_lost, 0u);
  next_sequence_ = 100;
  AppendSynced(1);
  MustOpen();
  EXPECT_EQ(store_->recovery().unsynced_commits_dropped, 0u);
  EXPECT_EQ(Messages(), 11u);
}

TEST_F(StoreFailureTest, ATornTailIsNotAnError) {
  MustOpen();
  AppendSynced(10);
  ASSERT_TRUE(Append(/*sync=*/false).ok());
  store_.reset();
  const std::string log = NewestFile(".log");
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 5);
  MustOpen();
  EXPECT_EQ(Messages(), 10u);
  EXPECT_EQ(store_->recovery().unsynced_commits_dropped, 1u);
}

TEST_F(StoreFailureTest, GarbageBehindTheLogCountsAsACommitThatWasNotSynced) {
  MustOpen();
  AppendSynced(10);
  store_.reset();
  const std::string log = NewestFile(".log");
  WriteFile(log, ReadFile(log) + std::string(5000, '\x5a'));
  MustOpen();
  EXPECT_EQ(Messages(), 10u);
  EXPECT_EQ(store_->recovery().unsynced_commits_dropped, 1u);
  EXPECT_EQ(store_->recovery().last_commit, 11u);
}

// Damaged rows.
// --------------------------------------------------------------------------------------------------------------

TEST_F(StoreFailureTest, ADamagedTableFileIsReported) {
  MustOpen();
  AppendSynced(50);
  MustOpen();  // recovery puts the log into table files
  store_.reset();
  const std::string table = NewestFile(".sst");
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "data/db")) {
    if (entry.path().extension() == ".sst") FlipByte(entry.path().string(), 20);
  }
  const absl::Status status = Open();
  if (!status.ok()) {
    ExpectError(status, absl::StatusCode::kDataLoss, "DataCorrupt");
    return;
  }
  ExpectError(store_->Scan(QueueId(kQueue), Sequence(0), {}).status(), absl::StatusCode::kDataLoss,
              "DataCorrupt");
}

// A damaged key or index would make a row disappear; checksums are verified before blocks are read.
TEST_F(StoreFailureTest, NoFlippedBitOfATableFileMakesAMessageDisappear) {
  options_.ballast_bytes = 0;
  MustOpen();
  AppendSynced(40);
  MustOpen();  // recovery puts the log into table files
  store_.reset();
  std::string table;
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "data/db")) {
    const std::string path = entry.path().string();
    if (absl::EndsWith(path, ".sst") &&
        ReadFile(path).find(std::string(100, 'm')) != std::string::npos)
      table = path;
  }
  ASSERT_FALSE(table.empty());
  const std::filesystem::path data = dir_ / "data", good = dir_ / "good";
  std::filesystem::copy(data, good, std::filesystem::copy_options::recursive);
  const size_t size = std::filesystem::file_size(table);
  for (size_t at = 0; at < size; at += 211) {
    FlipByte(table, at);
    if (const absl::Status opened = Open(); opened.ok()) {
      const absl::StatusOr<Page> page = store_->Scan(QueueId(kQueue), Sequence(0), {});
      if (page.ok()) {
        EXPECT_EQ(page->messages.size(), 40u) << "byte " << at;
      } else {
        ExpectError(page.status(), absl::StatusCode::kDataLoss, "DataCorrupt");
      }
    }
    store_.reset();
    std::filesystem::remove_all(data);
    std::filesystem::copy(good, data, std::filesystem::copy_options::recursive);
  }
}

TEST_F(StoreFailureTest, AFlippedBitOfABodyIsNamedAndNeverSkipped) {
  MustOpen();
  ASSERT_TRUE(Append(/*sync=*/true).ok());
  ASSERT_TRUE(Append(/*sync=*/true, 100'000).ok());
  MustOpen();  // recovery puts the log into files, large rows into blob files
  EXPECT_EQ(Messages(), 2u);
  store_.reset();
  const std::string blobs = NewestFile(".blob");
  FlipByte(blobs, std::filesystem::file_size(blobs) / 2);
  MustOpen();
  const absl::Status status = store_->Scan(QueueId(kQueue), Sequence(0), {}).status();
  ExpectError(status, absl::StatusCode::kDataLoss, "DataCorrupt");
  EXPECT_THAT(status.message(), HasSubstr("queue 1, sequence 2"));
  ExpectError(store_->Lookup(QueueId(kQueue), Sequence(2)).status(), absl::StatusCode::kDataLoss,
              "DataCorrupt");
  EXPECT_TRUE(store_->Lookup(QueueId(kQueue), Sequence(1)).value().has_value());
}

TEST_F(StoreFailureTest, ADamagedRowIsNamedAndNeverSkipped) {
  MustOpen();
  builder_.Append(kQueue, 1, "one").Append(kQueue, 2, "two");
  ASSERT_TRUE(builder_.CommitTo(*store_).ok());
  builder_.Append(kQueue, 3, "three").Append(kQueue, 4, "four");
  ASSERT_TRUE(builder_.CommitTo(*store_).ok());
  store_.reset();
  auto replace = [&](int family, const std::string& value) {
    RocksDbStoreOptions options = options_;
    options.dir = dir_ / "data/db";
    absl::StatusOr<std::unique_ptr<BareRocksDb>> bare = OpenBareRocksDb(options);
    ASSERT_TRUE(bare.ok()) << bare.status();
    const Key key = Key::Message(QueueId(kQueue), Sequence(3));
    ASSERT_TRUE((*bare)
                    ->db
                    ->Put(rocksdb::WriteOptions(), (*bare)->families[static_cast<size_t>(family)],
                          rocksdb::Slice(key.view().data(), key.view().size()), value)
                    .ok());
  };
  replace(2, std::string("\x01\x02short", 7));
  MustOpen();
  absl::Status status = store_->Scan(QueueId(kQueue), Sequence(0), {}).status();
  ExpectError(status, absl::StatusCode::kDataLoss, "DataCorrupt");
  EXPECT_THAT(status.message(), HasSubstr("queue 1, sequence 3"));
  ExpectError(store_->Lookup(QueueId(kQueue), Sequence(4)).status(), absl::StatusCode::kDataLoss,
              "DataCorrupt");
  EXPECT_TRUE(store_->Lookup(QueueId(kQueue), Sequence(2)).value().has_value());
  store_.reset();
  replace(1, std::string("\x02\x01", 2));
  MustOpen();
  status = store_->FirstLive(QueueId(kQueue), Sequence(3)).status();
  ExpectError(status, absl::StatusCode::kDataLoss, "DataCorrupt");
  EXPECT_THAT(status.message(), HasSubstr("queue 1, sequence 3"));
}

// Directories.
// ---------------------------------------------------------------------------------------------------------------

TEST_F(StoreFailureTest, ADirectoryOfANewerVersionIsRefused) {
  MustOpen();
  AppendSynced(1);
  store_.reset();
  const std::string version = ReadFile(dir_ / "data/VERSION");
  WriteFile(dir_ / "data/VERSION", "format 2\n" + version.substr(version.find('\n') + 1));
  const absl::Status status = Open();
  ExpectError(status, absl::StatusCode::kFailedPrecondition, "DataDirectoryTooNew");
  EXPECT_THAT(status.message(), HasSubstr("version 2"));
  EXPECT_THAT(status.message(), HasSubstr("up to 1"));
  EXPECT_THAT(status.message(), HasSubstr(dir_ / "data"));
  WriteFile(dir_ / "data/VERSION", version);
  MustOpen();
  EXPECT_EQ(Messages(), 1u);
}

TEST_F(StoreFailureTest, ADamagedVersionFileIsReported) {
  MustOpen();
  AppendSynced(1);
  store_.reset();
  const std::string version = ReadFile(dir_ / "data/VERSION");
  for (const std::string& damaged :
       {std::string(), std::string("hello\n"), std::string("format 0\n"), std::string("format 1\n"),
        version.substr(0, version.size() - 2),
        std::string("format 1\nid ") + std::string(32, 'x') + "\n"}) {
    WriteFile(dir_ / "data/VERSION", damaged);
    ExpectError(Open(), absl::StatusCode::kDataLoss, "DataCorrupt");
  }
  std::filesystem::remove(dir_ / "data/VERSION");
  ExpectError(Open(), absl::StatusCode::kDataLoss, "DataCorrupt");
  WriteFile(dir_ / "data/VERSION",
            "format 1\nid " + std::string(32, 'a') + "\n");  // another store's
  ExpectError(Open(), absl::StatusCode::kDataLoss, "DataCorrupt");
  WriteFile(dir_ / "data/VERSION", version);
  MustOpen();
}

TEST_F(StoreFailureTest, ADirectoryIsOpenOnce) {
  MustOpen();
  AppendSynced(1);
  const absl::Status status = OpenRocksDbStore(options_).status();
  ExpectError(status, absl::StatusCode::kFailedPrecondition, "DataDirectoryInUse");
  EXPECT_THAT(status.message(), HasSubstr(dir_ / "data"));
  AppendSynced(1);
  store_.reset();
  MustOpen();
  EXPECT_EQ(Messages(), 2u);
}

TEST_F(StoreFailureTest, TwoStoresLiveSideBySide) {
  MustOpen();
  RocksDbStoreOptions other = options_;
  other.dir = dir_ / "other/below/that";
  absl::StatusOr<std::unique_ptr<Store>> second = OpenRocksDbStore(other);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE((*second)->secret(), store_->secret());
}

TEST_F(StoreFailureTest, APathThatCannotBeADirectoryIsRefused) {
  WriteFile(dir_ / "file", "not a directory");
  options_.dir = dir_ / "file";
  absl::Status status = Open();
  ExpectError(status, absl::StatusCode::kPermissionDenied, "DataDirectoryNotWritable");
  EXPECT_THAT(status.message(), HasSubstr(dir_ / "file"));
  options_.dir = dir_ / "file/below";
  status = Open();
  ExpectError(status, absl::StatusCode::kPermissionDenied, "DataDirectoryNotWritable");
  EXPECT_THAT(status.message(), HasSubstr(dir_ / "file/below"));
}

TEST_F(StoreFailureTest, AReadOnlyDirectoryIsRefused) {
  const auto read_only = [](Operation, const std::string& path) {
    return rocksdb::IOStatus::IOError("While open a file for lock: " + path,
                                      "Read-only file system");
  };
  fs_->SetFault(read_only);  // a new directory
  ExpectError(Open(), absl::StatusCode::kPermissionDenied, "DataDirectoryNotWritable");
  fs_->Lift();
  MustOpen();
  store_.reset();
  fs_->SetFault(read_only);  // one that exists
  const absl::Status status = Open();
  ExpectError(status, absl::StatusCode::kPermissionDenied, "DataDirectoryNotWritable");
  EXPECT_THAT(status.message(), HasSubstr(dir_ / "data"));
  EXPECT_THAT(status.message(), HasSubstr("Read-only file system"));
}

TEST_F(StoreFailureTest, ALogThatCannotBeReadIsNotTakenForAMissingOne) {
  MustOpen();
  AppendSynced(1);
  store_.reset();
  const std::string log = dir_ / "data/db/999999.log";
  std::filesystem::create_directory(log);
  const absl::Status status = Open();
  ExpectError(status, absl::StatusCode::kUnavailable, "StoreUnavailable");
  EXPECT_THAT(status.message(), HasSubstr(log));
  std::filesystem::remove(log);
  MustOpen();
  EXPECT_EQ(Messages(), 1u);
}

TEST_F(StoreFailureTest, ALockThatCannotBeTakenIsNotTakenForAnotherBroker) {
  fs_->SetFault([](Operation operation, const std::string& path) {
    return operation == Operation::kLock
               ? rocksdb::IOStatus::IOError("While lock file: " + path, "No locks available")
               : rocksdb::IOStatus::OK();
  });
  ExpectError(Open(), absl::StatusCode::kUnavailable, "StoreUnavailable");
}

TEST_F(StoreFailureTest, ADatabaseThatCannotBeWrittenIsRefused) {
  MustOpen();
  AppendSynced(1);
  store_.reset();
  fs_->SetFault([](Operation operation, const std::string& path) {
    return operation == Operation::kCreate && !absl::EndsWith(path, "/db")
               ? rocksdb::IOStatus::IOError("Permission denied")
               : rocksdb::IOStatus::OK();
  });
  ExpectError(Open(), absl::StatusCode::kPermissionDenied, "DataDirectoryNotWritable");
  fs_->Lift();
  MustOpen();
  EXPECT_EQ(Messages(), 1u);
}

// Space.
// ---------------------------------------------------------------------------------------------------------------------

TEST_F(StoreFailureTest, AFullDiskAtOpenIsReported) {
  const auto full = [](Operation operation, const std::string&) {
    return operation == Operation::kAppend ? rocksdb::IOStatus::NoSpace("disk full")
                                           : rocksdb::IOStatus::OK();
  };
  fs_->SetFault(full);
  absl::Status status = Open();
  ExpectError(status, absl::StatusCode::kResourceExhausted, "StorageFull");
  EXPECT_THAT(status.message(), HasSubstr(dir_ / "data"));
  fs_->Lift();
  MustOpen();
  AppendSynced(2);
  store_.reset();
  fs_->SetFault(full);
  ExpectError(Open(), absl::StatusCode::kResourceExhausted, "StorageFull");
  fs_->Lift();
  MustOpen();
  EXPECT_EQ(Messages(), 2u);
}

TEST_F(StoreFailureTest, TheBallastMakesRoomToOpenOnAFullDisk) {
  options_.ballast_bytes = 1 << 20;
  MustOpen();
  AppendSynced(2);
  store_.reset();
  const std::string ballast = dir_ / "data/ballast";
  ASSERT_EQ(std::filesystem::file_size(ballast), 1u << 20);
  fs_->SetFault([=](Operation operation, const std::string&) {
    return operation == Operation::kAppend && std::filesystem::exists(ballast)
               ? rocksdb::IOStatus::NoSpace("disk full")
               : rocksdb::IOStatus::OK();
  });
  MustOpen();
  EXPECT_EQ(Messages(), 2u);
}

TEST_F(StoreFailureTest, TheBallastIsReleasedAndTakenAgain) {
  options_.ballast_bytes = 1 << 20;
  MustOpen();
  const std::string ballast = dir_ / "data/ballast";
  EXPECT_EQ(std::filesystem::file_size(ballast), 1u << 20);
  store_->ReleaseBallast();
  EXPECT_FALSE(std::filesystem::exists(ballast));
  store_->RestoreBallast();
  EXPECT_EQ(std::filesystem::file_size(ballast), 1u << 20);
  options_.ballast_bytes = 0;
  MustOpen();
  EXPECT_FALSE(std::filesystem::exists(ballast));
}

TEST_F(StoreFailureTest, FreeSpaceIsThatOfTheFileSystem) {
  MustOpen();
  EXPECT_GT(store_->FreeSpace(), 0);
  fs_->SetFreeSpace(12345);
  EXPECT_EQ(store_->FreeSpace(), 12345);
}

TEST_F(StoreFailureTest, PurgedSpaceIsGivenBack) {
  options_.memory_limit_bytes = 32 << 20;
  MustOpen();
  constexpr uint64_t kMessages = 48;
  for (uint64_t i = 0; i < kMessages; ++i) ASSERT_TRUE(Append(/*sync=*/false, 1 << 20).ok());
  builder_.Append(kQueue + 1, 1, "stays");
  ASSERT_TRUE(builder_.CommitTo(*store_).ok());
  MustOpen();
  const uint64_t full = store_->Stats().disk_bytes;
  EXPECT_GT(full, kMessages << 20);
  builder_.Purge(kQueue, kMessages + 1).Append(kQueue, kMessages + 1, "after");
  ASSERT_TRUE(builder_.CommitTo(*store_).ok());
  store_->Reclaim();
  EXPECT_EQ(Messages(), 1u);
  // RocksDB removes files a little later.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (store_->Stats().disk_bytes > full / 4 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_LT(store_->Stats().disk_bytes, full / 4);
  MustOpen();
  EXPECT_EQ(Messages(), 1u);
  EXPECT_TRUE(store_->Lookup(QueueId(kQueue + 1), Sequence(1)).value().has_value());
}

}  // namespace
}  // namespace barista::storage
