#include "client/cli/line_reader.h"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace barista::cli {
namespace {

// A pipe that is written by the test and read by a LineReader.
class LineReaderTest : public ::testing::Test {
 protected:
  LineReaderTest() {
    if (pipe(fds_) != 0) std::abort();
  }
  ~LineReaderTest() override {
    close(fds_[0]);
    CloseInput();
  }
  void Write(const std::string& text) {
    ASSERT_EQ(write(fds_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void CloseInput() {
    if (fds_[1] >= 0) close(fds_[1]);
    fds_[1] = -1;
  }
  std::vector<std::string> ReadAll(LineReader& reader) {
    std::vector<std::string> lines;
    LineReader::Line line;
    while (*reader.Next(line)) lines.push_back(line.text);
    return lines;
  }

  int fds_[2];
};

TEST_F(LineReaderTest, LinesWithAndWithoutLastNewline) {
  Write(std::string("one\n\n\0two\r\nthree", 16));
  CloseInput();
  LineReader reader(fds_[0], 100);
  EXPECT_EQ(ReadAll(reader),
            (std::vector<std::string>{"one", "", std::string("\0two\r", 5), "three"}));
}

TEST_F(LineReaderTest, EmptyInputHasNoLine) {
  CloseInput();
  LineReader reader(fds_[0], 100);
  LineReader::Line line;
  EXPECT_FALSE(*reader.Next(line));
  EXPECT_FALSE(*reader.Next(line));
}

TEST_F(LineReaderTest, NumbersCountEmptyLinesToo) {
  Write("a\n\nb\n");
  CloseInput();
  LineReader reader(fds_[0], 100);
  LineReader::Line line;
  for (int64_t number = 1; number <= 3; ++number) {
    ASSERT_TRUE(*reader.Next(line));
    EXPECT_EQ(line.number, number);
  }
  EXPECT_FALSE(*reader.Next(line));
}

TEST_F(LineReaderTest, LongLineIsCutButCounted) {
  Write("12345678\nab\n");
  CloseInput();
  LineReader reader(fds_[0], 5);
  LineReader::Line line;
  ASSERT_TRUE(*reader.Next(line));
  EXPECT_EQ(line.text, "12345");
  EXPECT_EQ(line.bytes, 8);
  ASSERT_TRUE(*reader.Next(line));
  EXPECT_EQ(line.text, "ab");
}

TEST_F(LineReaderTest, ReadySaysWhetherNextWouldWait) {
  LineReader reader(fds_[0], 100);
  EXPECT_FALSE(reader.Ready());
  Write("a\nb\n");
  EXPECT_TRUE(reader.Ready());
  LineReader::Line line;
  ASSERT_TRUE(*reader.Next(line));
  EXPECT_TRUE(reader.Ready());
  ASSERT_TRUE(*reader.Next(line));
  EXPECT_FALSE(reader.Ready());
  CloseInput();
  EXPECT_TRUE(reader.Ready());
}

TEST_F(LineReaderTest, ReadErrorIsReported) {
  LineReader reader(-1, 100);
  LineReader::Line line;
  EXPECT_EQ(reader.Next(line).status().code(), absl::StatusCode::kUnknown);
}

}  // namespace
}  // namespace barista::cli
