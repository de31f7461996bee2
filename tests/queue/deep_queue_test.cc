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

}  // namespace
}  // namespace barista::testing
