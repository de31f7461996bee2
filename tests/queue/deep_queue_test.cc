// What a deep queue on disk leaves behind: after its retention, and around one message that nobody
// deletes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

using ::testing::IsEmpty;

class DeepQueueTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    broker_.reset();
    BrokerOptions options;
    options.data_dir = directory_.path() + "/data";
    options.default_durability = Durability::kOs;
    options.memory_limit_bytes = 64 << 20;
    options.free_space_floor_bytes = 0;
    options.manual = true;
    options.clock = &clock_;
    auto broker = Broker::Open(options);
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
  }

  void Reopen() {
    Open();
    queue_ = *broker_->GetQueue("q");
  }

  void Send(int count, const std::string& body, absl::Duration delay = absl::ZeroDuration()) {
    for (int i = 0; i < count; ++i) ASSERT_OK(queue_.Send({.body = body, .delay = delay}));
  }

  void Advance(absl::Duration step) {
    clock_.Advance(step);
    broker_->RunOnce();
  }

  int64_t Left() {
    const auto description = queue_.Describe();
    return description->visible + description->in_flight + description->delayed;
  }

  uint64_t DirectoryBytes() const {
    uint64_t bytes = 0;
    std::error_code gone;  // (Files come and go beside us.)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      const uint64_t size = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
      if (!gone) bytes += size;
    }
    return bytes;
  }

  TemporaryDirectory directory_;
  ManualClock clock_;
  std::unique_ptr<Broker> broker_;
  Queue queue_;
};

TEST_F(DeepQueueTest, BacklogThatNobodyReceivesExpiresAndLeavesTheDisk) {
  queue_ = *broker_->CreateQueue("q", {.retention = absl::Hours(1)});
  constexpr int kMessages = 6000;
  constexpr size_t kBody = 16 << 10;
  Send(100, std::string(kBody, 'd'), absl::Minutes(15));
  Send(kMessages, std::string(kBody, 'r'));
  ASSERT_EQ(queue_.Receive({.max_messages = 100})->size(), 100u);
  ASSERT_LT(broker_->Stats().resident_messages, kMessages) << "nothing is on disk only";
  const uint64_t full = DirectoryBytes();
  ASSERT_GT(full, kMessages * kBody);
  EXPECT_EQ(queue_.Describe()->delayed, 100);
  EXPECT_EQ(queue_.Describe()->in_flight, 100);
  Advance(absl::Minutes(50));
  EXPECT_EQ(Left(), kMessages + 100);

  // Now the sweeps, one a minute, and what they leave for a moment later.
  for (int i = 0; i < 12 * 60; ++i) Advance(absl::Seconds(1));
  EXPECT_EQ(queue_.Describe()->visible, 0);
  EXPECT_EQ(queue_.Describe()->in_flight, 0);
  EXPECT_EQ(queue_.Describe()->delayed, 0);
  EXPECT_EQ(broker_->Stats().messages_expired, kMessages + 100u);
  EXPECT_EQ(broker_->Stats().resident_messages, 0);

  // Compaction is RocksDB's own, in its own time.
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (DirectoryBytes() > full / 2 && absl::Now() < deadline) {
    Advance(absl::Seconds(60));
    std::this_thread::yield();
  }
  EXPECT_LT(DirectoryBytes(), full / 2) << "of " << full;

  Reopen();
  EXPECT_EQ(Left(), 0);
  EXPECT_THAT(*queue_.Receive(), IsEmpty());
}

// Where in its run (up to 64 messages) the message lies that stays.
class StuckMessageTest : public DeepQueueTest, public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Places, StuckMessageTest, ::testing::Values(0, 1, 63, 64, 100, 1000));

TEST_P(StuckMessageTest, ComesBackAfterItsLeaseAndWhatPassedItDoesNot) {
  queue_ = *broker_->CreateQueue("q", {.retention = absl::Hours(24 * 14)});
  constexpr int kPassed = 30'000;
  constexpr int kWaiting = 150;
  const auto send = [&](int first, int count) {
    for (int sent = first; sent < first + count; sent += 50) {
      std::vector<std::string> bodies;
      for (int i = sent; i < sent + 50; ++i) bodies.push_back(absl::StrCat(i));
      std::vector<OutgoingMessage> batch;
      for (const std::string& body : bodies) batch.push_back({.body = body});
      for (const auto& result : queue_.SendBatch(batch)) ASSERT_OK(result);
    }
  };
  const auto receive = [&](int max_messages, absl::Duration visibility) {
    auto got = queue_.Receive({.max_messages = max_messages, .visibility_timeout = visibility});
    EXPECT_OK(got);
    return got.ok() ? *std::move(got) : std::vector<ReceivedMessage>();
  };
  const auto drop = [&](const std::vector<ReceivedMessage>& messages) {
    std::vector<ReceiptHandle> handles;
    for (const ReceivedMessage& m : messages) handles.push_back(m.receipt_handle);
    for (const absl::Status& status : queue_.DeleteBatch(handles)) ASSERT_OK(status);
  };
  const std::string stuck = absl::StrCat(GetParam());
  ReceiptHandle handle;
  for (int sent = 0; sent < kPassed; sent += 5000) {
    send(sent, 5000);
    for (int left = 5000 - (sent == 0 ? 1 : 0); left > 0;) {
      std::vector<ReceivedMessage> got = receive(500, absl::Hours(12));
      ASSERT_FALSE(got.empty());
      for (size_t i = 0; i < got.size(); ++i) {
        if (got[i].body != stuck || sent != 0) continue;
        handle = got[i].receipt_handle;
        got.erase(got.begin() + static_cast<ptrdiff_t>(i));
        break;
      }
      drop(got);
      left -= static_cast<int>(got.size());
    }
    Advance(absl::Minutes(2));  // Sweeps, and leases that went lazily.
  }
  EXPECT_EQ(Left(), 1);
  send(kPassed, kWaiting);

  // Three boots, each with the others' handles: nothing that was passed comes back.
  std::multiset<std::string> delivered;
  for (int boot = 0; boot < 3; ++boot) {
    Reopen();
    EXPECT_EQ(Left(), 1 + kWaiting - 50 * boot);
    const std::vector<ReceivedMessage> got = receive(50, absl::Minutes(1));
    ASSERT_EQ(got.size(), 50u);
    for (const ReceivedMessage& m : got) delivered.insert(std::string(m.body));
    drop(got);
    EXPECT_EQ(queue_.Describe()->in_flight, 1);
    EXPECT_EQ(queue_.Describe()->visible, kWaiting - 50 * (boot + 1));
    Advance(absl::Minutes(2));
  }
  std::multiset<std::string> waiting;
  for (int i = kPassed; i < kPassed + kWaiting; ++i) waiting.insert(absl::StrCat(i));
  EXPECT_EQ(delivered, waiting);
  EXPECT_THAT(receive(10, absl::Minutes(1)), IsEmpty());

  Reopen();
  EXPECT_THAT(receive(10, absl::Minutes(1)), IsEmpty());
  EXPECT_EQ(queue_.Describe()->in_flight, 1);
  Advance(absl::Hours(12));
  const std::vector<ReceivedMessage> back = receive(10, absl::Minutes(1));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].body, stuck);
  EXPECT_EQ(back[0].receive_count, 2);
  EXPECT_OK(queue_.Delete(handle));  // Of the first boot.
  EXPECT_EQ(Left(), 0);
  Advance(absl::Minutes(2));
  Reopen();
  EXPECT_EQ(Left(), 0);
  EXPECT_THAT(receive(10, absl::Minutes(1)), IsEmpty());
}

}  // namespace
}  // namespace barista::testing
