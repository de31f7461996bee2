#include "storage/log_scan.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "broker/base/codec.h"
#include "gtest/gtest.h"
#include "storage/crc32c.h"

namespace barista::storage {
namespace {

constexpr char kStoreId[] = "0123456789abcdef";

TEST(Crc32cTest, MatchesTheStandard) {
  // RFC 3720, B.4.
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending.push_back(c);
  for (auto crc : {&Crc32c, &PortableCrc32c}) {
    EXPECT_EQ(crc(std::string(32, '\0'), 0), 0x8a9136aau);
    EXPECT_EQ(crc(std::string(32, '\xff'), 0), 0x62a8ab43u);
    EXPECT_EQ(crc(ascending, 0), 0x46dd794eu);
    EXPECT_EQ(crc("123456789", 0), 0xe3069283u);
    EXPECT_EQ(crc("6789", crc("12345", 0)), 0xe3069283u);
  }
}

// Writes a log as RocksDB lays it out.
class LogWriter {
 public:
  // One record with a marker at its head. Returns the file offset behind it.
  size_t Commit(uint64_t commit, uint64_t last_synced, size_t payload_bytes = 20) {
    const auto marker = EncodeCommitMarker(kStoreId, {commit, last_synced});
    std::string record(12, 'h');
    record.append(marker.data(), marker.size());
    record.append(payload_bytes, 'p');
    return Record(record);
  }
  size_t Record(absl::string_view record) {
    bool first = true;
    do {
      size_t left = LogScanner::kBlockBytes - bytes_.size() % LogScanner::kBlockBytes;
      if (left < 7) {
        bytes_.append(left, '\0');
        left = LogScanner::kBlockBytes;
      }
      const size_t size = std::min(record.size(), left - 7);
      const bool last = size == record.size();
      std::string fragment(1, static_cast<char>(first ? (last ? 1 : 2) : (last ? 4 : 3)));
      fragment.append(record.data(), size);
      const uint32_t crc = Crc32c(fragment);
      AppendLittle<uint32_t>(((crc >> 15) | (crc << 17)) + 0xa282ead8u, &bytes_);
      AppendLittle<uint16_t>(static_cast<uint16_t>(size), &bytes_);
      bytes_ += fragment;
      record.remove_prefix(size);
      first = false;
    } while (!record.empty());
    return bytes_.size();
  }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

LogScanner ScanFiles(const std::vector<std::string>& files) {
  LogScanner scanner(kStoreId);
  for (const std::string& file : files) {
    scanner.BeginFile();
    for (size_t at = 0; at < file.size(); at += LogScanner::kBlockBytes) {
      scanner.AddBlock(absl::string_view(file).substr(at, LogScanner::kBlockBytes));
    }
    scanner.EndFile();
  }
  return scanner;
}

TEST(LogScanTest, AnEmptyLogIsIntact) {
  for (const auto& files : {std::vector<std::string>{}, std::vector<std::string>{"", ""}}) {
    const LogScanner scan = ScanFiles(files);
    EXPECT_FALSE(scan.damaged());
    EXPECT_EQ(scan.newest_intact_commit(), std::nullopt);
    EXPECT_FALSE(scan.may_lose_synced());
  }
}

TEST(LogScanTest, FindsEveryMarkerOfAnIntactLog) {
  // Record sizes around the block size put markers across borders in every way.
  for (size_t payload = 32600; payload < 32800; ++payload) {
    LogWriter log;
    for (uint64_t commit = 1; commit <= 4; ++commit) log.Commit(commit, commit - 1, payload);
    const LogScanner scan = ScanFiles({log.bytes()});
    ASSERT_FALSE(scan.damaged()) << payload;
    ASSERT_EQ(scan.newest_intact_commit(), 4u) << payload;
    ASSERT_EQ(scan.newest_commit(), 4u) << payload;
    ASSERT_EQ(scan.newest_synced_commit(), 3u) << payload;
  }
}

TEST(LogScanTest, TheSmallestRecordsMayEndAnywhereInABlock) {
  LogWriter log;
  for (uint64_t commit = 1; commit <= 3000; ++commit) log.Commit(commit, 0, commit % 50);
  const LogScanner scan = ScanFiles({log.bytes()});
  EXPECT_FALSE(scan.damaged());
  EXPECT_EQ(scan.newest_intact_commit(), 3000u);
}

TEST(LogScanTest, ATornTailIsDamageThatLosesNothingSynced) {
  LogWriter log;
  log.Commit(1, 0);
  const size_t intact = log.Commit(2, 1, 40000);
  log.Commit(3, 2, 40000);
  for (size_t size = intact + 1; size < log.bytes().size(); size += 97) {
    const LogScanner scan = ScanFiles({log.bytes().substr(0, size)});
    ASSERT_TRUE(scan.damaged()) << size;
    ASSERT_EQ(scan.newest_intact_commit(), 2u) << size;
    ASSERT_FALSE(scan.may_lose_synced()) << size;
    ASSERT_EQ(scan.newest_commit(), size < intact + 7 + 12 + kCommitMarkerBytes ? 2u : 3u) << size;
  }
}

TEST(LogScanTest, AnyFlippedBitIsDamage) {
  LogWriter log;
  for (uint64_t commit = 1; commit <= 10; ++commit) log.Commit(commit, commit - 1, 3);
  std::mt19937 random(1);
  for (size_t at = 0; at < log.bytes().size(); ++at) {
    std::string flipped = log.bytes();
    flipped[at] = static_cast<char>(flipped[at] ^ (1u << random() % 8));
    ASSERT_TRUE(ScanFiles({flipped}).damaged()) << at;
  }
}

TEST(LogScanTest, DamageInTheMiddleMayLoseSyncedCommits) {
  LogWriter log;
  log.Commit(1, 0);
  const size_t second = log.Commit(2, 1);
  log.Commit(3, 2);
  for (uint64_t commit = 4; commit <= 2000; ++commit) log.Commit(commit, commit - 1);
  log.bytes()[second + 30] ^= 1;
  const LogScanner scan = ScanFiles({log.bytes()});
  EXPECT_EQ(scan.newest_intact_commit(), 2u);
  EXPECT_EQ(scan.newest_synced_commit(), 1999u);
  EXPECT_EQ(scan.newest_commit(), 2000u);
  EXPECT_TRUE(scan.may_lose_synced());
}

TEST(LogScanTest, CommitsMissingBetweenFilesAreDamage) {
  LogWriter first;
  first.Commit(1, 0);
  LogWriter second;
  second.Commit(2, 1);
  LogWriter third;
  third.Commit(3, 2);
  third.Commit(3, 3);  // an opening repeats the newest number
  third.Commit(4, 3);
  EXPECT_FALSE(ScanFiles({first.bytes(), second.bytes(), third.bytes()}).damaged());
  const LogScanner scan = ScanFiles({first.bytes(), third.bytes()});
  EXPECT_TRUE(scan.damaged());
  EXPECT_TRUE(scan.may_lose_synced());
}

TEST(LogScanTest, MarkersOfOtherStoresDoNotCount) {
  LogWriter log;
  const auto foreign = EncodeCommitMarker("fedcba9876543210", {99, 98});
  log.Record(absl::string_view(foreign.data(), foreign.size()));
  const LogScanner scan = ScanFiles({log.bytes()});
  EXPECT_FALSE(scan.damaged());
  EXPECT_EQ(scan.newest_commit(), 0u);
}

TEST(LogScannerTest, KnowsWhereTheLastWholeRecordEnds) {
  LogWriter log;
  std::vector<size_t> ends = {0};
  for (uint64_t commit = 1; commit <= 4; ++commit) {
    ends.push_back(log.Commit(commit, commit - 1, commit == 3 ? 70'000 : 20));
  }
  for (size_t cut = 0; cut <= log.bytes().size(); cut += cut < 300 ? 1 : 997) {
    const size_t end = *std::prev(std::upper_bound(ends.begin(), ends.end(), cut));
    EXPECT_EQ(ScanFiles({log.bytes().substr(0, cut)}).intact_bytes(), end) << cut;
  }
  // Each file counts from its own beginning.
  EXPECT_EQ(ScanFiles({log.bytes(), ""}).intact_bytes(), 0u);
}

}  // namespace
}  // namespace barista::storage
