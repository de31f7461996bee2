#include "barista/worker.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

class WorkerTest : public ConformanceTest {
 protected:
  std::unique_ptr<Worker> Start(Queue& queue, const WorkerOptions& options,
                                Worker::Handler handler) {
    absl::StatusOr<std::unique_ptr<Worker>> worker =
        Worker::Start(queue, options, std::move(handler));
    EXPECT_OK(worker);
    return *std::move(worker);
  }
  void SendMany(Queue& queue, int count) {
    for (int i = 0; i < count; ++i) ASSERT_OK(queue.Send({.body = "m" + std::to_string(i)}));
  }
  int64_t Visible(Queue& queue) { return queue.Describe()->visible; }
  int64_t InFlight(Queue& queue) { return queue.Describe()->in_flight; }
  bool IsEmptied(Queue& queue) {
    const QueueDescription description = *queue.Describe();
    return description.visible + description.in_flight + description.delayed == 0;
  }
  // What handlers do until they may go on.
  void WaitFor(const std::atomic<bool>& go) {
    while (!go) std::this_thread::yield();
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, WorkerTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(WorkerTest, DeletesAfterOkAndReleasesAfterAnError) {
  Queue queue = Create("q");
  SendMany(queue, 3);
  std::mutex mutex;
  std::map<std::string, std::vector<absl::Time>> handled;
  const auto count = [&](const std::string& body) {
    std::lock_guard<std::mutex> lock(mutex);
    return handled[body].size();
  };
  const auto worker = Start(queue, {.concurrency = 2, .retry_delay = absl::Seconds(60)},
                            [&](const ReceivedMessage& message) {
                              std::lock_guard<std::mutex> lock(mutex);
                              handled[std::string(message.body)].push_back(clock_.Now());
                              return message.body == "m1" && message.receive_count == 1
                                         ? absl::InternalError("spilt")
                                         : absl::OkStatus();
                            });
  ASSERT_TRUE(Eventually([&] { return count("m0") + count("m1") + count("m2") == 3; }));
  // Hidden for longer than the handler had it: it has been released.
  ASSERT_TRUE(Eventually([&] {
    const auto left = queue.Peek();
    return left.ok() && left->size() == 1 &&
           left->front().visible_at >= clock_.Now() + absl::Seconds(59);
  }));
  Advance(absl::Seconds(59));
  EXPECT_EQ(count("m1"), 1u);
  Advance(absl::Seconds(2));
  ASSERT_TRUE(Eventually([&] { return count("m1") == 2 && IsEmptied(queue); }));
  worker->Stop();
  EXPECT_OK(worker->Wait());
  EXPECT_EQ(count("m0"), 1u);
  EXPECT_EQ(count("m2"), 1u);
  EXPECT_GE(handled["m1"][1] - handled["m1"][0], absl::Seconds(60));
}

TEST_P(WorkerTest, AsManyHandlersAreAtWorkAsItWasTold) {
  Queue queue = Create("q");
  SendMany(queue, 9);
  std::atomic<int> at_work{0}, most{0};
  std::atomic<bool> go{false};
  const auto worker = Start(queue, {.concurrency = 4}, [&](const ReceivedMessage&) {
    const int now = ++at_work;
    int before = most;
    while (now > before && !most.compare_exchange_weak(before, now)) {
    }
    WaitFor(go);
    --at_work;
    return absl::OkStatus();
  });
  ASSERT_TRUE(Eventually([&] { return at_work == 4 && InFlight(queue) == 8; }));
  EXPECT_EQ(Visible(queue), 1) << "as many again are fetched ahead";
  go = true;
  EXPECT_TRUE(Eventually([&] { return IsEmptied(queue); }));
  EXPECT_EQ(most, 4);
}

TEST_P(WorkerTest, StopLetsHandlersFinishAndGivesBackTheRestAtOnce) {
  Queue queue = Create("q");
  SendMany(queue, 10);
  std::atomic<int> begun{0}, finished{0};
  std::atomic<bool> go{false};
  const auto worker = Start(queue, {.concurrency = 2}, [&](const ReceivedMessage&) {
    ++begun;
    WaitFor(go);
    ++finished;
    return absl::OkStatus();
  });
  ASSERT_TRUE(Eventually([&] { return begun == 2 && InFlight(queue) == 4; }));
  worker->Stop();
  EXPECT_TRUE(Eventually([&] { return InFlight(queue) == 2 && Visible(queue) == 8; }));
  go = true;
  EXPECT_OK(worker->Wait());
  EXPECT_EQ(begun, 2);
  EXPECT_EQ(finished, 2);
  EXPECT_EQ(InFlight(queue), 0) << "what the handlers did is done when Wait returns";
  EXPECT_EQ(Visible(queue), 8);
  EXPECT_OK(worker->Wait());
}

TEST_P(WorkerTest, HandlerMayStopItsWorker) {
  Queue queue = Create("q");
  SendMany(queue, 5);
  std::atomic<Worker*> self{nullptr};
  std::atomic<int> handled{0};
  const auto worker = Start(queue, {}, [&](const ReceivedMessage&) {
    while (self == nullptr) std::this_thread::yield();
    ++handled;
    self.load()->Stop();
    return absl::OkStatus();
  });
  self = worker.get();
  EXPECT_OK(worker->Wait());
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(Visible(queue), 4);
}

TEST_P(WorkerTest, HeartbeatHidesAMessageFromOthersAsLongAsItsHandlerTakes) {
  Queue queue = Create("q", {.visibility_timeout = absl::Seconds(10)});
  SendMany(queue, 1);
  std::atomic<int> begun{0};
  std::atomic<bool> go{false};
  const auto worker = Start(queue, {}, [&](const ReceivedMessage&) {
    ++begun;
    WaitFor(go);
    return absl::OkStatus();
  });
  ASSERT_TRUE(Eventually([&] { return begun == 1; }));
  for (int i = 0; i < 30; ++i) {
    const BrokerStats before = broker().Stats();
    Advance(absl::Seconds(3));
    EXPECT_EQ(before.messages_received, 1u);
    EXPECT_EQ(InFlight(queue), 1) << "after " << 3 * i << " s";
    if (!GetParam().manual) break;  // Threads may be later than the clock.
  }
  go = true;
  EXPECT_TRUE(Eventually([&] { return IsEmptied(queue); }));
  worker->Stop();
  EXPECT_OK(worker->Wait());
  EXPECT_EQ(begun, 1);
}

TEST_P(WorkerTest, MessageThatAlwaysFailsEndsInTheDeadLetterQueue) {
  Queue dead = Create("dead");
  Queue queue = Create(
      "q", {.redrive_policy = RedrivePolicy{.dead_letter_queue = "dead", .max_receive_count = 3}});
  SendMany(queue, 2);
  std::atomic<int> bad{0};
  const auto worker = Start(queue, {}, [&](const ReceivedMessage& message) {
    if (message.body != "m0") return absl::OkStatus();
    ++bad;
    return absl::InternalError("always");
  });
  EXPECT_TRUE(Eventually([&] { return Visible(dead) == 1 && IsEmptied(queue); }));
  EXPECT_EQ(bad, 3);
  worker->Stop();
  EXPECT_OK(worker->Wait());
  EXPECT_EQ(ReceiveExactly(dead, 1)[0].body, "m0");
}

TEST_P(WorkerTest, EndsWithWhatAnotherAttemptWouldNotHelp) {
  Queue queue = Create("q");
  const auto nothing = [](const ReceivedMessage&) { return absl::OkStatus(); };
  const auto worker = Start(queue, {.concurrency = 3}, nothing);
  ASSERT_OK(host().DeleteQueue("q"));
  EXPECT_TRUE(FailsWith(worker->Wait(), "QueueDoesNotExist", "QueueName"));
  const auto late = Start(queue, {.concurrency = 3}, nothing);
  EXPECT_TRUE(FailsWith(late->Wait(), "QueueDoesNotExist", "QueueName"));
  Queue other = Create("other");
  const auto closed = Start(other, {}, nothing);
  ASSERT_OK(host().Close());
  EXPECT_TRUE(FailsWith(closed->Wait(), "BrokerClosed", ""));
}

TEST_P(WorkerTest, OptionsAreTakenAtTheirLimitsAndRefusedBeyond) {
  Queue queue = Create("q");
  const auto nothing = [](const ReceivedMessage&) { return absl::OkStatus(); };
  const auto start = [&](const WorkerOptions& options) {
    return Worker::Start(queue, options, nothing);
  };
  for (const WorkerOptions& good :
       {WorkerOptions{.concurrency = 1}, WorkerOptions{.retry_delay = absl::Hours(12)},
        WorkerOptions{.visibility_timeout = absl::Seconds(1)},
        WorkerOptions{.visibility_timeout = absl::ZeroDuration(), .heartbeat = false}}) {
    EXPECT_OK(start(good));
  }
  const absl::Duration tick = absl::Nanoseconds(1);
  for (const int bad : {0, kMaxWorkerConcurrency + 1})
    EXPECT_TRUE(FailsWith(start({.concurrency = bad}), "InvalidParameterValue", "concurrency"));
  for (const absl::Duration bad : {-tick, absl::Hours(12) + tick})
    EXPECT_TRUE(FailsWith(start({.retry_delay = bad}), "InvalidParameterValue", "retry_delay"));
  for (const absl::Duration bad : {absl::Seconds(1) - tick, absl::Hours(12) + tick}) {
    EXPECT_TRUE(FailsWith(start({.visibility_timeout = bad}), "InvalidParameterValue",
                          "VisibilityTimeout"));
  }
  EXPECT_TRUE(FailsWith(Worker::Start(queue, {}, nullptr), "InvalidParameterValue", "handler"));
}

TEST_P(WorkerTest, EveryMessageIsHandledWhateverHandlersDo) {
  constexpr int kMessages = 2000;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Queue queue = Create("q");
  std::mutex mutex;
  std::mt19937 random(seed);
  std::map<std::string, int> succeeded;
  const auto handler = [&](const ReceivedMessage& message) {
    std::lock_guard<std::mutex> lock(mutex);
    if (random() % 4 == 0) return absl::InternalError("one of four");
    ++succeeded[std::string(message.body)];
    return absl::OkStatus();
  };
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 2; ++i) workers.push_back(Start(queue, {.concurrency = 8}, handler));
  std::thread sender([&] { SendMany(queue, kMessages); });
  // A worker that ends in the middle leaves its messages to others.
  const auto progress = [&](size_t count) {
    return Eventually([&, count] {
      std::lock_guard<std::mutex> lock(mutex);
      return succeeded.size() >= count;
    });
  };
  for (int i = 1; i < 8; ++i) {
    ASSERT_TRUE(progress(static_cast<size_t>(i * kMessages / 8)));
    workers[static_cast<size_t>(i % 2)] = Start(queue, {.concurrency = 8}, handler);
  }
  ASSERT_TRUE(progress(kMessages));
  sender.join();
  EXPECT_TRUE(Eventually([&] { return IsEmptied(queue); }));
  for (const std::unique_ptr<Worker>& worker : workers) {
    worker->Stop();
    EXPECT_OK(worker->Wait());
  }
  // Nothing broke and no timeout passed: once is enough.
  for (const auto& [body, count] : succeeded) EXPECT_EQ(count, 1) << body;
}

}  // namespace
}  // namespace barista::testing
