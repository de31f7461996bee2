#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LifecycleTest : public ConformanceTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, LifecycleTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

TEST_P(LifecycleTest, CreateIsIdempotentForEqualAttributesAndRefusedForOthers) {
  Queue queue = Create("q", {.visibility_timeout = absl::Seconds(45)});
  EXPECT_OK(host().CreateQueue("q"));
  EXPECT_OK(host().CreateQueue(
      "q", {.visibility_timeout = absl::Seconds(45), .delay = absl::ZeroDuration()}));
  EXPECT_TRUE(FailsWith(host().CreateQueue("q", {.visibility_timeout = absl::Seconds(30)}),
                        "QueueNameExists", "VisibilityTimeout"));
  EXPECT_TRUE(FailsWith(host().CreateQueue("q", {}, {{"team", "bar"}}), "QueueNameExists", "tags"));
  ASSERT_OK(queue.SetAttributes({.visibility_timeout = absl::Seconds(30)}));
  EXPECT_OK(host().CreateQueue("q", {.visibility_timeout = absl::Seconds(30)}));
}

TEST_P(LifecycleTest, DescribeShowsDefaultsAndWhatWasSet) {
  Queue queue = Create("q");
  absl::StatusOr<QueueDescription> description = queue.Describe();
  ASSERT_OK(description);
  std::map<std::string, std::string> text = FormatQueueAttributes(*description);
  EXPECT_EQ(text["VisibilityTimeout"], "30");
  EXPECT_EQ(text["DelaySeconds"], "0");
  EXPECT_EQ(text["MessageRetentionPeriod"], "345600");
  EXPECT_EQ(text["ReceiveMessageWaitTimeSeconds"], "0");
  EXPECT_EQ(text["MaximumMessageSize"], "1048576");
  EXPECT_EQ(text["MaximumInFlightMessages"], "120000");
  EXPECT_EQ(text["BodyCharset"], "text");
  EXPECT_EQ(text["QueueArn"], "arn:aws:sqs:us-east-1:000000000000:q");
  EXPECT_EQ(text["Durability"], DurabilityName(GetParam().durability));
  EXPECT_EQ(text["CreatedTimestamp"], std::to_string(absl::ToUnixSeconds(clock_.Now())));
  EXPECT_EQ(text.count("RedrivePolicy"), 0u);

  Create("dead");
  Advance(absl::Seconds(5));
  const absl::StatusOr<QueueAttributes> parsed = ParseQueueAttributes(
      {{"VisibilityTimeout", "7"},
       {"RedrivePolicy",
        R"({"maxReceiveCount":"3","deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead"})"}});
  ASSERT_OK(parsed);
  ASSERT_OK(queue.SetAttributes(*parsed));
  text = FormatQueueAttributes(*queue.Describe());
  EXPECT_EQ(text["VisibilityTimeout"], "7");
  EXPECT_EQ(
      text["RedrivePolicy"],
      R"({"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":3})");
  EXPECT_EQ(text["LastModifiedTimestamp"], std::to_string(absl::ToUnixSeconds(clock_.Now())));
  ASSERT_OK(queue.SetAttributes({.redrive_policy = RedrivePolicy{}}));
  EXPECT_EQ(FormatQueueAttributes(*queue.Describe()).count("RedrivePolicy"), 0u);
}

TEST_P(LifecycleTest, ListPagesByNameAndPrefix) {
  for (const char* name : {"b-2", "a", "b-1", "c", "b-3"}) Create(name);
  EXPECT_THAT(host().ListQueues()->names, ElementsAre("a", "b-1", "b-2", "b-3", "c"));
  const absl::StatusOr<ListQueuesResult> first =
      host().ListQueues({.prefix = "b", .max_results = 2});
  ASSERT_OK(first);
  EXPECT_THAT(first->names, ElementsAre("b-1", "b-2"));
  const absl::StatusOr<ListQueuesResult> second =
      host().ListQueues({.prefix = "b", .max_results = 2, .next_token = first->next_token});
  ASSERT_OK(second);
  EXPECT_THAT(second->names, ElementsAre("b-3"));
  EXPECT_EQ(second->next_token, "");
  EXPECT_TRUE(
      FailsWith(host().ListQueues({.max_results = 0}), "InvalidParameterValue", "MaxResults"));
  EXPECT_TRUE(
      FailsWith(host().ListQueues({.max_results = 1001}), "InvalidParameterValue", "MaxResults"));
  EXPECT_TRUE(FailsWith(host().ListQueues({.next_token = "nonsense"}), "InvalidParameterValue",
                        "NextToken"));
}

TEST_P(LifecycleTest, DeletedQueueIsGoneForEveryHandleAndForParkedReceives) {
  Queue queue = Create("q");
  ASSERT_OK(queue.Send({.body = "m"}));
  const ReceivedMessage m = ReceiveExactly(queue, 1)[0];
  std::atomic<bool> ended{false};
  auto pending = queue.ReceiveAsync(
      {.wait = absl::Seconds(20)}, [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
        ended = GetErrorInfo(batch.status()).reason == "QueueDoesNotExist";
      });
  ASSERT_OK(host().DeleteQueue("q"));
  EXPECT_TRUE(Eventually([&] { return ended.load(); }));
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m"}), "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(queue.Receive(), "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(queue.Delete(m.receipt_handle), "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(queue.Describe(), "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(queue.Purge(), "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(host().DeleteQueue("q"), "QueueDoesNotExist", "QueueName"));
  EXPECT_TRUE(FailsWith(host().GetQueue("q"), "QueueDoesNotExist", "QueueName"));

  Queue again = Create("q");
  EXPECT_TRUE(ReceiveAll(again).empty());
  EXPECT_TRUE(FailsWith(again.Delete(m.receipt_handle), "ReceiptHandleIsInvalid", "ReceiptHandle"))
      << "I6";
  EXPECT_EQ(broker().Stats().resident_messages, 0);
}

TEST_P(LifecycleTest, TagsAreAddedOverwrittenAndRemoved) {
  Queue queue = Create("q");
  ASSERT_OK(queue.Tag({{"team", "bar"}, {"env", "test"}}));
  ASSERT_OK(queue.Tag({{"team", "kitchen"}}));
  const std::string env = "env";
  ASSERT_OK(queue.Untag(absl::MakeConstSpan(&env, 1)));
  EXPECT_EQ(queue.Describe()->tags, (QueueTags{{"team", "kitchen"}}));
}

TEST_P(LifecycleTest, CloseEndsParkedReceivesAndLaterCallsSayClosed) {
  Queue queue = Create("q");
  std::atomic<bool> ended{false};
  auto pending = queue.ReceiveAsync({.wait = absl::Seconds(20)},
                                    [&](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                                      ended = GetErrorInfo(batch.status()).reason == "BrokerClosed";
                                    });
  ASSERT_OK(host().Close());
  EXPECT_TRUE(ended);
  EXPECT_OK(host().Close());
  EXPECT_TRUE(FailsWith(queue.Send({.body = "m"}), "BrokerClosed", ""));
  EXPECT_TRUE(FailsWith(queue.Receive(), "BrokerClosed", ""));
  EXPECT_TRUE(FailsWith(host().CreateQueue("x"), "BrokerClosed", ""));
  EXPECT_TRUE(FailsWith(host().ListQueues(), "BrokerClosed", ""));
}

// A consumer that asks again as soon as it is answered does not keep a queue, or the broker, alive.
TEST_P(LifecycleTest, ReceivesThatAskAgainWhenTheyEndAreAllToldThatTheQueueIsGone) {
  for (const bool close : {false, true}) {
    Queue queue = Create("q");
    constexpr int kConsumers = 5;
    constexpr int kTries = 10;
    std::atomic<int> refused{0};
    std::function<void(int)> ask = [&](int tries_left) {
      queue.ReceiveAsync({.wait = absl::Seconds(20)},
                         [&, tries_left](absl::StatusOr<std::vector<ReceivedMessage>> batch) {
                           if (!batch.ok()) ++refused;
                           if (tries_left > 1) ask(tries_left - 1);
                         });
    };
    for (int i = 0; i < kConsumers; ++i) ask(kTries);
    ASSERT_OK(close ? host().Close() : host().DeleteQueue("q"));
    EXPECT_TRUE(Eventually([&] { return refused == kConsumers * kTries; })) << refused;
  }
}

TEST_P(LifecycleTest, BlockingCallInsideACallbackIsRefused) {
  Queue queue = Create("q");
  // A callback that runs inside the call, because there is nothing to commit, is a plain function.
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<bool> called{false};
  bool refused = false;
  bool inside = false;
  const OutgoingMessage message{.body = "m"};
  queue.SendBatchAsync(
      absl::MakeConstSpan(&message, 1), [&](std::vector<absl::StatusOr<SendResult>>) {
        refused = GetErrorInfo(queue.Send({.body = "inner"}).status()).reason == "WouldBlock";
        inside = std::this_thread::get_id() == caller;
        called = true;
      });
  ASSERT_TRUE(Eventually([&] { return called.load(); }));
  EXPECT_TRUE(refused || (inside && GetParam().durability == Durability::kMemory));
}

TEST_P(LifecycleTest, TwoHostsInOneProcessKnowNothingOfEachOther) {
  TemporaryDirectory other_directory;
  BrokerOptions options = options_;
  if (GetParam().on_disk) options.data_dir = other_directory.path() + "/data";
  absl::StatusOr<std::unique_ptr<Deployment>> other = Deploy(options);
  ASSERT_OK(other);
  Queue mine = Create("q");
  absl::StatusOr<Queue> theirs = (*other)->host().CreateQueue("q");
  ASSERT_OK(theirs);
  ASSERT_OK(mine.Send({.body = "mine"}));
  ASSERT_OK(theirs->Send({.body = "theirs"}));
  const ReceivedMessage m = ReceiveExactly(mine, 1)[0];
  EXPECT_EQ(m.body, "mine");
  EXPECT_TRUE(
      FailsWith(theirs->Delete(m.receipt_handle), "ReceiptHandleIsInvalid", "ReceiptHandle"));
}

TEST_P(LifecycleTest, RestartKeepsMessagesLeasesDelaysAttributesAndHandles) {
  if (!CanReopen()) return;
  Create("dead");
  Queue queue = Create(
      "q", {.visibility_timeout = absl::Seconds(77), .redrive_policy = RedrivePolicy{"dead", 9}});
  ASSERT_OK(queue.Tag({{"team", "bar"}}));
  for (int i = 0; i < 10; ++i) ASSERT_OK(queue.Send({.body = "m" + std::to_string(i)}));
  ASSERT_OK(queue.Send({.body = "delayed", .delay = absl::Seconds(100)}));
  absl::StatusOr<std::vector<ReceivedMessage>> held = queue.Receive({.max_messages = 4});
  ASSERT_OK(held);
  ASSERT_EQ(held->size(), 4u);
  ASSERT_OK(queue.Delete((*held)[0].receipt_handle));
  ASSERT_OK(queue.ChangeMessageVisibility((*held)[1].receipt_handle, absl::Seconds(500)));

  Restart();
  queue = *host().GetQueue("q");
  EXPECT_EQ(*queue.Describe()->attributes.visibility_timeout, absl::Seconds(77));
  EXPECT_EQ(queue.Describe()->tags, (QueueTags{{"team", "bar"}}));
  EXPECT_EQ(queue.Describe()->delayed, 1);
  const std::vector<ReceivedMessage> visible = ReceiveExactly(queue, 6);
  for (const ReceivedMessage& m : visible) EXPECT_EQ(m.receive_count, 1);
  // A handle of the earlier boot works on its message, wherever that is.
  EXPECT_OK(queue.Delete((*held)[2].receipt_handle));
  EXPECT_OK(queue.ChangeMessageVisibility((*held)[3].receipt_handle, absl::ZeroDuration()));
  const std::vector<ReceivedMessage> released = ReceiveExactly(queue, 1);
  EXPECT_EQ(released[0].message_id, (*held)[3].message_id);
  EXPECT_EQ(released[0].receive_count, 2);
  Advance(absl::Seconds(101));
  EXPECT_THAT(ReceiveExactly(queue, 8), ::testing::SizeIs(8))
      << "six timed out, the released one, the delayed one";
  Advance(absl::Seconds(400));
  bool seen = false;
  EXPECT_TRUE(Eventually([&] {
    for (const ReceivedMessage& m : ReceiveAll(queue))
      seen = seen || m.message_id == (*held)[1].message_id;
    return seen;
  }));
}

TEST_P(LifecycleTest, DeletedMessageOnDiskOnlyStaysDeletedAfterRestart) {
  if (!CanReopen()) return;
  Queue queue = Create("q");
  for (int i = 0; i < 5; ++i) ASSERT_OK(queue.Send({.body = "m"}));
  const std::vector<ReceivedMessage> held = ReceiveExactly(queue, 5);
  Restart();
  queue = *host().GetQueue("q");
  // Nothing has been paged in yet: these deletes find their messages on disk. The first one twice.
  const std::vector<ReceiptHandle> handles = {held[0].receipt_handle, held[0].receipt_handle,
                                              held[3].receipt_handle};
  for (const absl::Status& status : queue.DeleteBatch(handles)) EXPECT_OK(status);
  Advance(absl::Hours(1));
  EXPECT_EQ(ReceiveExactly(queue, 3).size(), 3u);
  Restart();
  queue = *host().GetQueue("q");
  Advance(absl::Hours(1));
  EXPECT_EQ(ReceiveExactly(queue, 3).size(), 3u);
}

TEST_P(LifecycleTest, PurgeAndQueueDeletionHoldAfterRestart) {
  if (!CanReopen()) return;
  Queue purged = Create("purged");
  Queue deleted = Create("deleted");
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(purged.Send({.body = "old"}));
    ASSERT_OK(deleted.Send({.body = "old"}));
  }
  ASSERT_OK(purged.Purge());
  ASSERT_OK(host().DeleteQueue("deleted"));
  ASSERT_OK(purged.Send({.body = "new"}));
  Restart();
  purged = *host().GetQueue("purged");
  EXPECT_EQ(ReceiveExactly(purged, 1)[0].body, "new");
  EXPECT_TRUE(FailsWith(host().GetQueue("deleted"), "QueueDoesNotExist", "QueueName"));
  deleted = Create("deleted");
  EXPECT_TRUE(ReceiveAll(deleted).empty());
}

TEST_P(LifecycleTest, BacklogBeyondTheWindowStaysOnDiskAndComesBackWhole) {
  if (!CanReopen()) return;
  Queue queue = Create("deep");
  const std::string body(2000, 'x');
  const int kBatches = 50;
  const int kPerBatch = 1000;
  std::vector<OutgoingMessage> batch(kPerBatch, OutgoingMessage{.body = body});
  for (int i = 0; i < kBatches; ++i) {
    for (const auto& result : queue.SendBatch(batch)) ASSERT_OK(result);
  }
  // 100 MB sent; the window holds 64 MiB of it.
  EXPECT_LT(broker().Stats().resident_bytes, 80 << 20);
  EXPECT_EQ(queue.Describe()->visible, kBatches * kPerBatch);
  std::set<MessageId> seen;
  size_t deleted = 0;
  ASSERT_TRUE(Eventually([&] {
    for (;;) {
      const absl::StatusOr<std::vector<ReceivedMessage>> got =
          queue.Receive({.max_messages = 1000});
      if (!got.ok() || got->empty()) return deleted == static_cast<size_t>(kBatches * kPerBatch);
      std::vector<ReceiptHandle> handles;
      for (const ReceivedMessage& m : *got) {
        EXPECT_TRUE(seen.insert(m.message_id).second);
        handles.push_back(m.receipt_handle);
      }
      for (const absl::Status& status : queue.DeleteBatch(handles)) EXPECT_OK(status);
      deleted += handles.size();
    }
  }));
  EXPECT_EQ(queue.Describe()->visible, 0);
  EXPECT_EQ(broker().Stats().resident_messages, 0);
  // Resident again: what is sent now goes straight to the receivers.
  ASSERT_OK(queue.Send({.body = "after"}));
  EXPECT_EQ(ReceiveExactly(queue, 1)[0].body, "after");
}

}  // namespace
}  // namespace barista::testing
