#ifndef BROKER_SERVER_LOG_H_
#define BROKER_SERVER_LOG_H_

#include <spdlog/common.h>
#include <spdlog/formatter.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace barista::server {

enum class LogFormat {
  kText,  // 2026-01-02T03:04:05.678+0000 info message
  kJson,  // {"time":"…","level":"info","message":"message","request_id":"…"}
};
absl::string_view LogFormatName(LogFormat format);
// kInvalidArgument: neither text nor json.
absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view text);

// Something that a message says, once more for programs.
struct LogField {
  LogField(absl::string_view field_name, absl::string_view text)
      : name(field_name), value(text), is_number(false) {}
  LogField(absl::string_view field_name, const std::string& text)
      : LogField(field_name, absl::string_view(text)) {}
  LogField(absl::string_view field_name, const char* text)
      : LogField(field_name, absl::string_view(text)) {}
  LogField(absl::string_view field_name, int64_t number)
      : name(field_name), value(absl::StrCat(number)), is_number(true) {}
  LogField(absl::string_view field_name, double number)
      : name(field_name), value(absl::StrCat(number)), is_number(true) {}

  absl::string_view name;  // a literal
  std::string value;
  bool is_number;
};

// Logs `message`, which says everything, through spdlog's default logger; as JSON `fields` stand
// beside it, but empty ones. Thread-safe. Ask LogsAt before building what costs something.
//
// Neither may hold the body of a message, a token or a receipt handle.
void Log(spdlog::level::level_enum level, absl::string_view message,
         absl::Span<const LogField> fields);
bool LogsAt(spdlog::level::level_enum level);

// Writes lines: control characters of a message are escaped, so that nobody who is quoted in it
// begins a line of his own.
std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format);

// Replaces spdlog's default logger by one to standard error. Before there are other threads.
void StartLog(const std::string& level, LogFormat format);
// From now on lines are of `level` ("trace" to "error", "off") and above, and look like `format`.
// Thread-safe.
void ChangeLog(const std::string& level, LogFormat format);

}  // namespace barista::server

#endif  // BROKER_SERVER_LOG_H_
