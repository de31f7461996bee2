#include "client/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace barista::cli {
namespace {

using Kind = Completion::Kind;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

// A tree as that of the command, small.
class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    app_.add_option("--server", text_)->type_name("ADDRESS");
    app_.add_option("--output", text_, "How; text for people")
        ->check(CLI::IsMember({"text", "json"}))
        ->type_name("text|json");
    CLI::App* queue = app_.add_subcommand("queue", "Queues");
    queue->fallthrough();
    CLI::App* purge = queue->add_subcommand("purge", "Empty one");
    purge->fallthrough();
    purge->add_option("QUEUE", text_);
    CLI::App* send = app_.add_subcommand("send", "Send");
    send->fallthrough();
    send->add_option("QUEUE", text_);
    send->add_option("BODY", text_);
    send->add_option("--attribute", texts_)->allow_extra_args(false);
    send->add_option("--max", number_)->check(CLI::Range(1, 5))->type_name("N");
    send->add_option("--into", text_)->type_name("QUEUE");
    send->add_option("--file", text_)->type_name("FILE");
    send->add_option("--dir", text_)->type_name("DIR");
    send->add_flag("--lines", flag_);
    CLI::App* erase = app_.add_subcommand("erase", "Erase");
    erase->add_option("QUEUE", text_);
    erase->add_option("HANDLE", texts_);
    app_.add_subcommand("hidden", "")->group("");
  }

  Completion At(const std::vector<std::string>& words) { return Complete(app_, words); }
  std::vector<std::string> Texts(const std::vector<std::string>& words) {
    std::vector<std::string> texts;
    for (const auto& candidate : At(words).candidates) texts.push_back(candidate.text);
    return texts;
  }

  CLI::App app_;
  std::string text_;
  std::vector<std::string> texts_;
  int number_ = 0;
  bool flag_ = false;
};

TEST_F(CompletionTest, Commands) {
  EXPECT_THAT(Texts({""}), ElementsAre("queue", "send", "erase"));
  EXPECT_THAT(Texts({"s"}), ElementsAre("send"));
  EXPECT_THAT(Texts({"queue", ""}), ElementsAre("purge"));
  EXPECT_THAT(Texts({"queue", "x"}), IsEmpty());
}

TEST_F(CompletionTest, OptionsOfTheCommandAndOfTheWholeLine) {
  EXPECT_THAT(Texts({"--"}), ElementsAre("--help", "--server", "--output"));
  EXPECT_THAT(Texts({"queue", "purge", "--s"}), ElementsAre("--server"));
  EXPECT_THAT(Texts({"send", "--"}),
              ElementsAre("--help", "--attribute", "--max", "--into", "--file", "--dir", "--lines",
                          "--server", "--output"));
  // This one does not hand on what it does not know.
  EXPECT_THAT(Texts({"erase", "--"}), ElementsAre("--help"));
  EXPECT_EQ(At({"--o"}).candidates[0].help, "How");
}

TEST_F(CompletionTest, WhatWasGivenIsNotOfferedAgainUnlessItMayBeRepeated) {
  const auto texts =
      Texts({"send", "--lines", "--max", "3", "--attribute", "a=b", "--output=json", "--"});
  for (const char* given : {"--lines", "--max", "--output"}) {
    EXPECT_THAT(texts, Not(Contains(given)));
  }
  EXPECT_THAT(texts, Contains("--attribute"));
}

TEST_F(CompletionTest, ValuesOfAnOption) {
  EXPECT_THAT(Texts({"--output", ""}), ElementsAre("text", "json"));
  EXPECT_THAT(Texts({"send", "q", "--output", "j"}), ElementsAre("json"));
  EXPECT_THAT(Texts({"--output=j"}), ElementsAre("--output=json"));
  EXPECT_THAT(Texts({"--server", ""}), IsEmpty());
  EXPECT_THAT(Texts({"send", "--max", ""}), IsEmpty());
  EXPECT_THAT(Texts({"send", "--lines="}), IsEmpty());
  EXPECT_THAT(Texts({"--unknown=x"}), IsEmpty());
}

TEST_F(CompletionTest, Queues) {
  EXPECT_EQ(At({"send", "or"}).kind, Kind::kQueues);
  EXPECT_EQ(At({"send", "or"}).prefix, "or");
  EXPECT_EQ(At({"queue", "purge", ""}).kind, Kind::kQueues);
  EXPECT_EQ(At({"send", "orders", ""}).kind, Kind::kCandidates) << "a body";
  EXPECT_EQ(At({"send", "--into", ""}).kind, Kind::kQueues);
  const Completion joined = At({"send", "--into=de"});
  EXPECT_EQ(joined.kind, Kind::kQueues);
  EXPECT_EQ(joined.before, "--into=");
  EXPECT_EQ(joined.prefix, "de");
}

TEST_F(CompletionTest, OptionsBetweenThePlacesDoNotCount) {
  EXPECT_EQ(At({"send", "--max", "3", "--lines", "or"}).kind, Kind::kQueues);
  EXPECT_EQ(At({"send", "--max=3", "--", "-x"}).kind, Kind::kQueues);
  EXPECT_EQ(At({"send", "--", "q", "--output"}).kind, Kind::kCandidates);
  EXPECT_THAT(Texts({"send", "--", "q", "--output"}), IsEmpty());
}

TEST_F(CompletionTest, NamesOfCommandsBehindACommandAreOrdinaryWords) {
  EXPECT_EQ(At({"send", "queue", ""}).kind, Kind::kCandidates);
  EXPECT_THAT(Texts({"send", "send"}), IsEmpty());
  EXPECT_EQ(At({"send", "send"}).kind, Kind::kQueues);
}

TEST_F(CompletionTest, FilesAndDirectories) {
  EXPECT_EQ(At({"send", "--file", ""}).kind, Kind::kFiles);
  EXPECT_EQ(At({"send", "--file=a"}).kind, Kind::kFiles);
  EXPECT_EQ(At({"send", "--dir", ""}).kind, Kind::kDirectories);
}

TEST_F(CompletionTest, OptionsWhereNothingElseMayStand) {
  EXPECT_THAT(Texts({"queue", "purge", "orders", ""}),
              ElementsAre("--help", "--server", "--output"));
}

TEST_F(CompletionTest, KeepsTheOptionsOfTheWholeLine) {
  EXPECT_THAT(At({"--server", "a:1", "send", "--output=json", "--max", "3", ""}).globals,
              ElementsAre("--server", "a:1", "--output", "json"));
  EXPECT_THAT(At({"send", "--server", ""}).globals, IsEmpty());
}

TEST_F(CompletionTest, ProblemsWithCommandsAreNamed) {
  EXPECT_EQ(ProblemWithCommand(app_, {"queue", "purge", "x"}), "");
  EXPECT_EQ(ProblemWithCommand(app_, {"send", "queue", "--max", "3"}), "");
  EXPECT_EQ(ProblemWithCommand(app_, {}), "barista wants a command: queue, send, erase");
  EXPECT_EQ(ProblemWithCommand(app_, {"--output", "json", "brew", "it"}),
            "\"brew\" is no command of barista: queue, send, erase");
  EXPECT_EQ(ProblemWithCommand(app_, {"queue"}), "barista queue wants a command: purge");
  EXPECT_EQ(ProblemWithCommand(app_, {"queue", "--server", "a:1", "prge", "x"}),
            "\"prge\" is no command of barista queue: purge");
}

TEST(SplitBashLineTest, Words) {
  EXPECT_THAT(SplitBashLine(""), ElementsAre(""));
  EXPECT_THAT(SplitBashLine("barista"), ElementsAre("barista"));
  EXPECT_THAT(SplitBashLine("barista  queue "), ElementsAre("barista", "queue", ""));
  EXPECT_THAT(SplitBashLine("barista --server 127.0.0.1:1 qu"),
              ElementsAre("barista", "--server", "127.0.0.1:1", "qu"));
  EXPECT_THAT(SplitBashLine(R"(b 'two espressos' "a\"b" c\ d --output=)"),
              ElementsAre("b", "two espressos", "a\"b", "c d", "--output="));
  EXPECT_THAT(SplitBashLine("b 'open quo te"), ElementsAre("b", "open quo te"));
  EXPECT_THAT(SplitBashLine("b ''"), ElementsAre("b", ""));
}

}  // namespace
}  // namespace barista::cli
