#include "broker/server/log.h"

#include <grpc/support/log.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <boost/json.hpp>
#include <utility>

#include "absl/time/time.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

// The fields of the line that this thread is logging. The logger is synchronous: the formatter runs
// within Log, on its thread.
thread_local absl::Span<const LogField> current_fields;

spdlog::level::level_enum LevelOf(const std::string& level) {
  return level == "warn" ? spdlog::level::warn : spdlog::level::from_str(level);
}

absl::string_view View(spdlog::string_view_t text) { return {text.data(), text.size()}; }

void Append(absl::string_view text, spdlog::memory_buf_t& to) {
  to.append(text.data(), text.data() + text.size());
}

std::string TimeText(const spdlog::details::log_msg& message) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3S%z", absl::FromChrono(message.time),
                          absl::LocalTimeZone());
}

class TextFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& to) override {
    Append(TimeText(message), to);
    to.push_back(' ');
    Append(View(spdlog::level::to_string_view(message.level)), to);
    to.push_back(' ');
    for (const char c : View(message.payload)) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte >= 0x20 && byte != 0x7f) {
        to.push_back(c);
      } else {
        Append(absl::StrCat("\\x", absl::Hex(byte, absl::kZeroPad2)), to);
      }
    }
    to.push_back('\n');
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>();
  }
};

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& to) override {
    Append(R"({"time":")", to);
    Append(TimeText(message), to);
    Append(R"(","level":")", to);
    Append(View(spdlog::level::to_string_view(message.level)), to);
    Append(R"(","message":)", to);
    AppendString(View(message.payload), to);
    for (const LogField& field : current_fields) {
      if (field.value.empty()) continue;
      to.push_back(',');
      AppendString(field.name, to);
      to.push_back(':');
      field.is_number ? Append(field.value, to) : AppendString(field.value, to);
    }
    Append("}\n", to);
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }

 private:
  static void AppendString(absl::string_view text, spdlog::memory_buf_t& to) {
    Append(boost::json::serialize(boost::json::string_view(ToUtf8(text))), to);
  }
};

}  // namespace

absl::string_view LogFormatName(LogFormat format) {
  return format == LogFormat::kJson ? "json" : "text";
}

absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view text) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    if (text == LogFormatName(format)) return format;
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not text or json"));
}

void Log(spdlog::level::level_enum level, absl::string_view message,
         absl::Span<const LogField> fields) {
  if (!LogsAt(level)) return;
  current_fields = fields;
  spdlog::log(level, spdlog::string_view_t(message.data(), message.size()));
  current_fields = {};
}

bool LogsAt(spdlog::level::level_enum level) { return spdlog::should_log(level); }

std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format) {
  if (format == LogFormat::kJson) return std::make_unique<JsonFormatter>();
  return std::make_unique<TextFormatter>();
}

void StartLog(const std::string& level, LogFormat format) {
  auto log = std::make_shared<spdlog::logger>("barista",
                                              std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(log));
  ChangeLog(level, format);
  // What gRPC has to say is for those who debug it; what fails is told by us.
  gpr_set_log_function([](gpr_log_func_args* args) {
    spdlog::debug("grpc {}:{}: {}", args->file, args->line, args->message);
  });
}

void ChangeLog(const std::string& level, LogFormat format) {
  spdlog::logger& log = *spdlog::default_logger_raw();
  log.set_formatter(MakeLogFormatter(format));
  log.set_level(LevelOf(level));
}

}  // namespace barista::server
