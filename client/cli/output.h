#ifndef BARISTA_CLIENT_CLI_OUTPUT_H_
#define BARISTA_CLIENT_CLI_OUTPUT_H_

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace barista::cli {

enum class Format { kText, kJson };

// What a command ends with (ARCHITECTURE.md, "Contracts").
enum ExitCode { kDone = 0, kRefused = 1, kWrongUsage = 2, kNotReachable = 3 };

// The status of a command line that cannot be carried out as written.
absl::Status WrongUsage(absl::string_view message);

// WrongUsage → 2; an error without a reason of the broker's that says it cannot be reached or does
// not answer → 3; others → 1.
ExitCode ExitCodeFor(const absl::Status& status);

// Standard output and standard error of a command, in one of the two formats. Thread-compatible.
//
// Results go to standard output: for people as text, for programs as one JSON object per line.
// Everything else (errors, notes, progress) goes to standard error.
class Output {
 public:
  explicit Output(Format format) : format_(format) {}

  bool json() const { return format_ == Format::kJson; }

  // Writes a line. Buffered until Flush().
  void Line(absl::string_view text);
  void Json(const boost::json::object& object);
  // Whether all lines so far have left the process; not OK once standard output is closed or full.
  // What depends on the user having seen the lines (a delete) must wait for this.
  absl::Status Flush();

  // Text: "error: REASON: message" and a hint what to do next; JSON:
  // {"error":{"reason","message",…}}. `line` is the number of the input line that was refused.
  void Error(const absl::Status& status, std::optional<int64_t> line = std::nullopt) const;

  // A remark for people; nothing in JSON.
  void Note(absl::string_view text) const;

 private:
  const Format format_;
};

// Rows of text under a heading, each column as wide as its widest cell; a column of numbers and
// sizes is aligned to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> heading);
  void Row(std::vector<std::string> cells);
  void Print(Output& output) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// A counter that is redrawn on standard error while long work goes on; silent where that is no
// terminal. Thread-compatible.
class Progress {
 public:
  explicit Progress(absl::string_view verb);
  // Erases the counter.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Sets the count; draws at most ten times a second.
  void Update(int64_t count);
  // Shows `text` instead of a count.
  void UpdateText(absl::string_view text);
  // The same of bytes, of which there are `total`.
  void UpdateBytes(int64_t done, int64_t total);
  absl::Duration elapsed() const { return absl::Now() - started_; }

 private:
  // Whether to draw now.
  bool IsDue();
  void Draw(absl::string_view text) const;

  const std::string verb_;
  const bool terminal_;
  const absl::Time started_ = absl::Now();
  absl::Time drawn_ = absl::InfinitePast();
};

// The time that goes by, for work that tells nothing of itself; drawn as Progress does, by a thread
// of its own.
class Ticking {
 public:
  explicit Ticking(absl::string_view verb);
  ~Ticking();
  Ticking(const Ticking&) = delete;
  Ticking& operator=(const Ticking&) = delete;

 private:
  void Draw();

  Progress progress_;
  absl::Notification ended_;
  std::thread thread_;
};

// "12.3 MiB"
std::string BytesText(int64_t bytes);

// "1234567 in 2.1s (587889/s)"
std::string CountAndRate(int64_t count, absl::Duration elapsed);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_OUTPUT_H_
