// Queues that the settings want: created, changed, refused as a whole; never deleted.
#include "broker/server/queue_definitions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "barista/error.h"
#include "tests/server/log_capture.h"

namespace barista::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class QueueDefinitionsTest : public ::testing::Test {
 protected:
  QueueDefinitionsTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "barista-queues-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    BrokerOptions options;
    options.data_dir = directory_ + "/data";
    options.free_space_floor_bytes = 0;
    auto broker = Broker::Open(options);
    EXPECT_TRUE(broker.ok()) << broker.status();
    broker_ = *std::move(broker);
  }
  ~QueueDefinitionsTest() override {
    broker_.reset();
    std::filesystem::remove_all(directory_);
  }

  static QueueDefinition Queue(const std::string& name, const QueueAttributes& attributes = {},
                               std::optional<QueueTags> tags = std::nullopt) {
    return {name, "file:7", attributes, std::move(tags)};
  }
  static QueueAttributes Redrive(const std::string& target, int count = 3) {
    QueueAttributes attributes;
    attributes.redrive_policy = RedrivePolicy{target, count};
    return attributes;
  }
  static QueueAttributes Visibility(int seconds) {
    QueueAttributes attributes;
    attributes.visibility_timeout = absl::Seconds(seconds);
    return attributes;
  }
  static QueueAttributes Lasting(Durability durability) {
    QueueAttributes attributes;
    attributes.durability = durability;
    return attributes;
  }

  absl::Status SetUp(const std::vector<QueueDefinition>& definitions) {
    return SetUpQueues(definitions, broker_.get());
  }
  void MustSetUp(const std::vector<QueueDefinition>& definitions) {
    const absl::Status status = SetUp(definitions);
    EXPECT_TRUE(status.ok()) << status;
  }
  QueueDescription Describe(const std::string& name) {
    auto queue = broker_->GetQueue(name);
    EXPECT_TRUE(queue.ok()) << queue.status();
    return queue.ok() ? *queue->Describe() : QueueDescription();
  }
  std::vector<std::string> Names() { return broker_->ListQueues()->names; }

  std::string directory_;
  std::unique_ptr<Broker> broker_;
};

TEST_F(QueueDefinitionsTest, QueuesAreCreatedInWhateverOrder) {
  MustSetUp({Queue("source", Redrive("dead")), Queue("dead", Visibility(7), QueueTags{{"a", "b"}}),
             Queue("one", Redrive("other")), Queue("other", Redrive("one")),
             Queue("self", Redrive("self"))});
  EXPECT_THAT(Names(), ElementsAre("dead", "one", "other", "self", "source"));
  EXPECT_EQ(Describe("source").attributes.redrive_policy, (RedrivePolicy{"dead", 3}));
  EXPECT_EQ(Describe("one").attributes.redrive_policy, (RedrivePolicy{"other", 3}));
  EXPECT_EQ(Describe("other").attributes.redrive_policy, (RedrivePolicy{"one", 3}));
  EXPECT_EQ(Describe("dead").attributes.visibility_timeout, absl::Seconds(7));
  EXPECT_EQ(Describe("dead").tags, (QueueTags{{"a", "b"}}));
}

TEST_F(QueueDefinitionsTest, ASecondTimeChangesAndLogsNothing) {
  const std::vector<QueueDefinition> definitions = {
      Queue("source", Redrive("dead"), QueueTags{{"a", "b"}}), Queue("dead", Visibility(7))};
  MustSetUp(definitions);
  const uint64_t commits = broker_->Stats().commits;
  const LogCapture log;
  MustSetUp(definitions);
  EXPECT_EQ(broker_->Stats().commits, commits);
  EXPECT_EQ(log.text(), "");
}

TEST_F(QueueDefinitionsTest, TheFileWinsWhereAnAttributeMayChange) {
  QueueAttributes attributes = Visibility(30);
  attributes.delay = absl::Seconds(5);
  ASSERT_TRUE(broker_->CreateQueue("orders", attributes, {{"a", "1"}, {"b", "2"}}).ok());
  ASSERT_TRUE(broker_->CreateQueue("dead").ok());
  const LogCapture log;
  QueueAttributes wanted = Redrive("dead", 4);
  wanted.visibility_timeout = absl::Seconds(60);
  MustSetUp({Queue("orders", wanted, QueueTags{{"a", "3"}, {"c", "4"}})});
  const QueueDescription orders = Describe("orders");
  EXPECT_EQ(orders.attributes.visibility_timeout, absl::Seconds(60));
  EXPECT_EQ(orders.attributes.delay, absl::Seconds(5));  // not in the file
  EXPECT_EQ(orders.attributes.redrive_policy, (RedrivePolicy{"dead", 4}));
  EXPECT_EQ(orders.tags, (QueueTags{{"a", "3"}, {"c", "4"}}));
  EXPECT_THAT(
      log.text(),
      AllOf(HasSubstr("queue orders has changed: "), HasSubstr("VisibilityTimeout 60 (was 30)"),
            HasSubstr("tag a 3 (was 1)"), HasSubstr("tag b is gone (was 2)"),
            HasSubstr("RedrivePolicy"), HasSubstr("(file:7)"), Not(HasSubstr("LastModified"))));
}

TEST_F(QueueDefinitionsTest, TagsThatAreNotGivenStayAndEmptyOnesGo) {
  ASSERT_TRUE(broker_->CreateQueue("orders", {}, {{"a", "1"}}).ok());
  MustSetUp({Queue("orders")});
  EXPECT_EQ(Describe("orders").tags, (QueueTags{{"a", "1"}}));
  MustSetUp({Queue("orders", {}, QueueTags())});
  EXPECT_EQ(Describe("orders").tags, QueueTags());
}

TEST_F(QueueDefinitionsTest, AnEmptyPolicyRemovesOne) {
  MustSetUp({Queue("source", Redrive("dead")), Queue("dead")});
  MustSetUp({Queue("source", Redrive("", 0))});
  EXPECT_EQ(Describe("source").attributes.redrive_policy, std::nullopt);
}

TEST_F(QueueDefinitionsTest, NoQueueIsDeleted) {
  MustSetUp({Queue("first")});
  MustSetUp({Queue("second")});
  MustSetUp({});
  EXPECT_THAT(Names(), ElementsAre("first", "second"));
}

TEST_F(QueueDefinitionsTest, WhatCannotBeIsToldTogetherAndChangesNothing) {
  MustSetUp({Queue("old", Lasting(Durability::kOs)), Queue("weak", Lasting(Durability::kMemory))});
  QueueAttributes weaker = Redrive("weak");
  const std::vector<QueueDefinition> definitions = {
      Queue("fine"), Queue("old", Lasting(Durability::kFsync)), Queue("lost", Redrive("nowhere")),
      Queue("strong", weaker)};
  const absl::Status status = SetUp(definitions);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(GetErrorInfo(status).field, "queues");
  EXPECT_THAT(CheckQueues(definitions, broker_->options(), broker_.get()),
              ElementsAre(AllOf(HasSubstr("file:7: queue old: Durability: \"fsync\""),
                                HasSubstr("limit os")),
                          AllOf(HasSubstr("queue lost: RedrivePolicy"), HasSubstr("\"nowhere\"")),
                          AllOf(HasSubstr("queue strong: RedrivePolicy"),
                                HasSubstr("Durability memory"), HasSubstr("limit fsync"))));
  EXPECT_THAT(Names(), ElementsAre("old", "weak"));
}

TEST_F(QueueDefinitionsTest, APingIsAnsweredBehindWhatWasSubmittedAndCostsNoWrite) {
  const uint64_t commits = broker_->Stats().commits;
  absl::Notification open, closed;
  broker_->Ping([&] { open.Notify(); });
  EXPECT_TRUE(open.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_EQ(broker_->Stats().commits, commits);
  ASSERT_TRUE(broker_->Close().ok());
  broker_->Ping([&] { closed.Notify(); });
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST_F(QueueDefinitionsTest, WithoutABrokerOnlyTheFileIsLookedAt) {
  const BrokerOptions options = broker_->options();
  EXPECT_THAT(CheckQueues({Queue("a", Redrive("elsewhere"))}, options, nullptr), IsEmpty());
  QueueDefinition weak = Queue("weak", Lasting(Durability::kMemory));
  EXPECT_THAT(CheckQueues({Queue("a", Redrive("weak")), weak}, options, nullptr),
              ElementsAre(HasSubstr("queue a: RedrivePolicy")));
  // In memory every queue is as durable as the other, and none is more.
  BrokerOptions memory;
  EXPECT_THAT(CheckQueues({Queue("a", Redrive("weak")), weak}, memory, nullptr), IsEmpty());
  EXPECT_THAT(CheckQueues({Queue("a", Lasting(Durability::kOs))}, memory, nullptr),
              ElementsAre(AllOf(HasSubstr("\"os\""), HasSubstr("limit memory"))));
}

}  // namespace
}  // namespace barista::server
