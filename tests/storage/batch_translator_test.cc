// How many rows a batch becomes. That they are the right ones is the conformance and property
// tests' business.

#include "storage/batch_translator.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/storage/batch_builder.h"
#include "tests/storage/row_ledger.h"

namespace barista::storage {
namespace {

constexpr uint32_t kQueue = 3;

class BatchTranslatorTest : public ::testing::Test {
 protected:
  void Translate() {
    const absl::Status status = translator_.Translate(builder_.batch(), rows_, &rows_);
    ASSERT_TRUE(status.ok()) << status;
    builder_.Clear();
  }
  void AppendRange(uint64_t first, uint64_t last, const std::string& record = "m") {
    for (uint64_t s = first; s <= last; ++s) builder_.Append(kQueue, s, record);
  }
  size_t Rows(Family family) const { return rows_.rows(family).size(); }

  static BatchTranslator::Options Options() {
    BatchTranslator::Options options;
    options.max_run_bytes = 1000;
    options.max_table_entries = 4;
    options.max_table_leases = 10;
    return options;
  }

  BatchTranslator translator_{Options()};
  BatchBuilder builder_;
  RowLedger rows_;
};

TEST_F(BatchTranslatorTest, ARunHoldsAtMost64Messages) {
  AppendRange(1, 64);
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 1u);
  AppendRange(65, 129);
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 3u);
  EXPECT_EQ(builder_.ref(kQueue, 128).count, 64);
  EXPECT_EQ(builder_.ref(kQueue, 129).count, 1);
}

TEST_F(BatchTranslatorTest, ARunHoldsAtMostItsBytesUnlessOneMessageIsLarger) {
  AppendRange(1, 2, std::string(500, 'x'));
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 1u);
  AppendRange(3, 4, std::string(501, 'x'));
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 3u);
  AppendRange(5, 6, std::string(5000, 'x'));
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 5u);
}

TEST_F(BatchTranslatorTest, AGapEndsARun) {
  builder_.Append(kQueue, 1, "a").Append(kQueue, 3, "b").Append(kQueue, 4, "c");
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 2u);
}

TEST_F(BatchTranslatorTest, ARunAckedInOneBatchWritesNoState) {
  AppendRange(1, 64);
  Translate();
  for (uint64_t s = 1; s <= 64; ++s) builder_.Ack(kQueue, s);
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 0u);
  EXPECT_EQ(rows_.puts(Family::kState), 0);
  EXPECT_EQ(rows_.state_reads, 0);
  EXPECT_EQ(translator_.table().size(), 0u);
}

TEST_F(BatchTranslatorTest, ARunTouchedOftenInABatchIsWrittenOnce) {
  AppendRange(1, 64);
  Translate();
  for (uint64_t s = 1; s <= 20; ++s)
    builder_.Ack(kQueue, s).SetLease(kQueue, s + 20, Lease{1, 1, 1, 1});
  Translate();
  EXPECT_EQ(rows_.puts(Family::kState), 1);
  EXPECT_EQ(Rows(Family::kState), 1u);
  EXPECT_EQ(translator_.table().leases(), 0u);  // more than the limit: trimmed
}

TEST_F(BatchTranslatorTest, TheLastAckRemovesTheStateRow) {
  AppendRange(1, 3);
  Translate();
  builder_.Ack(kQueue, 2);
  Translate();
  EXPECT_EQ(Rows(Family::kState), 1u);
  builder_.Ack(kQueue, 1).Ack(kQueue, 3);
  Translate();
  EXPECT_EQ(Rows(Family::kState), 0u);
  EXPECT_EQ(Rows(Family::kMessages), 0u);
}

TEST_F(BatchTranslatorTest, ASingleMessageNeedsNoTable) {
  builder_.Append(kQueue, 1, "a").Append(kQueue, 3, "b");
  Translate();
  builder_.SetLease(kQueue, 1, Lease{1, 1, 1, 1});
  Translate();
  EXPECT_EQ(Rows(Family::kState), 1u);
  EXPECT_EQ(translator_.table().size(), 0u);
  builder_.Ack(kQueue, 1).Ack(kQueue, 3);
  Translate();
  EXPECT_EQ(Rows(Family::kState), 0u);
  EXPECT_EQ(Rows(Family::kMessages), 0u);
  EXPECT_EQ(rows_.state_reads, 0);
}

TEST_F(BatchTranslatorTest, AForgottenRunIsReadAgain) {
  AppendRange(1, 2);
  Translate();
  builder_.Ack(kQueue, 1);
  Translate();
  for (uint64_t s = 101; s <= 200; s += 3) {  // runs of two push it out
    AppendRange(s, s + 1);
    Translate();
  }
  EXPECT_EQ(translator_.table().size(), 4u);
  const int reads = rows_.state_reads;
  builder_.Ack(kQueue, 2);
  Translate();
  EXPECT_EQ(rows_.state_reads, reads + 1);
  EXPECT_EQ(Rows(Family::kState), 0u);
}

TEST_F(BatchTranslatorTest, AcksBelowAPurgeAreHarmless) {
  AppendRange(1, 3);
  Translate();
  builder_.Purge(kQueue, 4);
  Translate();
  AppendRange(4, 5);
  builder_.Ack(kQueue, 2);
  Translate();
  EXPECT_EQ(Rows(Family::kMessages), 1u);
  absl::StatusOr<std::optional<RowReader::Run>> run = rows_.FindRun(QueueId(kQueue), Sequence(5));
  ASSERT_TRUE(run.ok() && run->has_value());
  EXPECT_EQ((*run)->count, 2);
}

}  // namespace
}  // namespace barista::storage
