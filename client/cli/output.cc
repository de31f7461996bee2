#include "client/cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "barista/error.h"

namespace barista::cli {
namespace {

constexpr char kWrongUsageReason[] = "WrongUsage";

// What to do about an error, for people; empty where the message says it all.
std::string HintFor(const std::string& reason) {
  if (reason == "NotReachable") {
    return "start a broker with `barista serve`, or say where it is with --server HOST:PORT";
  }
  if (reason == "QueueDoesNotExist") {
    return "`barista queue list` shows the queues; `barista queue create NAME` makes one";
  }
  if (reason == "QueueNameExists") {
    return "`barista queue describe NAME` shows its attributes; `barista queue set` changes them";
  }
  if (reason == "ReceiptHandleIsInvalid") {
    return "a handle comes from `barista receive` on the same queue; quote it in the shell";
  }
  if (reason == "OverLimit") {
    return "delete received messages, or raise MaximumInFlightMessages with `barista queue set`";
  }
  if (reason == "StorageFull")
    return "free space on the broker's disk; receiving and deleting go on";
  if (reason == "MemoryFull" || reason == "IntakeFull") return "try again when consumers caught up";
  if (reason == "DataDirectoryInUse") return "end the broker that has it open, with SIGTERM";
  if (reason == "StoreUnavailable") return "look at the broker's log; it must be restarted";
  if (reason == "MissingAuthenticationToken" || reason == "InvalidClientTokenId") {
    return "give a token with --token-file FILE or in BARISTA_TOKEN";
  }
  if (reason == "AccessDenied") return "use another token, or give this one the role on the broker";
  if (reason == kWrongUsageReason) return "`barista --help` and `barista COMMAND --help` say more";
  return "";
}

// The name under which `status` is shown: the broker's reason, or one of the command's own.
std::string ReasonOf(const absl::Status& status) {
  std::string reason = GetErrorInfo(status).reason;
  if (!reason.empty()) return reason;
  return ExitCodeFor(status) == kNotReachable ? "NotReachable"
                                              : absl::StatusCodeToString(status.code());
}

// "17", "12.3 MiB".
bool IsNumber(absl::string_view cell) {
  const size_t end = cell.find_first_not_of("0123456789.");
  if (end == 0 || cell.empty()) return false;
  if (end == absl::string_view::npos) return true;
  const absl::string_view unit = cell.substr(end);
  return unit == " B" || (unit.size() == 4 && absl::EndsWith(unit, "iB"));
}

// Whether there are only numbers below the heading of the column `i`, or nothing.
bool IsOfNumbers(const std::vector<std::vector<std::string>>& rows, size_t i) {
  bool any = false;
  for (size_t row = 1; row < rows.size(); ++row) {
    if (rows[row][i].empty()) continue;
    if (!IsNumber(rows[row][i])) return false;
    any = true;
  }
  return any;
}

// Over a counter that Progress has drawn.
void WriteToTerminalOrFile(absl::string_view text) {
  if (isatty(STDERR_FILENO) == 1) std::fputs("\r\x1b[K", stderr);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

absl::Status WrongUsage(absl::string_view message) {
  ErrorInfo info;
  info.reason = kWrongUsageReason;
  return MakeError(absl::StatusCode::kInvalidArgument, message, info);
}

ExitCode ExitCodeFor(const absl::Status& status) {
  if (status.ok()) return kDone;
  const std::string reason = GetErrorInfo(status).reason;
  if (reason == kWrongUsageReason) return kWrongUsage;
  if (reason.empty() && (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status))) {
    return kNotReachable;
  }
  return kRefused;
}

void Output::Line(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

void Output::Json(const boost::json::object& object) { Line(boost::json::serialize(object)); }

absl::Status Output::Flush() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    const int error = errno;
    return absl::CancelledError(absl::StrCat("standard output cannot be written: ",
                                             std::strerror(error != 0 ? error : EPIPE)));
  }
  return absl::OkStatus();
}

void Output::Error(const absl::Status& status, std::optional<int64_t> line) const {
  const std::string reason = ReasonOf(status);
  std::string text;
  if (json()) {
    boost::json::object error;
    error["reason"] = reason;
    error["message"] = std::string(status.message());
    const ErrorInfo info = GetErrorInfo(status);
    if (!info.field.empty()) error["field"] = info.field;
    if (!info.value.empty()) error["value"] = info.value;
    if (!info.limit.empty()) error["limit"] = info.limit;
    if (line.has_value()) error["line"] = *line;
    text = absl::StrCat(boost::json::serialize(boost::json::object{{"error", std::move(error)}}),
                        "\n");
  } else {
    text = "error: ";
    if (line.has_value()) absl::StrAppend(&text, "line ", *line, ": ");
    absl::StrAppend(&text, reason, ": ", status.message(), "\n");
    const std::string hint = HintFor(reason);
    if (!hint.empty() && !line.has_value()) absl::StrAppend(&text, "hint: ", hint, "\n");
  }
  WriteToTerminalOrFile(text);
}

void Output::Note(absl::string_view text) const {
  if (json()) return;
  WriteToTerminalOrFile(absl::StrCat(text, "\n"));
}

Table::Table(std::vector<std::string> heading) { rows_.push_back(std::move(heading)); }

void Table::Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

void Table::Print(Output& output) const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<bool> right;
  for (size_t i = 0; i < widths.size(); ++i) right.push_back(IsOfNumbers(rows_, i));
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", right[i] ? space : "", row[i],
                      right[i] ? "" : space);
    }
    output.Line(absl::StripTrailingAsciiWhitespace(line));
  }
}

Progress::Progress(absl::string_view verb) : verb_(verb), terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (drawn_ != absl::InfinitePast()) std::fputs("\r\x1b[K", stderr);
}

bool Progress::IsDue() {
  if (!terminal_) return false;
  const absl::Time now = absl::Now();
  if (now - drawn_ < absl::Milliseconds(100)) return false;
  drawn_ = now;
  return true;
}

void Progress::Draw(absl::string_view text) const {
  const std::string line = absl::StrCat("\r\x1b[K", verb_, verb_.empty() ? "" : " ", text);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

void Progress::Update(int64_t count) {
  if (IsDue()) Draw(CountAndRate(count, elapsed()));
}

void Progress::UpdateText(absl::string_view text) {
  if (IsDue()) Draw(text);
}

void Progress::UpdateBytes(int64_t done, int64_t total) {
  if (!IsDue()) return;
  Draw(absl::StrFormat(
      "%s of %s (%.0f %%)", BytesText(done), BytesText(total),
      total > 0 ? 100.0 * static_cast<double>(done) / static_cast<double>(total) : 100.0));
}

Ticking::Ticking(absl::string_view verb) : progress_(verb), thread_([this] { Draw(); }) {}

Ticking::~Ticking() {
  ended_.Notify();
  thread_.join();
}

void Ticking::Draw() {
  while (!ended_.WaitForNotificationWithTimeout(absl::Seconds(1))) {
    progress_.UpdateText(absl::StrFormat("%.0f s", absl::ToDoubleSeconds(progress_.elapsed())));
  }
}

std::string BytesText(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return absl::StrFormat("%.1f %s", value, unit);
}

std::string CountAndRate(int64_t count, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return absl::StrFormat("%d in %.1fs (%.0f/s)", count, seconds,
                         seconds > 0 ? static_cast<double>(count) / seconds : 0.0);
}

}  // namespace barista::cli
