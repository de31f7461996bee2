#include "client/cli/session.h"

#include <cstdlib>
#include <utility>

#include "client/cli/parse.h"

namespace barista::cli {

absl::Status FindToken(GlobalOptions& globals) {
  if (globals.token_file.empty()) {
    const char* const token = std::getenv("BARISTA_TOKEN");
    if (token != nullptr) globals.channel.token = token;
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> token = client::ReadTokenFile(globals.token_file);
  if (!token.ok()) return token.status();
  globals.channel.token = *std::move(token);
  return absl::OkStatus();
}

int Session::Finish(absl::Status status) {
  const absl::Status written = output_.Flush();
  if (status.ok()) status = written;
  if (!status.ok()) output_.Error(status);
  return ExitCodeFor(status);
}

CLI::Option* AddDurationOption(CLI::App& app, const std::string& name,
                               std::optional<absl::Duration>& value, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            auto parsed = ParseDuration(text);
            if (!parsed.ok())
              throw CLI::ValidationError(name, std::string(parsed.status().message()));
            value = *parsed;
          },
          help)
      ->type_name("DURATION");
}

CLI::Option* AddSizeOption(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                           const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            auto parsed = ParseSize(text);
            if (!parsed.ok())
              throw CLI::ValidationError(name, std::string(parsed.status().message()));
            value = *parsed;
          },
          help)
      ->type_name("SIZE");
}

CLI::Validator OneOf(const std::vector<std::string>& values) {
  return CLI::IsMember(values).description("");
}

CLI::Validator InRange(int least, int most) { return CLI::Range(least, most).description(""); }

CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& help,
                     const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, help);
  command->fallthrough();
  if (!examples.empty()) command->footer("Examples:\n" + examples);
  return command;
}

}  // namespace barista::cli
