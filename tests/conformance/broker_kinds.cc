#include "tests/conformance/broker_kinds.h"

#include <stdlib.h>

#include <chrono>
#include <set>
#include <thread>

namespace barista::testing {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "barista-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  path_ = pattern;
}
TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<BrokerKind> AllBrokerKinds() {
  return {
      {"memory_manual", false, Durability::kMemory, true},
      {"memory_threads", false, Durability::kMemory, false},
      {"disk_fsync_manual", true, Durability::kFsync, true},
      {"disk_fsync_threads", true, Durability::kFsync, false},
      {"disk_os_threads", true, Durability::kOs, false},
      {"disk_memory_queue_manual", true, Durability::kMemory, true},
  };
}

std::string KindName(const ::testing::TestParamInfo<BrokerKind>& info) { return info.param.name; }

void ConformanceTest::OpenBroker() {
  if (GetParam().on_disk) options_.data_dir = directory_.path() + "/data";
  options_.default_durability = GetParam().durability;
  options_.manual = GetParam().manual;
  options_.clock = &clock_;
  absl::StatusOr<std::unique_ptr<Broker>> broker = Broker::Open(options_);
  ASSERT_OK(broker);
  broker_ = *std::move(broker);
}

void ConformanceTest::Reopen() {
  ASSERT_OK(broker_->Close());
  broker_.reset();
  OpenBroker();
}

Queue ConformanceTest::Create(const std::string& name, QueueAttributes attributes) {
  absl::StatusOr<Queue> queue = broker_->CreateQueue(name, attributes);
  EXPECT_OK(queue);
  return *queue;
}

void ConformanceTest::Advance(absl::Duration step) {
  clock_.Advance(step);
  broker_->RunOnce();
}

::testing::AssertionResult ConformanceTest::Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline)
      return ::testing::AssertionFailure() << "condition not met within 20 s";
    if (!broker_->RunOnce()) std::this_thread::yield();
  }
  return ::testing::AssertionSuccess();
}

std::vector<ReceivedMessage> ConformanceTest::ReceiveAll(Queue& queue, absl::Duration visibility) {
  std::vector<ReceivedMessage> all;
  for (;;) {
    absl::StatusOr<std::vector<ReceivedMessage>> batch = queue.Receive(
        {.max_messages = 10, .wait = absl::ZeroDuration(), .visibility_timeout = visibility});
    EXPECT_OK(batch);
    if (!batch.ok() || batch->empty()) return all;
    all.insert(all.end(), batch->begin(), batch->end());
  }
}

std::vector<ReceivedMessage> ConformanceTest::ReceiveExactly(Queue& queue, size_t n,
                                                             absl::Duration visibility) {
  std::vector<ReceivedMessage> all;
  EXPECT_TRUE(Eventually([&] {
    std::vector<ReceivedMessage> more = ReceiveAll(queue, visibility);
    all.insert(all.end(), more.begin(), more.end());
    return all.size() >= n;
  }));
  EXPECT_EQ(all.size(), n);
  return all;
}

}  // namespace barista::testing
