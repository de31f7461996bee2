// What the broker tells of itself for metrics, on every kind of broker.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/conformance/conformance_test.h"

namespace barista::testing {
namespace {

class StatsTest : public ConformanceTest {
 protected:
  void Send(Queue& queue, int messages) {
    for (int i = 0; i < messages; ++i) EXPECT_OK(queue.Send({.body = "espresso"}));
  }
  QueueSurvey Survey(const SurveyOptions& options = {}) {
    const absl::StatusOr<QueueSurvey> survey = broker().SurveyQueues(options);
    EXPECT_OK(survey);
    return survey.ok() ? *survey : QueueSurvey();
  }
  static std::vector<std::string> Names(const QueueSurvey& survey) {
    std::vector<std::string> names;
    for (const QueueSurvey::Entry& entry : survey.deepest) names.push_back(entry.queue);
    return names;
  }
};

TEST_P(StatsTest, SurveyCountsAllAndListsTheDeepest) {
  std::vector<Queue> queues;
  for (int i = 0; i < 5; ++i) {
    queues.push_back(Create(absl::StrCat("q", i)));
    Send(queues.back(), i);
  }
  EXPECT_OK(queues[4].Send({.body = "later", .delay = absl::Minutes(5)}));
  EXPECT_EQ(ReceiveAll(queues[3]).size(), 3u);

  const QueueSurvey survey = Survey({.max_queues = 2});
  EXPECT_EQ(survey.queues, 5);
  EXPECT_EQ(survey.total.visible, 0 + 1 + 2 + 0 + 4);
  EXPECT_EQ(survey.total.in_flight, 3);
  EXPECT_EQ(survey.total.delayed, 1);
  ASSERT_EQ(Names(survey), (std::vector<std::string>{"q4", "q3"}));
  EXPECT_EQ(survey.deepest[0].counts.visible, 4);
  EXPECT_EQ(survey.deepest[0].counts.delayed, 1);
  EXPECT_EQ(survey.deepest[1].counts.in_flight, 3);
}

TEST_P(StatsTest, SurveyOfAPrefixSeesNoOthers) {
  // More than are visited together, and names just before and behind the prefix.
  for (int i = 0; i < 150; ++i) Create(absl::StrCat("bar-", 1000 + i));
  for (const char* other : {"a", "bar", "bar0", "bas"}) Create(other);
  EXPECT_EQ(Survey({.prefix = "bar-"}).queues, 150);
  EXPECT_EQ(Survey().queues, 154);
  EXPECT_EQ(Survey({.prefix = "bar-1149"}).queues, 1);
  EXPECT_EQ(Survey({.prefix = "baz"}).queues, 0);
}

TEST_P(StatsTest, QueuesOfEqualDepthAreListedByName) {
  for (const char* name : {"c", "a", "d", "b"}) Create(name);
  EXPECT_EQ(Names(Survey()), (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST_P(StatsTest, SurveySeesQueuesThatTookThePlaceOfDeletedOnes) {
  for (const char* name : {"a", "b", "c"}) Create(name);
  ASSERT_OK(broker().DeleteQueue("b"));
  EXPECT_EQ(Names(Survey()), (std::vector<std::string>{"a", "c"}));
  for (const char* name : {"d", "e"}) Create(name);
  EXPECT_EQ(Names(Survey()), (std::vector<std::string>{"a", "c", "d", "e"}));
  EXPECT_EQ(Survey().queues, 4);
}

TEST_P(StatsTest, SurveyListsAsManyQueuesAsItsLimitAndNoneMore) {
  Create("a");
  EXPECT_EQ(Names(Survey({.max_queues = kMaxSurveyedQueues})), (std::vector<std::string>{"a"}));
  EXPECT_TRUE(Survey({.max_queues = 0}).deepest.empty());
  for (const int max_queues : {-1, kMaxSurveyedQueues + 1}) {
    EXPECT_TRUE(FailsWith(broker().SurveyQueues({.max_queues = max_queues}),
                          "InvalidParameterValue", "max_queues"));
  }
}

TEST_P(StatsTest, ReceiveLatencyIsFromTheSendToTheFirstReceive) {
  Queue queue = Create("orders", {.visibility_timeout = absl::Seconds(1)});
  Send(queue, 3);
  Advance(absl::Seconds(2));
  ASSERT_EQ(ReceiveExactly(queue, 3, absl::Seconds(1)).size(), 3u);
  Advance(absl::Seconds(5));
  ASSERT_EQ(ReceiveExactly(queue, 3).size(), 3u);  // again: counts no more
  const HistogramStats latency = broker().Stats().receive_latency;
  EXPECT_EQ(latency.count(), 3u);
  EXPECT_NEAR(latency.sum, 6, 0.001);
  EXPECT_EQ(latency.upper_bounds.size() + 1, latency.counts.size());
}

TEST_P(StatsTest, BatchesAreCountedOnceEach) {
  Queue queue = Create("orders");
  Send(queue, 3);
  const BrokerStats stats = broker().Stats();
  EXPECT_EQ(stats.commit_batch_operations.count(), stats.commits);
  EXPECT_EQ(stats.commit_batch_bytes.count(), stats.commits);
  EXPECT_EQ(stats.sync_latency.count(), stats.syncs);
  EXPECT_EQ(stats.commit_batch_operations.sum, static_cast<double>(stats.commit_operations));
  EXPECT_GE(stats.commits, GetParam().durability == Durability::kMemory ? 1u : 4u);
}

TEST_P(StatsTest, AgeIsThatOfTheOldestMessage) {
  Queue queue = Create("orders");
  EXPECT_EQ(queue.Describe()->oldest_message_age, absl::ZeroDuration());
  Send(queue, 1);
  Advance(absl::Seconds(10));
  Send(queue, 1);
  Advance(absl::Seconds(5));
  EXPECT_EQ(queue.Describe()->oldest_message_age, absl::Seconds(15));
  EXPECT_EQ(Survey().total.oldest_message_age, absl::Seconds(15));
  const auto oldest = queue.Receive();
  ASSERT_OK(oldest);
  ASSERT_EQ(oldest->size(), 1u);
  EXPECT_OK(queue.Delete(oldest->front().receipt_handle));
  // The sweep looks.
  Advance(absl::Seconds(61));
  const absl::Time other_sent = oldest->front().sent_at + absl::Seconds(10);
  EXPECT_TRUE(Eventually([&] {
    Advance(absl::Milliseconds(250));  // its turn is a lazy one
    return queue.Describe()->oldest_message_age == clock_.Now() - other_sent;
  }));
}

TEST_P(StatsTest, EmptyQueueHasNoAge) {
  Queue queue = Create("orders");
  Send(queue, 1);
  Advance(absl::Seconds(10));
  for (const ReceivedMessage& message : ReceiveExactly(queue, 1)) {
    EXPECT_OK(queue.Delete(message.receipt_handle));
  }
  EXPECT_EQ(queue.Describe()->oldest_message_age, absl::ZeroDuration());
  Send(queue, 1);  // and what comes next is not as old
  EXPECT_EQ(queue.Describe()->oldest_message_age, absl::ZeroDuration());
}

TEST_P(StatsTest, AgeIsKnownAgainAfterARestart) {
  if (!CanReopen()) return;
  {
    Queue queue = Create("orders");
    Send(queue, 1);
  }
  Advance(absl::Seconds(10));
  Restart();
  Queue queue = *broker().GetQueue("orders");
  Advance(absl::Seconds(61));
  EXPECT_TRUE(Eventually([&] {
    Advance(absl::Milliseconds(250));
    return queue.Describe()->oldest_message_age >= absl::Seconds(71);
  }));
}

TEST_P(StatsTest, StorageTellsWhatItTakes) {
  Queue queue = Create("orders");
  Send(queue, 10);
  const absl::StatusOr<StorageStats> stats = broker().StatStorage();
  ASSERT_OK(stats);
  EXPECT_EQ(stats->disk_bytes > 0, GetParam().on_disk);
  EXPECT_EQ(stats->log_bytes > 0, GetParam().on_disk);
  EXPECT_GE(stats->disk_bytes, stats->log_bytes + stats->table_bytes + stats->blob_bytes);
  EXPECT_EQ(stats->free_bytes > 0, GetParam().on_disk);
  EXPECT_FALSE(stats->write_stalled);
  EXPECT_EQ(stats->write_stops, 0u);
}

TEST_P(StatsTest, ClosedBrokerTellsNothingMore) {
  ASSERT_OK(broker().Close());
  EXPECT_TRUE(FailsWith(broker().SurveyQueues(), "BrokerClosed", ""));
  EXPECT_TRUE(FailsWith(broker().StatStorage(), "BrokerClosed", ""));
}

INSTANTIATE_TEST_SUITE_P(Brokers, StatsTest, ::testing::ValuesIn(AllBrokerKinds()), KindName);

}  // namespace
}  // namespace barista::testing
