// The bytes of every row, as they are on disk.

#include <string>
#include <vector>

#include "barista/error.h"
#include "gtest/gtest.h"
#include "storage/commit_marker.h"
#include "storage/keys.h"
#include "storage/meta_rows.h"
#include "storage/run_record.h"
#include "tests/storage/golden.h"

namespace barista::storage {
namespace {

constexpr QueueId kQueue(0x01020304);
constexpr Sequence kSequence(0x1112131415161718);

TEST(KeysTest, BytesAreAsReleased) {
  ExpectGolden("key_message", Key::Message(kQueue, kSequence));
  ExpectGolden("key_delayed", Key::Delayed(kQueue, 0x2122232425262728, 0x3132333435363738));
  ExpectGolden("key_expiry",
               Key::Expiry(kQueue, Batch::ExpiryKind::kDeadline, 0x2122232425262728, kSequence));
  ExpectGolden("key_definition", Key::Definition(kQueue));
  ExpectGolden("key_counters", Key::Counters(kQueue));
}

TEST(KeysTest, OrderIsThatOfTheNumbers) {
  const std::vector<Key> ascending = {
      Key::Queue(QueueId(1)),
      Key::Message(QueueId(1), Sequence(0)),
      Key::Message(QueueId(1), Sequence(255)),
      Key::Message(QueueId(1), Sequence(256)),
      Key::Message(QueueId(1), Sequence(~uint64_t{0})),
      Key::AfterQueue(QueueId(1)),
      Key::Message(QueueId(2), Sequence(1)),
      Key::Message(QueueId(~uint32_t{0}), Sequence(~uint64_t{0})),
      Key::AfterQueue(QueueId(~uint32_t{0})),
  };
  for (size_t i = 1; i < ascending.size(); ++i)
    EXPECT_LT(ascending[i - 1].view(), ascending[i].view()) << i;
  EXPECT_LT(Key::Delayed(kQueue, -5, 9).view(), Key::Delayed(kQueue, 0, 1).view());
  EXPECT_LT(Key::Delayed(kQueue, 0, 1).view(), Key::Delayed(kQueue, 1, 0).view());
}

TEST(KeysTest, ComeBackAsTheyWere) {
  QueueId queue;
  Sequence sequence;
  ASSERT_TRUE(ParseMessageKey(Key::Message(kQueue, kSequence), &queue, &sequence));
  EXPECT_EQ(queue, kQueue);
  EXPECT_EQ(sequence, kSequence);
  int64_t ms = 0;
  uint64_t id = 0;
  ASSERT_TRUE(ParseDelayedKey(Key::Delayed(kQueue, -7, 8), &ms, &id));
  EXPECT_EQ(ms, -7);
  EXPECT_EQ(id, 8u);
  Batch::ExpiryKind kind;
  ASSERT_TRUE(ParseExpiryKey(Key::Expiry(kQueue, Batch::ExpiryKind::kDeadline, 9, kSequence), &kind,
                             &ms, &sequence));
  EXPECT_EQ(kind, Batch::ExpiryKind::kDeadline);
  EXPECT_EQ(ms, 9);
  ASSERT_TRUE(ParseQueueRowKey(Key::Counters(kQueue), kCounterTag, &queue));
  EXPECT_FALSE(ParseQueueRowKey(Key::Counters(kQueue), kDefinitionTag, &queue));
  EXPECT_FALSE(ParseMessageKey(Key::Delayed(kQueue, 1, 2), &queue, &sequence));
  EXPECT_FALSE(ParseDelayedKey(Key::Message(kQueue, kSequence), &ms, &id));
}

std::string RunRow(const std::vector<absl::string_view>& messages) {
  std::string row;
  EncodeRunHeader(messages, &row);
  for (absl::string_view message : messages) row.append(message.data(), message.size());
  return row;
}

TEST(RunRecordTest, BytesAreAsReleased) {
  const std::string row = RunRow({"one", "", "three"});
  ExpectGolden("run", row);
  absl::StatusOr<RunView> run = RunView::Parse(row);
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->count(), 3);
  EXPECT_EQ(run->message(0), "one");
  EXPECT_EQ(run->message(1), "");
  EXPECT_EQ(run->message(2), "three");
}

TEST(RunRecordTest, HoldsOneTo64Messages) {
  const std::vector<absl::string_view> most(kMaxRunMessages, "m");
  EXPECT_EQ(RunView::Parse(RunRow(most)).value().message(63), "m");
  std::string row = RunRow(most);
  row[1] = 65;
  EXPECT_EQ(RunView::Parse(row).status().code(), absl::StatusCode::kDataLoss);
  row[1] = 0;
  EXPECT_EQ(RunView::Parse(row).status().code(), absl::StatusCode::kDataLoss);
}

TEST(RunRecordTest, EveryTruncationIsAnError) {
  const std::string row = RunRow({"one", "two", "three"});
  for (size_t size = 0; size < row.size(); ++size) {
    EXPECT_EQ(RunView::Parse(std::string(row, 0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_EQ(RunView::Parse(row + "x").status().code(), absl::StatusCode::kDataLoss);
  std::string backwards = row;
  backwards[8] = 1;  // the second message ends before the first
  EXPECT_EQ(RunView::Parse(backwards).status().code(), absl::StatusCode::kDataLoss);
  std::string newer = row;
  newer[0] = 2;
  EXPECT_EQ(RunView::Parse(newer).status().code(), absl::StatusCode::kFailedPrecondition);
}

RunState SomeState() {
  RunState state;
  state.count = 64;
  state.Kill(0);
  state.Kill(63);
  state.SetLease(5, Lease{0x2122232425262728, 0x3132333435363738, 0x41424344, 0x51525354});
  state.SetLease(2, Lease{1, 2, 3, 4});
  return state;
}

TEST(RunStateTest, BytesAreAsReleased) {
  std::string row;
  EncodeRunState(SomeState(), &row);
  ExpectGolden("run_state", row);
  absl::StatusOr<RunState> state = DecodeRunState(row);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->count, 64);
  EXPECT_EQ(state->dead, SomeState().dead);
  EXPECT_EQ(state->leases, SomeState().leases);
}

TEST(RunStateTest, TruncationAndNonsenseAreErrors) {
  std::string row;
  EncodeRunState(SomeState(), &row);
  for (size_t size = 0; size < row.size(); ++size) {
    if ((size - 10) % 25 == 0 && size >= 10) continue;  // whole leases
    EXPECT_EQ(DecodeRunState(row.substr(0, size)).status().code(), absl::StatusCode::kDataLoss)
        << size;
  }
  std::string dead_lease = row;
  dead_lease[10] = 0;
  EXPECT_EQ(DecodeRunState(dead_lease).status().code(), absl::StatusCode::kDataLoss);
  std::string unordered = row;
  unordered[10] = 6;
  EXPECT_EQ(DecodeRunState(unordered).status().code(), absl::StatusCode::kDataLoss);
  std::string short_run = row;
  short_run[1] = 63;
  EXPECT_EQ(DecodeRunState(short_run).status().code(), absl::StatusCode::kDataLoss);
  std::string newer = row;
  newer[0] = 2;
  EXPECT_EQ(DecodeRunState(newer).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(RunStateTest, ADeadMessageHasNoLease) {
  RunState state;
  state.count = 2;
  state.SetLease(1, Lease{1, 1, 1, 1});
  EXPECT_EQ(state.GetLease(1).receives, 1u);
  state.Kill(1);
  EXPECT_TRUE(state.leases.empty());
  EXPECT_FALSE(state.AllDead());
  state.Kill(0);
  EXPECT_TRUE(state.AllDead());
}

TEST(RunStateTest, TheInitialLeaseNeedsNoRow) {
  RunState state;
  state.SetLease(0, Lease{1, 1, 1, 1});
  EXPECT_FALSE(state.IsInitial());
  state.SetLease(0, Lease());
  EXPECT_TRUE(state.IsInitial());
}

TEST(MetaRowsTest, BytesAreAsReleased) {
  const QueueCounters counters{1, 2, 3, 0x1112131415161718, 5, 6};
  const auto row = EncodeCounters(counters);
  ExpectGolden("counters", absl::string_view(row.data(), row.size()));
  EXPECT_EQ(DecodeCounters(GoldenBytes("counters")).value(), counters);
  EXPECT_EQ(DecodeCounters("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeCounters(GoldenBytes("counters").substr(0, 48)).status().code(),
            absl::StatusCode::kDataLoss);

  ExpectGolden("identity", EncodeIdentity({"0123456789abcdef", "ABCDEFGHIJKLMNOP"}));
  EXPECT_EQ(DecodeIdentity(GoldenBytes("identity")).value().secret, "ABCDEFGHIJKLMNOP");
  ExpectGolden("boot", EncodeBoot(0x01020304));
  EXPECT_EQ(DecodeBoot(GoldenBytes("boot")).value(), 0x01020304u);
  EXPECT_EQ(DecodeBoot("abc").status().code(), absl::StatusCode::kDataLoss);
}

TEST(CommitMarkerTest, BytesAreAsReleased) {
  const auto bytes =
      EncodeCommitMarker("0123456789abcdef", {0x0102030405060708, 0x1112131415161718});
  ExpectGolden("commit_marker", absl::string_view(bytes.data(), bytes.size()));
}

TEST(CommitMarkerTest, IsReadOnlyUndamagedAndOfItsStore) {
  const auto bytes = EncodeCommitMarker("0123456789abcdef", {7, 5});
  const std::string row(bytes.data(), bytes.size());
  ASSERT_TRUE(DecodeCommitMarker("0123456789abcdef", row).has_value());
  EXPECT_EQ(DecodeCommitMarker("0123456789abcdef", row)->commit, 7u);
  EXPECT_EQ(DecodeCommitMarker("0123456789abcdef", row + "more")->last_synced, 5u);
  EXPECT_FALSE(DecodeCommitMarker("0123456789abcdeF", row).has_value());
  for (size_t at = 0; at < row.size(); ++at) {
    std::string damaged = row;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_FALSE(DecodeCommitMarker("0123456789abcdef", damaged).has_value()) << at;
    EXPECT_FALSE(DecodeCommitMarker("0123456789abcdef", row.substr(0, at)).has_value()) << at;
  }
}

}  // namespace
}  // namespace barista::storage
