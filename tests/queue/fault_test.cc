// A queue on a store that fails, or that stops in the middle.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "broker/broker_impl.h"
#include "tests/commit/scripted_store.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

class FaultTest : public ::testing::Test {
 protected:
  // Opens a broker on what the one before left.
  void Open() {
    broker_.reset();
    auto store = std::make_unique<ScriptedStore>(disk_, ++boot_);
    store_ = store.get();
    BrokerOptions options;
    options.data_dir = "scripted";
    auto broker = internal::OpenBroker(options, std::move(store));
    ASSERT_OK(broker);
    broker_ = *std::move(broker);
  }

  std::shared_ptr<storage::Store> disk_ = storage::NewMemoryStore();
  uint32_t boot_ = 0;
  ScriptedStore* store_ = nullptr;
  std::unique_ptr<Broker> broker_;
};

TEST_F(FaultTest, RetryOfWhatAFailedWriteWasToDoIsRefusedAndNothingHasChangedAfterReopen) {
  Open();
  Queue queue = *broker_->CreateQueue("q");
  ASSERT_OK(queue.Send({.body = "m"}));
  const auto held = queue.Receive();
  ASSERT_OK(held);
  store_->fail_write = true;
  const ReceiptHandle handle = held->front().receipt_handle;
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(absl::IsUnavailable(queue.Delete(handle)));
    EXPECT_TRUE(absl::IsUnavailable(broker_->CreateQueue("n").status()));
    EXPECT_TRUE(absl::IsUnavailable(queue.Purge()));
    EXPECT_TRUE(absl::IsUnavailable(queue.Send({.body = "x"}).status()));
  }
  // The fault is lifted; the store's state is still unknown (I10).
  store_->fail_write = false;
  EXPECT_TRUE(absl::IsUnavailable(queue.Delete(handle)));
  EXPECT_TRUE(absl::IsUnavailable(broker_->DeleteQueue("q")));
  EXPECT_TRUE(broker_->Stats().refusing_writes);
  Open();
  EXPECT_FALSE(broker_->GetQueue("n").ok());
  queue = *broker_->GetQueue("q");
  const auto again = queue.Receive({.wait = absl::Seconds(60)});
  ASSERT_OK(again);
  ASSERT_EQ(again->size(), 1u);
  EXPECT_EQ(again->front().body, "m");
  EXPECT_OK(queue.Delete(handle));  // The handle of the earlier boot.
}

TEST_F(FaultTest, ConsumerOutlivesFailedDeletesAndEndsWithFailedReceives) {
  Open();
  ASSERT_OK(broker_->CreateQueue("dead"));
  Queue logged = *broker_->CreateQueue(
      "logged",
      {.redrive_policy = RedrivePolicy{.dead_letter_queue = "dead", .max_receive_count = 9}});
  Queue queue = *broker_->CreateQueue("q");
  for (Queue* each : {&queue, &logged}) {
    for (int i = 0; i < 3; ++i) ASSERT_OK(each->Send({.body = "m"}));
  }
  const auto consumer = *queue.Consume({.credit = 1});
  const auto ends = *logged.Consume({.credit = 2});
  const auto message = consumer->Next();
  ASSERT_OK(message);
  const auto deleted = ends->Next();
  const auto open = ends->Next();
  ASSERT_OK(deleted);
  ASSERT_OK(open);
  store_->fail_write = true;
  ASSERT_OK(consumer->Delete(**message));
  const absl::Status failure = consumer->Flush();
  EXPECT_TRUE(absl::IsUnavailable(failure)) << failure;
  EXPECT_OK(consumer->status());
  EXPECT_OK(consumer->Next());
  // The credit of the delete is for a receive that has to be in the log.
  ASSERT_OK(ends->Delete(**deleted));
  absl::Status end = ends->Next().status();
  if (ends->status().ok()) end = ends->Next().status();
  EXPECT_TRUE(absl::IsUnavailable(end)) << end;
  EXPECT_TRUE(absl::IsUnavailable(ends->status()));
  EXPECT_TRUE(absl::IsUnavailable(ends->Release(**open)));
}

TEST_F(FaultTest, RefusedDeleteLeavesTheCountsAsTheyWere) {
  for (const absl::Duration visibility : {absl::Seconds(30), absl::ZeroDuration()}) {
    Open();
    const std::string name = visibility > absl::ZeroDuration() ? "held" : "visible";
    Queue queue = *broker_->CreateQueue(name);
    for (int i = 0; i < 3; ++i) ASSERT_OK(queue.Send({.body = "m"}));
    const auto held = queue.Receive({.max_messages = 3, .visibility_timeout = visibility});
    ASSERT_OK(held);
    std::vector<ReceiptHandle> handles;
    for (const ReceivedMessage& m : *held) handles.push_back(m.receipt_handle);
    handles.push_back(handles.front());  // twice in one batch
    store_->fail_write = true;
    for (int i = 0; i < 2; ++i) {
      for (const absl::Status& status : queue.DeleteBatch(handles)) {
        EXPECT_TRUE(absl::IsUnavailable(status));
      }
      EXPECT_EQ(queue.Describe()->in_flight, visibility > absl::ZeroDuration() ? 3 : 0);
      EXPECT_EQ(queue.Describe()->visible, visibility > absl::ZeroDuration() ? 0 : 3);
    }
    // A message that was visible is so still, and can be received, though not deleted.
    EXPECT_EQ(queue.Receive({.max_messages = 10})->size(),
              visibility > absl::ZeroDuration() ? 0u : 3u);
    store_->fail_write = false;
  }
}

TEST_F(FaultTest, PageReadWhileADeleteIsBeingWrittenDoesNotBringTheMessageBack) {
  Open();
  Queue queue = *broker_->CreateQueue("q");
  ASSERT_OK(queue.Send({.body = "m"}));
  const auto held = queue.Receive({.visibility_timeout = absl::ZeroDuration()});
  ASSERT_OK(held);
  Open();
  queue = *broker_->GetQueue("q");
  // The delete finds its message on disk. Before its batch is written, the pager reads the page
  // that holds the message.
  std::atomic<bool> writing{false};
  store_->on_write = [&](const storage::Batch& batch) {
    for (const auto& operation : batch.operations()) {
      if (!std::holds_alternative<storage::Batch::Ack>(operation)) continue;
      const int before = store_->scans;
      writing = true;
      const absl::Time deadline = absl::Now() + absl::Seconds(20);
      while (store_->scans == before && absl::Now() < deadline) std::this_thread::yield();
      EXPECT_GT(store_->scans, before);
    }
  };
  std::thread deleter([&] { EXPECT_OK(queue.Delete(held->front().receipt_handle)); });
  while (!writing) std::this_thread::yield();
  const auto received = queue.Receive();
  ASSERT_OK(received);
  EXPECT_TRUE(received->empty());
  deleter.join();
  EXPECT_EQ(queue.Describe()->visible, 0);
  EXPECT_EQ(queue.Describe()->in_flight, 0);
}

TEST_F(FaultTest, HandleOfALostMessageFitsNoLaterOne) {
  Open();
  ASSERT_OK(broker_->CreateQueue("q"));
  broker_.reset();
  // What a later boot sends and loses: its store is thrown away.
  std::vector<ReceiptHandle> lost;
  {
    const uint32_t boot = ++boot_;
    BrokerOptions options;
    options.data_dir = "scripted";
    auto broker = internal::OpenBroker(options, std::make_unique<ScriptedStore>(disk_, boot));
    ASSERT_OK(broker);
    Queue queue = *(*broker)->GetQueue("q");
    for (int i = 0; i < 3; ++i) ASSERT_OK(queue.Send({.body = "lost"}));
    const auto held = queue.Receive({.max_messages = 3});
    ASSERT_OK(held);
    for (const ReceivedMessage& m : *held) lost.push_back(m.receipt_handle);
    ASSERT_OK(queue.Purge());
  }
  Open();
  Queue queue = *broker_->GetQueue("q");
  for (int i = 0; i < 3; ++i) ASSERT_OK(queue.Send({.body = "new"}));
  Open();  // The new ones are of an earlier boot, too, and on disk only.
  queue = *broker_->GetQueue("q");
  for (const ReceiptHandle& handle : lost) EXPECT_OK(queue.Delete(handle));
  EXPECT_EQ(queue.Describe()->visible, 3);
}

}  // namespace
}  // namespace barista::testing
