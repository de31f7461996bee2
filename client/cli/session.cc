#include "client/cli/session.h"

#include <utility>

#include "client/cli/parse.h"

namespace barista::cli {

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

CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& help,
                     const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, help);
  command->fallthrough();
  if (!examples.empty()) command->footer("Examples:\n" + examples);
  return command;
}

}  // namespace barista::cli
