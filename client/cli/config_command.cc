// barista config check

#include "client/cli/config_command.h"

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "barista/queue_attributes.h"
#include "boost/json/object.hpp"
#include "broker/server/config_check.h"

namespace barista::cli {
namespace {

using server::ConfigReport;

std::string FromText(const server::Origin& origin) {
  return origin.source == server::Source::kDefault ? "default" : origin.where;
}

void PrintJson(const ConfigReport& report, Output& output) {
  for (const ConfigReport::Line& line : report.settings) {
    boost::json::object object{{"setting", line.setting},
                               {"value", line.value},
                               {"source", std::string(server::SourceName(line.origin.source))},
                               {"reload", line.live}};
    if (!line.origin.where.empty()) object["where"] = line.origin.where;
    output.Json(object);
  }
  for (const server::QueueDefinition& queue : report.queues) {
    output.Json({{"queue", queue.name}, {"source", "file"}, {"where", queue.where}});
  }
}

void PrintTables(const ConfigReport& report, Output& output) {
  Table settings({"SETTING", "VALUE", "FROM"});
  for (const ConfigReport::Line& line : report.settings) {
    settings.Row({line.setting, line.value.empty() ? "-" : line.value, FromText(line.origin)});
  }
  settings.Print(output);
  if (report.queues.empty()) return;
  output.Line("");
  Table queues({"QUEUE", "FROM"});
  for (const server::QueueDefinition& queue : report.queues) queues.Row({queue.name, queue.where});
  queues.Print(output);
}

int Check(const std::vector<std::string>& arguments, Format format) {
  const ConfigReport report = server::CheckConfig(arguments);
  Output output(format);
  for (const std::string& error : report.errors) output.Error(WrongUsage(error));
  if (!report.errors.empty()) return kWrongUsage;
  output.json() ? PrintJson(report, output) : PrintTables(report, output);
  const absl::Status written = output.Flush();
  if (!written.ok()) output.Error(written);
  return ExitCodeFor(written);
}

}  // namespace

int ConfigMain(std::vector<std::string> arguments, Format format) {
  CLI::App app("Look at the settings of `barista serve`", "barista config");
  app.require_subcommand(1);
  CLI::App* check = app.add_subcommand(
      "check", "Check what `barista serve` would read, and show what is in force; starts nothing");
  check->allow_extras();
  std::string output = format == Format::kJson ? "json" : "text";
  check->add_option("--output", output, "text: for people; json: one object per line")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("text|json");
  check->footer(
      "Every flag of `barista serve` may follow, and says the same here.\n\n"
      "Examples:\n"
      "  barista config check --config /etc/barista.yaml\n"
      "  barista config check --config /etc/barista.yaml --output json\n"
      "Exit codes: 0 it would start, 2 something is wrong: all of it is told.");
  try {
    // (CLI11 takes them from the back.)
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::Success& e) {  // --help
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    Output(format).Error(WrongUsage(e.what()));
    return kWrongUsage;
  }
  return Check(check->remaining(), output == "json" ? Format::kJson : Format::kText);
}

}  // namespace barista::cli
