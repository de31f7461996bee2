// The YAML file of --config: queues, their limits, and errors with lines.
#include "broker/server/settings_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace barista::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SettingsFileTest : public ::testing::Test {
 protected:
  SettingsFileTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "barista-file-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/barista.yaml";
  }
  ~SettingsFileTest() override { std::filesystem::remove_all(directory_); }

  SettingsFile Read(const std::string& text) {
    std::ofstream(path_) << text;
    errors_.clear();
    return ReadSettingsFile(path_, &errors_);
  }
  // The errors of `text`.
  std::vector<std::string> ErrorsOf(const std::string& text) {
    Read(text);
    return errors_;
  }

  std::string directory_, path_;
  std::vector<std::string> errors_;
};

TEST_F(SettingsFileTest, QueuesHaveAttributesAndTags) {
  const SettingsFile file = Read(R"(
region: eu-1
queues:
  - name: orders
    attributes:
      VisibilityTimeout: 60
      Durability: os
      RedrivePolicy: {deadLetterQueue: orders-dead, maxReceiveCount: 5}
    tags: {team: bar, cost: "7"}
  - name: orders-dead
  - name: plain
    attributes:
    tags:
)");
  ASSERT_THAT(errors_, IsEmpty());
  EXPECT_EQ(file.settings.at("region").value, "eu-1");
  EXPECT_EQ(file.settings.at("region").where, path_ + ":2");
  ASSERT_THAT(file.queues, SizeIs(3));
  const QueueDefinition& orders = file.queues[0];
  EXPECT_EQ(orders.name, "orders");
  EXPECT_EQ(orders.where, path_ + ":4");
  EXPECT_EQ(orders.attributes.visibility_timeout, absl::Seconds(60));
  EXPECT_EQ(orders.attributes.durability, Durability::kOs);
  EXPECT_EQ(orders.attributes.redrive_policy, (RedrivePolicy{"orders-dead", 5}));
  EXPECT_EQ(orders.attributes.delay, std::nullopt);
  EXPECT_EQ(orders.tags, (QueueTags{{"team", "bar"}, {"cost", "7"}}));
  EXPECT_EQ(file.queues[1].tags, std::nullopt);
  EXPECT_EQ(file.queues[2].tags, QueueTags());
}

TEST_F(SettingsFileTest, RedrivePolicyMayBeWrittenAsAwsDoes) {
  const SettingsFile file = Read(R"(queues:
  - name: json
    attributes: {RedrivePolicy: '{"deadLetterTargetArn":"arn:aws:sqs:r:1:d","maxReceiveCount":3}'}
  - name: arn
    attributes: {RedrivePolicy: {deadLetterTargetArn: "arn:aws:sqs:r:1:d", maxReceiveCount: 3}}
  - name: none
    attributes: {RedrivePolicy: ""}
)");
  ASSERT_THAT(errors_, IsEmpty());
  ASSERT_THAT(file.queues, SizeIs(3));
  EXPECT_EQ(file.queues[0].attributes.redrive_policy, (RedrivePolicy{"d", 3}));
  EXPECT_EQ(file.queues[1].attributes.redrive_policy, (RedrivePolicy{"d", 3}));
  EXPECT_EQ(file.queues[2].attributes.redrive_policy, RedrivePolicy());
}

TEST_F(SettingsFileTest, ErrorsNameLineQueueAttributeValueAndLimit) {
  EXPECT_THAT(
      ErrorsOf(R"(queues:
  - name: orders
    attributes:
      VisibilityTimeout: 43201
      Sugar: 2
      QueueArn: x
      Durability: [os]
    tags: {"": x}
  - name: orders
    colour: red
  - name: "two words"
  - attributes: {}
  - espresso
)"),
      ElementsAre(
          AllOf(HasSubstr("barista.yaml:4: queue orders: "), HasSubstr("VisibilityTimeout"),
                HasSubstr("\"43201\""), HasSubstr("0 to 43200")),
          HasSubstr("barista.yaml:5: queue orders: Unknown Attribute Sugar"),
          HasSubstr("barista.yaml:6: queue orders: The attribute QueueArn"),
          HasSubstr("barista.yaml:7: queue orders: \"Durability\": expected one"),
          AllOf(HasSubstr("barista.yaml:8: queue orders: Tags"), HasSubstr("1 to 128 bytes")),
          HasSubstr("barista.yaml:10: queues: unknown key \"colour\""),
          HasSubstr("barista.yaml:9: queue orders: given twice"),
          AllOf(HasSubstr("barista.yaml:11: queues: name: "), HasSubstr("two words"),
                HasSubstr("1 to 80")),
          HasSubstr("barista.yaml:12: queue without a name: expected a name"),
          HasSubstr("barista.yaml:13: queues: expected a queue")));
}

TEST_F(SettingsFileTest, RedrivePolicyThatIsNoneIsNamed) {
  const auto error = [this](const std::string& policy) {
    const auto errors = ErrorsOf(
        absl::StrCat("queues:\n  - name: a\n    attributes:\n      RedrivePolicy: ", policy, "\n"));
    EXPECT_THAT(errors, SizeIs(1)) << policy;
    return errors.empty() ? "" : errors[0];
  };
  EXPECT_THAT(error("{deadLetterQueue: d}"), HasSubstr("maxReceiveCount"));
  EXPECT_THAT(error("{deadLetterQueue: d, maxReceiveCount: 0}"), HasSubstr("1 to 1000"));
  EXPECT_THAT(error("{deadLetterQueue: d, maxReceiveCount: 1001}"), HasSubstr("1001"));
  EXPECT_THAT(error("{deadLetterQueue: 'd d', maxReceiveCount: 1}"), HasSubstr("d d"));
  EXPECT_THAT(error("{deadLetterQueue: d, deadLetterTargetArn: a, maxReceiveCount: 1}"),
              HasSubstr("twice"));
  EXPECT_THAT(error("{dlq: d, maxReceiveCount: 1}"), HasSubstr("unknown key \"dlq\""));
  EXPECT_THAT(error("{deadLetterQueue: [d], maxReceiveCount: 1}"), HasSubstr("one value"));
  EXPECT_THAT(error("d"), AllOf(HasSubstr(":4: queue a: "), HasSubstr("JSON")));
}

TEST_F(SettingsFileTest, NumberOfQueuesIsLimited) {
  std::string text = "queues:\n";
  for (size_t i = 0; i < QueueDefinition::kMaxInFile; ++i) {
    absl::StrAppend(&text, "  - name: q", i, "\n");
  }
  EXPECT_THAT(Read(text).queues, SizeIs(QueueDefinition::kMaxInFile));
  EXPECT_THAT(errors_, IsEmpty());
  absl::StrAppend(&text, "  - name: one-more\n");
  EXPECT_THAT(ErrorsOf(text), ElementsAre(HasSubstr("there are 10001; limit 10000")));
}

TEST_F(SettingsFileTest, NumberOfTagsIsLimited) {
  const auto with_tags = [](int count) {
    std::string text = "queues:\n  - name: q\n    tags:\n";
    for (int i = 0; i < count; ++i) absl::StrAppend(&text, "      k", i, ": v\n");
    return text;
  };
  EXPECT_THAT(ErrorsOf(with_tags(50)), IsEmpty());
  EXPECT_THAT(ErrorsOf(with_tags(51)), ElementsAre(HasSubstr("51 tags, limit 50")));
  EXPECT_THAT(ErrorsOf(with_tags(5000)), ElementsAre(HasSubstr("up to 50 tags")));
}

TEST_F(SettingsFileTest, SizeIsLimited) {
  const std::string line = "region: eu-1\n#";
  EXPECT_THAT(ErrorsOf(line + std::string(SettingsFile::kMaxBytes - line.size(), 'x')), IsEmpty());
  EXPECT_THAT(ErrorsOf(line + std::string(SettingsFile::kMaxBytes - line.size() + 1, 'x')),
              ElementsAre(HasSubstr("more than 4194304 bytes")));
}

TEST_F(SettingsFileTest, ManyErrorsAreCutOff) {
  std::string text;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, "key", i, ": 1\n");
  const std::vector<std::string> errors = ErrorsOf(text);
  ASSERT_THAT(errors, SizeIs(SettingsFile::kMaxErrors + 1));
  EXPECT_THAT(errors.back(), HasSubstr("there are more errors"));
}

TEST_F(SettingsFileTest, AliasesDoNotMultiply) {
  // 10 to the power of 30 leaves, if somebody counted them.
  std::string text = "bomb0: &b0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    absl::StrAppend(&text, "bomb", i, ": &b", i, " [");
    for (int j = 0; j < 10; ++j) absl::StrAppend(&text, j == 0 ? "*b" : ", *b", i - 1);
    absl::StrAppend(&text, "]\n");
  }
  absl::StrAppend(&text, "queues: [*b29, {name: *b29, attributes: *b29, tags: {a: *b29}}]\n");
  EXPECT_THAT(ErrorsOf(text), SizeIs(SettingsFile::kMaxErrors + 1));
  const std::string in_tags =
      "queues:\n  - name: q\n    tags: &t {a: b}\n  - name: r\n    tags: *t\n";
  EXPECT_THAT(Read(in_tags).queues, SizeIs(2));
  EXPECT_THAT(errors_, IsEmpty());
  // One queue many times, and each time a map that is too large.
  std::string many = "queues:\n  - &q\n    name: q\n    tags:\n";
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&many, "      k", i, ": v\n");
  for (int i = 0; i < 9'000; ++i) absl::StrAppend(&many, "  - *q\n");
  EXPECT_THAT(ErrorsOf(many), SizeIs(SettingsFile::kMaxErrors + 1));
}

TEST_F(SettingsFileTest, DeepNestingIsAnErrorAndNoOverflow) {
  EXPECT_THAT(ErrorsOf("queues: " + std::string(100'000, '[')),
              ElementsAre(HasSubstr("barista.yaml:")));
  EXPECT_THAT(ErrorsOf("queues: " + std::string(100'000, '{')),
              ElementsAre(HasSubstr("barista.yaml:")));
}

TEST_F(SettingsFileTest, WhatIsNoSettingsFileIsRefused) {
  EXPECT_THAT(ErrorsOf("queues: orders\n"), ElementsAre(HasSubstr("expected a list")));
  EXPECT_THAT(ErrorsOf("region: a\nqueues:\n  - name: q\n    name: r\n"),
              ElementsAre(HasSubstr("barista.yaml:4: queues: name: given twice")));
  EXPECT_THAT(ErrorsOf("region: a\n---\nregion: b\n"), ElementsAre(HasSubstr("second document")));
  // The parser does not move past it.
  EXPECT_THAT(ErrorsOf(",c"), ElementsAre(HasSubstr(":1: a second document")));
  EXPECT_THAT(ErrorsOf("region: {a\n"), ElementsAre(HasSubstr("barista.yaml:")));
  EXPECT_THAT(ErrorsOf("[a]: b\n"), ElementsAre(HasSubstr("barista.yaml:1: unknown key")));
  EXPECT_THAT(ErrorsOf("region: *none\n"), ElementsAre(HasSubstr("barista.yaml:1: ")));
  std::filesystem::remove(path_);
  ReadSettingsFile(path_, &(errors_ = {}));
  EXPECT_THAT(errors_, ElementsAre(HasSubstr("barista.yaml: ")));
}

}  // namespace
}  // namespace barista::server
