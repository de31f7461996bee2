#include "tests/conformance/conformance_test.h"

#include <chrono>
#include <thread>
#include <utility>

namespace barista::testing {

std::string KindName(const ::testing::TestParamInfo<BrokerKind>& info) { return info.param.name; }

void ConformanceTest::Start() {
  if (GetParam().on_disk) options_.data_dir = directory_.path() + "/data";
  options_.default_durability = GetParam().durability;
  options_.manual = GetParam().manual;
  options_.clock = &clock_;
  absl::StatusOr<std::unique_ptr<Deployment>> deployment = Deploy(options_);
  ASSERT_OK(deployment);
  deployment_ = *std::move(deployment);
}

void ConformanceTest::Restart() {
  ASSERT_OK(host().Close());
  ASSERT_OK(broker().Close());
  deployment_.reset();
  Start();
}

Queue ConformanceTest::Create(const std::string& name, QueueAttributes attributes) {
  absl::StatusOr<Queue> queue = host().CreateQueue(name, attributes);
  EXPECT_OK(queue);
  return *queue;
}

void ConformanceTest::Advance(absl::Duration step) {
  clock_.Advance(step);
  broker().RunOnce();
}

::testing::AssertionResult ConformanceTest::Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline)
      return ::testing::AssertionFailure() << "condition not met within 20 s";
    if (!broker().RunOnce()) std::this_thread::yield();
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult ConformanceTest::EventuallyParked(int64_t receives) {
  return Eventually([&] { return broker().Stats().parked_receives == receives; });
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
