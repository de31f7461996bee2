// What a worker does when consuming fails.

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "barista/error.h"
#include "barista/worker.h"
#include "tests/consumer/fake_queue.h"

namespace barista::internal {
namespace {

using ::testing::SizeIs;

absl::Status Busy() {
  return MakeError(absl::StatusCode::kResourceExhausted, "busy", {.reason = "ServerBusy"});
}

class WorkerRetryTest : public ::testing::Test {
 protected:
  // A worker that consumes what `answers` gives, attempt by attempt, from 0 on.
  std::unique_ptr<Worker> Start(std::function<FakeQueue::Answer(int attempt)> answers,
                                Worker::Handler handler, int concurrency = 3) {
    auto queue =
        std::make_shared<FakeQueue>([this, answers = std::move(answers)](const ConsumeOptions&) {
          return answers(attempts_++);
        });
    WorkerOptions options;
    options.concurrency = concurrency;
    options.on_trouble = [this](const absl::Status& status) {
      std::lock_guard<std::mutex> lock(mutex_);
      troubles_.push_back(status);
    };
    auto worker = Worker::Start(Queue(std::move(queue)), options, std::move(handler));
    EXPECT_TRUE(worker.ok()) << worker.status();
    return *std::move(worker);
  }
  static bool Eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  static std::shared_ptr<FakeConsumer> MakeConsumer(std::vector<uint8_t> ids) {
    auto consumer = std::make_shared<FakeConsumer>(10);
    consumer->SettleAlways();
    consumer->Deliver(ids);
    return consumer;
  }
  std::vector<absl::Status> troubles() {
    std::lock_guard<std::mutex> lock(mutex_);
    return troubles_;
  }

  std::atomic<int> attempts_{0};
  std::mutex mutex_;
  std::vector<absl::Status> troubles_;  // guarded by mutex_
};

TEST_F(WorkerRetryTest, ConsumesAgainAfterWhatMayPass) {
  std::unique_ptr<Worker> worker;
  std::atomic<bool> handled{false};
  worker = Start(
      [](int attempt) -> FakeQueue::Answer {
        if (attempt == 0) return absl::UnavailableError("no broker");
        if (attempt == 1) return Busy();
        return MakeConsumer({1});
      },
      [&](const ReceivedMessage&) {
        handled = true;
        return absl::OkStatus();
      });
  ASSERT_TRUE(Eventually([&] { return handled.load(); }));
  worker->Stop();
  EXPECT_TRUE(worker->Wait().ok());
  EXPECT_EQ(attempts_, 3);
  const std::vector<absl::Status> told = troubles();
  ASSERT_THAT(told, SizeIs(2));
  EXPECT_EQ(told[0], absl::UnavailableError("no broker"));
  EXPECT_EQ(told[1], Busy());
}

TEST_F(WorkerRetryTest, ConsumesAgainWhenItsConsumerBreaksAndHandlersHaveReturned) {
  const std::shared_ptr<FakeConsumer> first = MakeConsumer({1, 2});
  std::atomic<int> at_work{0};
  std::atomic<bool> go{false};
  std::atomic<int> handled_again{0};
  std::atomic<bool> handled_beside{false};
  const auto worker = Start(
      [&](int attempt) -> FakeQueue::Answer {
        if (attempt == 0) return std::shared_ptr<ConsumerState>(first);
        if (!go) handled_beside = true;
        return MakeConsumer({1, 2});
      },
      [&](const ReceivedMessage&) {
        if (go) {
          ++handled_again;
          return absl::OkStatus();
        }
        ++at_work;
        while (!go) std::this_thread::yield();
        return absl::OkStatus();
      });
  ASSERT_TRUE(Eventually([&] { return at_work == 2; }));
  first->End(absl::UnavailableError("cut"));
  ASSERT_TRUE(Eventually([&] { return !troubles().empty(); }));
  EXPECT_EQ(attempts_, 1);
  go = true;
  ASSERT_TRUE(Eventually([&] { return handled_again == 2; }));
  EXPECT_FALSE(handled_beside);
  worker->Stop();
  EXPECT_TRUE(worker->Wait().ok());
  EXPECT_THAT(troubles(), SizeIs(1)) << "one, however many threads saw it";
}

TEST_F(WorkerRetryTest, ConsumesAgainWhenDeletesFailForATime) {
  const std::shared_ptr<FakeConsumer> first = MakeConsumer({1});
  first->SettleAlways(absl::UnavailableError("cannot write"));
  std::atomic<int> handled{0};
  const auto worker = Start(
      [&](int attempt) -> FakeQueue::Answer {
        if (attempt == 0) return std::shared_ptr<ConsumerState>(first);
        return MakeConsumer({1});
      },
      [&](const ReceivedMessage&) {
        ++handled;
        return absl::OkStatus();
      });
  ASSERT_TRUE(Eventually([&] { return handled == 2; }));
  worker->Stop();
  EXPECT_TRUE(worker->Wait().ok());
  EXPECT_EQ(attempts_, 2);
  EXPECT_EQ(GetErrorInfo(first->Next(absl::ZeroDuration()).status()).reason, "ConsumerStopped");
}

TEST_F(WorkerRetryTest, GoesOnWhenOneMessageCannotBeSettled) {
  const std::shared_ptr<FakeConsumer> only = MakeConsumer({1});
  only->SettleAlways(absl::InvalidArgumentError("gone"));
  std::atomic<int> handled{0};
  const auto worker =
      Start([&](int) -> FakeQueue::Answer { return std::shared_ptr<ConsumerState>(only); },
            [&](const ReceivedMessage&) {
              ++handled;
              return absl::OkStatus();
            });
  ASSERT_TRUE(Eventually([&] { return !troubles().empty(); }));
  only->SettleAlways();
  only->Deliver({2});
  ASSERT_TRUE(Eventually([&] { return handled == 2; }));
  worker->Stop();
  EXPECT_TRUE(worker->Wait().ok());
  EXPECT_EQ(attempts_, 1);
  EXPECT_THAT(troubles(), SizeIs(1));
}

TEST_F(WorkerRetryTest, EndsWithWhatDoesNotPass) {
  const absl::Status denied =
      MakeError(absl::StatusCode::kPermissionDenied, "no", {.reason = "AccessDenied"});
  const std::shared_ptr<FakeConsumer> ended = MakeConsumer({});
  const auto nothing = [](const ReceivedMessage&) { return absl::OkStatus(); };
  const auto at_once = Start([&](int) -> FakeQueue::Answer { return denied; }, nothing);
  EXPECT_EQ(at_once->Wait(), denied);
  const auto later = Start(
      [&](int) -> FakeQueue::Answer { return std::shared_ptr<ConsumerState>(ended); }, nothing);
  ended->End(denied);
  EXPECT_EQ(later->Wait(), denied);
  EXPECT_THAT(troubles(), ::testing::IsEmpty());
}

TEST_F(WorkerRetryTest, StopEndsAPause) {
  // Attempts that fail until pauses are seconds long.
  const auto worker =
      Start([](int) -> FakeQueue::Answer { return Busy(); },
            [](const ReceivedMessage&) { return absl::OkStatus(); }, /*concurrency=*/1);
  ASSERT_TRUE(Eventually([&] { return attempts_ >= 4; }));
  worker->Stop();
  EXPECT_TRUE(worker->Wait().ok());
  EXPECT_LE(attempts_, 5);
}

TEST_F(WorkerRetryTest, ManyThreadsMayBeAskedForButNotMore) {
  const auto nothing = [](const ReceivedMessage&) { return absl::OkStatus(); };
  const auto worker = Start(
      [](int) -> FakeQueue::Answer {
        return MakeConsumer({1, 2, 3});
      },
      nothing, kMaxWorkerConcurrency);
  worker->Stop();
  EXPECT_TRUE(worker->Wait().ok());
  const auto refused = Worker::Start(Queue(), {.concurrency = kMaxWorkerConcurrency + 1}, nothing);
  EXPECT_EQ(GetErrorInfo(refused.status()).field, "concurrency");
  EXPECT_EQ(GetErrorInfo(refused.status()).limit, "1 to 1000");
}

}  // namespace
}  // namespace barista::internal
