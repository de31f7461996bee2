// The token file: its form, its privacy, its limits, and finding a token.
#include "broker/server/security/token_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/server/server_fixture.h"
#include "tests/server/token_file.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

absl::StatusOr<std::shared_ptr<const TokenTable>> Parse(const std::string& text) {
  return TokenTable::Parse(text, "tokens.yaml");
}

std::string TokenLines(const std::string& name, const std::string& secret,
                       const std::string& roles = "") {
  return absl::StrCat("  - {name: ", name, ", sha256: ", Sha256Hex(secret),
                      roles.empty() ? "" : ", ", roles, "}\n");
}

TEST(TokenTableTest, FindsATokenByItsSecretOnly) {
  const auto table =
      Parse("tokens:\n" + TokenLines("kitchen", "s3cret") + TokenLines("bar", "other"));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ((*table)->size(), 2u);
  ASSERT_NE((*table)->Find("s3cret"), nullptr);
  EXPECT_EQ((*table)->Find("s3cret")->name, "kitchen");
  EXPECT_EQ((*table)->Find("other")->name, "bar");
  for (const std::string& wrong :
       {std::string(), std::string("s3cre"), std::string("s3cret "), std::string("kitchen"),
        Sha256Hex("s3cret"), std::string(TokenTable::kMaxTokenBytes + 1, 'x')}) {
    EXPECT_EQ((*table)->Find(wrong), nullptr) << wrong;
  }
}

TEST(TokenTableTest, LongestTokenIsFoundAndOneMoreIsNot) {
  const std::string longest(TokenTable::kMaxTokenBytes, 'x');
  const auto table = Parse("tokens:\n" + TokenLines("a", longest) + TokenLines("b", longest + "x"));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_NE((*table)->Find(longest), nullptr);
  EXPECT_EQ((*table)->Find(longest + "x"), nullptr);
}

TEST(TokenTableTest, RolesCoverNamesPrefixesOrAll) {
  const auto table =
      Parse("tokens:\n" + TokenLines("a", "1", "send: [orders, \"shop-*\"], admin: all"));
  ASSERT_TRUE(table.ok()) << table.status();
  const Token& token = *(*table)->Find("1");
  EXPECT_TRUE(token.send.Covers("orders"));
  EXPECT_TRUE(token.send.Covers("shop-1"));
  EXPECT_TRUE(token.send.Covers("shop-"));
  for (const char* other : {"", "order", "orders2", "shop", "Orders"}) {
    EXPECT_FALSE(token.send.Covers(other)) << other;
  }
  EXPECT_TRUE(token.send.CoversPrefix("shop-x"));
  EXPECT_FALSE(token.send.CoversPrefix("orders"));
  EXPECT_FALSE(token.send.CoversPrefix(""));
  EXPECT_TRUE(token.admin.Covers(""));
  EXPECT_TRUE(token.admin.Covers("any"));
  EXPECT_TRUE(token.admin.CoversPrefix(""));
  EXPECT_FALSE(token.receive.Covers("orders"));
}

TEST(TokenTableTest, QueueCalledAllIsNotAllQueues) {
  const auto table = Parse("tokens:\n" + TokenLines("a", "1", "send: [all]"));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_TRUE((*table)->Find("1")->send.Covers("all"));
  EXPECT_FALSE((*table)->Find("1")->send.Covers("orders"));
}

TEST(TokenTableTest, ErrorsNameTheLineAndWhatIsWrong) {
  const std::string good = Sha256Hex("x");
  const std::pair<std::string, std::string> cases[] = {
      {"", "tokens.yaml:1: expected one key"},
      {"- a", "tokens.yaml:1: expected one key"},
      {"tokens: 3", "tokens.yaml:1: expected one key"},
      {"tokens: []\nmore: 1", "tokens.yaml:1: expected one key"},
      {"tokens:\n  - : {", "tokens.yaml:"},
      {"tokens:\n  - word", "tokens.yaml:2: expected a token"},
      {"tokens:\n  - sha256: " + good, "tokens.yaml:2: the token has no name"},
      {"tokens:\n  - name: a", "tokens.yaml:2: the token has no sha256"},
      {"tokens:\n  - name: a b\n    sha256: " + good, "tokens.yaml:2: name: expected 1 to 80"},
      {"tokens:\n  - name: a\n    name: b", "tokens.yaml:3: name: given twice"},
      {"tokens:\n  - name: a\n    colour: red", "tokens.yaml:3: unknown key \"colour\""},
      {"tokens:\n  - name: a\n    send: orders", "tokens.yaml:3: send: expected all, or a list"},
      {"tokens:\n  - name: a\n    send: [\"*\"]", "send: all"},
      {"tokens:\n  - name: a\n    send: [\"a*b\"]", "\"a*b\" is neither"},
      {"tokens:\n  - name: a\n    send: [\"\"]", "\"\" is neither"},
      {"tokens:\n" + TokenLines("a", "1") + TokenLines("a", "2"),
       "tokens.yaml:3: there are two tokens with the name a"},
      {"tokens:\n" + TokenLines("a", "1") + TokenLines("b", "1"),
       "tokens.yaml:3: b has the sha256 of another token"},
  };
  for (const auto& [text, what] : cases) {
    const absl::Status status = Parse(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(Message(status), HasSubstr(what)) << text;
  }
}

TEST(TokenTableTest, ErrorsDoNotQuoteWhatStandsForADigest) {
  const std::string text = "tokens:\n  - name: a\n    sha256: the-token-itself\n";
  const absl::Status status = Parse(text).status();
  EXPECT_THAT(Message(status), StartsWith("tokens.yaml:3: sha256: expected 64 hexadecimal digits"));
  EXPECT_THAT(Message(status), Not(HasSubstr("the-token-itself")));
}

TEST(TokenTableTest, LimitsAtAndPastTheEdge) {
  const auto with_queues = [](size_t count) {
    std::string queues;
    for (size_t i = 0; i < count; ++i) absl::StrAppend(&queues, "q", i, ",");
    return Parse("tokens:\n" + TokenLines("a", "1", "send: [" + queues + "]")).status();
  };
  EXPECT_TRUE(with_queues(TokenTable::kMaxQueuesPerRole).ok());
  EXPECT_THAT(Message(with_queues(TokenTable::kMaxQueuesPerRole + 1)),
              HasSubstr("101 queues; limit 100"));
  const auto with_name = [](size_t bytes) {
    return Parse("tokens:\n" + TokenLines(std::string(bytes, 'n'), "1")).status();
  };
  EXPECT_TRUE(with_name(TokenTable::kMaxNameBytes).ok());
  EXPECT_FALSE(with_name(TokenTable::kMaxNameBytes + 1).ok());
  std::string text = "tokens:\n";
  for (size_t i = 0; i < TokenTable::kMaxTokens; ++i) {
    text += TokenLines(absl::StrCat("t", i), absl::StrCat(i));
  }
  EXPECT_TRUE(Parse(text).ok());
  text += TokenLines("more", "more");
  EXPECT_THAT(Message(Parse(text).status()), HasSubstr("10001 tokens; limit 10000"));
}

TEST(TokenTableTest, FileThatOthersCanUseIsRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory / "tokens.yaml";
  std::ofstream(path) << "tokens:\n" << TokenLines("a", "1");
  for (const int mode : {0600, 0400}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    EXPECT_TRUE(TokenTable::Load(path).ok()) << mode;
  }
  for (const int mode : {0640, 0604, 0620, 0602, 0610, 0644, 0777}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const absl::Status status = TokenTable::Load(path).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << mode;
    EXPECT_THAT(Message(status), HasSubstr("chmod 600 " + path));
  }
}

TEST(TokenTableTest, WhatIsNoSmallFileIsRefused) {
  const TemporaryDirectory directory;
  EXPECT_THAT(Message(TokenTable::Load(directory / "none").status()),
              HasSubstr("none: No such file"));
  const std::string folder = directory / "folder";
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  EXPECT_THAT(Message(TokenTable::Load(folder).status()), HasSubstr("is no regular file"));
  const std::string fifo = directory / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(Message(TokenTable::Load(fifo).status()), HasSubstr("is no regular file"));

  const std::string path = directory / "large";
  const std::string tokens = "tokens:\n" + TokenLines("a", "1");
  const std::string filler(TokenTable::kMaxFileBytes - tokens.size() - 2, 'x');
  std::ofstream(path) << tokens << "# " << filler;
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_TRUE(TokenTable::Load(path).ok());
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_THAT(Message(TokenTable::Load(path).status()), HasSubstr("more than 4194304 bytes"));
}

}  // namespace
}  // namespace barista::server
