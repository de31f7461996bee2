// What verification finds in sound and in damaged directories, and that it changes nothing in them.

#include "storage/verify.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "barista/error.h"
#include "broker/message/message_record.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/keys.h"
#include "storage/meta_rows.h"
#include "storage/rocksdb_bare.h"
#include "storage/rocksdb_families.h"
#include "storage/rocksdb_store.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/temp_dir.h"

namespace barista {

void PrintTo(const VerifyReport::Problem& problem, std::ostream* out) {
  *out << problem.file << " " << problem.family << " " << problem.queue << " " << problem.sequence
       << ": " << problem.message;
}

}  // namespace barista

namespace barista::storage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Problem = VerifyReport::Problem;

constexpr uint32_t kQueue = 7;

std::string Record(size_t body_bytes) {
  const std::string body(body_bytes, 'm');
  internal::MessageRecord record;
  record.sent_ms = 1'700'000'000'000;
  record.body = body;
  std::string bytes(internal::EncodedBytes(record), '\0');
  internal::EncodeRecord(record, bytes.data());
  return bytes;
}

// A definition is the queue's name here.
absl::StatusOr<std::string> ReadDefinition(QueueId, absl::string_view definition) {
  if (definition == "broken") return absl::DataLossError("no name");
  return std::string(definition);
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    options_.dir = dir_ / "data";
    options_.memory_limit_bytes = 64 << 20;
    options_.ballast_bytes = 0;
  }

  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store = OpenRocksDbStore(options_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    builder_.StartFrom(store_->recovery().last_commit);
  }
  // Makes everything a table or a blob.
  void OpenAgain() {
    Open();
    store_.reset();
  }
  void Define(uint32_t queue, const std::string& name) {
    builder_.PutDefinition(queue, name).PutCounters(queue, counters_[queue]);
    ASSERT_TRUE(builder_.CommitTo(*store_).ok());
  }
  // So many messages, one a commit, counted.
  void Append(uint32_t queue, int count, size_t body_bytes) {
    QueueCounters& counters = counters_[queue];
    for (; count > 0; --count) {
      builder_.Append(queue, counters.next_sequence++, Record(body_bytes));
      ++counters.enqueued;
      builder_.PutCounters(queue, counters);
      ASSERT_TRUE(builder_.CommitTo(*store_).ok());
    }
  }
  void Ack(uint32_t queue, uint64_t sequence) {
    ++counters_[queue].deleted;
    builder_.Ack(queue, sequence).PutCounters(queue, counters_[queue]);
    ASSERT_TRUE(builder_.CommitTo(*store_).ok());
  }
  // A queue with messages of both kinds, leases, delayed messages and gaps.
  void Fill() {
    Open();
    Define(kQueue, "orders");
    Define(kQueue + 1, "empty");
    Append(kQueue, 20, 100);
    Append(kQueue, 20, 10'000);
    QueueCounters& counters = counters_[kQueue];
    for (int i = 0; i < 10; ++i) {  // a run of ten
      builder_.Append(kQueue, counters.next_sequence++, Record(50));
      ++counters.enqueued;
    }
    builder_.PutDelayed(kQueue, 1'800'000'000'000, 1, Record(200));
    ++counters.enqueued;
    ++counters.delayed;
    builder_.PutExpiry(kQueue, Batch::ExpiryKind::kDeadline, 1'900'000'000'000, 5);
    builder_.PutCounters(kQueue, counters);
    ASSERT_TRUE(builder_.CommitTo(*store_).ok());
    builder_.SetLease(kQueue, 2, {1'800'000'000'000, 1'700'000'000'000, 1, 1});
    builder_.SetLease(kQueue, 45, {1'800'000'000'000, 1'700'000'000'000, 3, 1});
    ASSERT_TRUE(builder_.CommitTo(*store_).ok());
    Ack(kQueue, 10);
    Ack(kQueue, 43);
  }
  static constexpr int kMessages = 48;

  VerifyReport Verify(const std::string& name = "data") {
    const absl::StatusOr<VerifyReport> report =
        VerifyDataDirectory(dir_ / name, ReadDefinition, {}, nullptr);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : VerifyReport();
  }
  absl::Status VerifyError(const std::string& name) {
    return VerifyDataDirectory(dir_ / name, ReadDefinition, {}, nullptr).status();
  }
  // The database itself, to put rows into it.
  void WithDatabase(const std::function<void(rocksdb::DB*, const Families&)>& change) {
    store_.reset();
    RocksDbStoreOptions options = options_;
    options.dir += "/db";
    absl::StatusOr<std::unique_ptr<BareRocksDb>> bare = OpenBareRocksDb(options);
    ASSERT_TRUE(bare.ok()) << bare.status();
    change((*bare)->db, (*bare)->families);
  }
  void PutRow(Family family, absl::string_view key, absl::string_view value) {
    WithDatabase([&](rocksdb::DB* db, const Families& families) {
      ASSERT_TRUE(db->Put(rocksdb::WriteOptions(), HandleOf(families, family),
                          rocksdb::Slice(key.data(), key.size()),
                          rocksdb::Slice(value.data(), value.size()))
                      .ok());
    });
  }

  std::vector<std::string> FilesWith(const std::string& ending) {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "data/db")) {
      if (absl::EndsWith(entry.path().string(), ending)) paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
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
  std::string NameIn(const std::string& path) {
    return std::string(absl::StripPrefix(path, absl::StrCat(dir_ / "data", "/")));
  }
  std::map<std::string, std::string> Contents() {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path()))
      if (entry.is_regular_file())
        contents[entry.path().string()] = ReadFile(entry.path().string());
    return contents;
  }
  // Verifies with one byte of the file flipped, for `flips` places spread over it; `expected` holds
  // for some problem of each.
  void ExpectEachFlipFound(const std::string& path, size_t flips,
                           const ::testing::Matcher<const Problem&>& expected) {
    const std::string bytes = ReadFile(path);
    ASSERT_FALSE(bytes.empty());
    for (size_t i = 0; i < flips; ++i) {
      std::string flipped = bytes;
      const size_t at = bytes.size() * (2 * i + 1) / (2 * flips);
      flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
      WriteFile(path, flipped);
      EXPECT_THAT(Verify().problems, ::testing::Contains(expected)) << path << ", byte " << at;
    }
    WriteFile(path, bytes);
  }

  TempDir dir_;
  RocksDbStoreOptions options_;
  std::unique_ptr<Store> store_;
  BatchBuilder builder_;
  std::map<uint32_t, QueueCounters> counters_;
};

MATCHER_P(IsQueue, name, "") { return arg.name == name; }

TEST_F(VerifyTest, ASoundDirectoryIsCountedAndLeftAsItIs) {
  Fill();
  store_.reset();
  for (const bool log_is_gone : {false, true}) {
    if (log_is_gone) OpenAgain();
    const auto before = Contents();
    const VerifyReport report = Verify();
    EXPECT_EQ(Contents(), before);
    EXPECT_THAT(report.problems, IsEmpty());
    EXPECT_TRUE(report.sound());
    EXPECT_FALSE(report.is_backup);
    ASSERT_THAT(report.queues, ElementsAre(IsQueue("orders"), IsQueue("empty")));
    EXPECT_EQ(report.queues[0].messages, kMessages);
    EXPECT_EQ(report.queues[0].delayed, 1);
    EXPECT_GT(report.queues[0].bytes, 200'000);
    EXPECT_EQ(report.queues[1].messages, 0);
    std::map<std::string, int64_t> rows;
    for (const VerifyReport::Family& family : report.families) rows[family.name] = family.rows;
    EXPECT_EQ(rows, (std::map<std::string, int64_t>{{"default", 7},
                                                    {"messages", 40},
                                                    {"state", 2},
                                                    {"delayed", 1},
                                                    {"expiry", 1},
                                                    {"dedup", 0},
                                                    {"shared", 0},
                                                    {"body", 0}}));
  }
}

TEST_F(VerifyTest, ABackupIsVerifiedTooAndLeftAsItIs) {
  Fill();
  ASSERT_TRUE(store_->Backup(dir_ / "backup", {}).ok());
  store_.reset();
  const auto before = Contents();
  const VerifyReport report = Verify("backup");
  EXPECT_EQ(Contents(), before);
  EXPECT_TRUE(report.sound());
  EXPECT_TRUE(report.is_backup);
  EXPECT_EQ(report.queues.at(0).messages, kMessages);
  std::filesystem::remove(dir_ / "backup/db/CURRENT");
  const VerifyReport damaged = Verify("backup");
  ASSERT_EQ(damaged.problems.size(), 1u);
  EXPECT_THAT(damaged.problems[0].message, HasSubstr("CURRENT is missing"));
}

TEST_F(VerifyTest, WhatIsNoDataDirectoryOrIsInUseIsRefused) {
  Fill();
  const absl::Status in_use = VerifyError("data");
  EXPECT_EQ(GetErrorInfo(in_use).reason, "DataDirectoryInUse") << in_use;
  const absl::Status none = VerifyError("none");
  EXPECT_EQ(GetErrorInfo(none).reason, "InvalidParameterValue") << none;
  EXPECT_FALSE(std::filesystem::exists(dir_ / "none"));
  store_.reset();
  WriteFile(dir_ / "data/VERSION", "format 99\nid 00112233445566778899aabbccddeeff\n");
  const absl::Status newer = VerifyError("data");
  EXPECT_EQ(GetErrorInfo(newer).reason, "DataDirectoryTooNew") << newer;
}

TEST_F(VerifyTest, AFlippedByteAnywhereInATableIsFound) {
  Fill();
  OpenAgain();
  const std::vector<std::string> tables = FilesWith(".sst");
  ASSERT_FALSE(tables.empty());
  for (const std::string& table : tables) {
    ExpectEachFlipFound(table, 8, Field(&Problem::file, NameIn(table)));
  }
  EXPECT_THAT(Verify().problems, IsEmpty());
}

TEST_F(VerifyTest, AFlippedByteAnywhereInABlobFileIsFound) {
  Fill();
  OpenAgain();
  const std::vector<std::string> blobs = FilesWith(".blob");
  ASSERT_FALSE(blobs.empty());
  for (const std::string& blob : blobs) {
    ExpectEachFlipFound(blob, 30, Field(&Problem::file, NameIn(blob)));
    // The ends too, where the frame is.
    const std::string bytes = ReadFile(blob);
    for (const size_t at : {size_t{0}, size_t{20}, bytes.size() - 20, bytes.size() - 1}) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ 1);
      WriteFile(blob, flipped);
      EXPECT_FALSE(Verify().sound()) << at;
      WriteFile(blob, bytes);
    }
    WriteFile(blob, bytes.substr(0, bytes.size() - 1));
    EXPECT_FALSE(Verify().sound());
    WriteFile(blob, bytes);
  }
  EXPECT_THAT(Verify().problems, IsEmpty());
}

TEST_F(VerifyTest, ADamagedBodyIsNamedByQueueAndSequenceAndTheOthersAreRead) {
  Fill();
  OpenAgain();
  const std::string blob = FilesWith(".blob").at(0);
  std::string bytes = ReadFile(blob);
  // A header, and three records of {header, key, run of one} before the fourth: sequence 24.
  const size_t record = 32 + 14 + 8 + Record(10'000).size();
  bytes[30 + 3 * record + 1000] = 'x';
  WriteFile(blob, bytes);
  const VerifyReport report = Verify();
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0].queue, "orders");
  EXPECT_EQ(report.problems[0].sequence, 24u);
  EXPECT_EQ(report.problems[0].family, "messages");
  EXPECT_EQ(report.problems[0].file, NameIn(blob));
  EXPECT_EQ(report.queues.at(0).messages, kMessages - 1);
}

TEST_F(VerifyTest, AFlippedByteAnywhereInTheLogIsFound) {
  Fill();
  store_.reset();
  const std::vector<std::string> logs = FilesWith(".log");
  ASSERT_EQ(logs.size(), 1u);
  ExpectEachFlipFound(logs[0], 40,
                      AllOf(Field(&Problem::file, NameIn(logs[0])),
                            Field(&Problem::message, HasSubstr("is damaged"))));
  EXPECT_THAT(Verify().problems, IsEmpty());
}

TEST_F(VerifyTest, LostCommitsOfTheLogAreCounted) {
  Fill();
  store_.reset();
  const std::string log = FilesWith(".log").at(0);
  std::string bytes = ReadFile(log);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteFile(log, bytes);
  EXPECT_THAT(Verify().problems,
              ::testing::Contains(Field(&Problem::message, HasSubstr("had been synced"))));
  // The last commit torn in the middle: nobody knows that it was synced.
  WriteFile(
      log, ReadFile(log).substr(0, 0) + [&] {
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
        return bytes.substr(0, bytes.size() - 10);
      }());
  EXPECT_THAT(Verify().problems,
              ::testing::Contains(Field(&Problem::message, HasSubstr("power failure"))));
}

TEST_F(VerifyTest, MissingFilesAreFound) {
  Fill();
  OpenAgain();
  for (const char* ending : {".sst", ".blob", "CURRENT"}) {
    const std::string path = FilesWith(ending).at(0);
    const std::string bytes = ReadFile(path);
    std::filesystem::remove(path);
    EXPECT_THAT(Verify().problems, Not(IsEmpty())) << path;
    WriteFile(path, bytes);
  }
  EXPECT_THAT(Verify().problems, IsEmpty());
}

TEST_F(VerifyTest, ADirectoryOfAnotherDatabaseIsFound) {
  Fill();
  store_.reset();
  WriteFile(dir_ / "data/VERSION", "format 1\nid 00112233445566778899aabbccddeeff\n");
  EXPECT_THAT(Verify().problems,
              ::testing::Contains(Field(&Problem::message, HasSubstr("of another database"))));
}

// Rows that make no sense, under checksums that are right.

TEST_F(VerifyTest, CountsThatDoNotAgreeAreFound) {
  Fill();
  QueueCounters counters = counters_[kQueue];
  const auto put = [&] {
    const auto row = EncodeCounters(counters);
    PutRow(Family::kMeta, Key::Counters(QueueId(kQueue)),
           absl::string_view(row.data(), row.size()));
  };
  const auto problem = [](const std::string& family, const std::string& text) {
    return AllOf(Field(&Problem::family, family), Field(&Problem::queue, "orders"),
                 Field(&Problem::message, HasSubstr(text)));
  };
  counters.deleted -= 1;
  put();
  EXPECT_THAT(Verify().problems,
              ElementsAre(problem("messages", "counts 50 messages; there are 49")));
  counters = counters_[kQueue];
  counters.delayed += 1;
  put();
  EXPECT_THAT(Verify().problems,
              ElementsAre(problem("delayed", "counts 2 delayed messages; there are 1")));
  counters = counters_[kQueue];
  counters.low_watermark = 2;
  put();
  EXPECT_THAT(Verify().problems, ElementsAre(problem("messages", "nothing below 2")));
  counters = counters_[kQueue];
  counters.next_sequence = 50;
  put();
  EXPECT_THAT(Verify().problems, ElementsAre(problem("messages", "next sequence is 50")));
  counters = counters_[kQueue];
  put();
  EXPECT_THAT(Verify().problems, IsEmpty());
}

TEST_F(VerifyTest, RowsThatCannotBeDecodedAreFound) {
  Fill();
  const struct {
    Family family;
    std::string key;
    std::string value;
    uint64_t sequence;
  } rows[] = {
      {Family::kMessages, std::string(Key::Message(QueueId(kQueue), Sequence(3)).view()), "x", 3},
      {Family::kState, std::string(Key::Message(QueueId(kQueue), Sequence(4)).view()), "x", 4},
      {Family::kState, std::string(Key::Message(QueueId(kQueue), Sequence(999)).view()), "x", 999},
      {Family::kDelayed, std::string(Key::Delayed(QueueId(kQueue), 5, 6).view()), "x", 0},
      {Family::kExpiry,
       std::string(Key::Expiry(QueueId(kQueue), Batch::ExpiryKind::kSent, 5, Sequence(6)).view()),
       "x", 6},
      {Family::kMeta, std::string(Key::Definition(QueueId(kQueue)).view()),
       "\x01"
       "broken",
       0},
      {Family::kMeta, std::string(Key::Counters(QueueId(kQueue)).view()), "x", 0},
      {Family::kMessages, std::string(Key::Message(QueueId(99), Sequence(3)).view()), "x", 3},
  };
  for (const auto& row : rows) {
    const std::string copy = dir_ / "copy";
    store_.reset();
    std::filesystem::copy(dir_ / "data", copy, std::filesystem::copy_options::recursive);
    PutRow(row.family, row.key, row.value);
    EXPECT_THAT(
        Verify().problems,
        ::testing::Contains(
            AllOf(Field(&Problem::family, kFamilyNames[static_cast<size_t>(row.family)]),
                  Field(&Problem::sequence, row.sequence), Field(&Problem::queue, Not(IsEmpty())))))
        << absl::CHexEscape(row.key);
    std::filesystem::remove_all(dir_ / "data");
    std::filesystem::rename(copy, dir_ / "data");
  }
  EXPECT_THAT(Verify().problems, IsEmpty());
}

TEST_F(VerifyTest, ProblemsBeyondTheLimitAreCounted) {
  Fill();
  WithDatabase([&](rocksdb::DB* db, const Families& families) {
    for (uint64_t i = 0; i <= VerifyReport::kMaxProblems; ++i) {
      const Key key = Key::Delayed(QueueId(kQueue), 5, i);
      ASSERT_TRUE(db->Put(rocksdb::WriteOptions(), HandleOf(families, Family::kDelayed),
                          rocksdb::Slice(key.view().data(), key.view().size()), "x")
                      .ok());
    }
  });
  const VerifyReport report = Verify();
  EXPECT_EQ(report.problems.size(), VerifyReport::kMaxProblems);
  EXPECT_EQ(report.problems_omitted, 1 + 2);  // and the counts of both kinds
}

TEST_F(VerifyTest, TellsHowFarItHasComeAndIsGivenUp) {
  Fill();
  store_.reset();
  FileProgress last;
  int calls = 0;
  const auto progress = [&](const FileProgress& done) {
    EXPECT_GE(done.bytes_done, last.bytes_done);
    EXPECT_LE(done.bytes_done, done.bytes_total);
    last = done;
    return ++calls < 2;
  };
  const absl::Status status =
      VerifyDataDirectory(dir_ / "data", ReadDefinition, progress, nullptr).status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace barista::storage
