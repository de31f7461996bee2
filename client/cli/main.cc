// The `barista` command: the broker as a process (`serve`) and a client of it.

#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "barista/version.h"
#include "broker/server/config.h"
#include "broker/server/serve.h"
#include "client/cli/completion.h"
#include "client/cli/completion_command.h"
#include "client/cli/config_command.h"
#include "client/cli/session.h"

namespace barista::cli {
namespace {

Format FormatOf(absl::string_view name) { return name == "json" ? Format::kJson : Format::kText; }

bool TakesValue(absl::string_view option) {
  for (const absl::string_view name : {"--server", "--output", "--timeout", "--tls-ca",
                                       "--tls-cert", "--tls-key", "--token-file"}) {
    if (option == name) return true;
  }
  return false;
}

// Where the command stands behind global options, which all take a value; 0 if there is none.
int FindCommand(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument.empty() || argument.front() != '-') return i;
    if (TakesValue(argument)) ++i;
  }
  return 0;
}

// The format that a command line which cannot be parsed asks for.
Format GuessFormat(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--output=json") == 0) return Format::kJson;
    if (std::strcmp(argv[i], "--output") == 0 && i + 1 < argc) return FormatOf(argv[i + 1]);
  }
  return Format::kText;
}

int PrintVersion(Session& session) {
  if (session.output().json()) {
    session.output().Json({{"version", BARISTA_VERSION}});
  } else {
    session.output().Line(absl::StrCat("barista ", BARISTA_VERSION));
  }
  return session.Finish(absl::OkStatus());
}

int Main(int argc, char** argv) {
  // A reader that goes away is seen as a failed write.
  std::signal(SIGPIPE, SIG_IGN);

  // `serve` has options of its own, which the server reads itself.
  const int at = FindCommand(argc, argv);
  if (at > 0 && std::strcmp(argv[at], "serve") == 0) {
    std::string name = "barista serve";
    std::vector<char*> arguments{name.data()};
    arguments.insert(arguments.end(), argv + at + 1, argv + argc);
    arguments.push_back(nullptr);
    return server::ServeMain(static_cast<int>(arguments.size()) - 1, arguments.data());
  }

  if (at > 0 && std::strcmp(argv[at], "config") == 0) {
    return ConfigMain(std::vector<std::string>(argv + at + 1, argv + argc), GuessFormat(at, argv));
  }

  CLI::App app{"barista: a durable message broker with the semantics of Amazon SQS"};
  app.name("barista");
  app.set_version_flag("--version", absl::StrCat("barista ", BARISTA_VERSION));
  app.require_subcommand(1);  // and no more: behind a command, names of commands are ordinary words
  app.footer(
      "Examples:\n"
      "  barista serve --data-dir ./barista-data\n"
      "  barista config check --config barista.yaml\n"
      "  barista queue create orders\n"
      "  barista send orders 'two espressos'\n"
      "  barista receive orders --wait 20s --delete\n"
      "Durations are written 30s, 250ms, 15m, 12h, 4d; a bare number means seconds.\n"
      "Exit codes: 0 done (an empty receive too), 1 refused by the broker, 2 wrong usage, 3 broker "
      "not "
      "reachable.");

  GlobalOptions globals;
  app.add_option("--server", globals.channel.server,
                 "The broker: HOST:PORT or unix:PATH (default 127.0.0.1:9326)")
      ->envname("BARISTA_SERVER")
      ->type_name("ADDRESS");
  app.add_option("--tls-ca", globals.channel.tls_ca,
                 "Speak TLS with a broker whose certificate is of one of these roots, PEM")
      ->envname("BARISTA_TLS_CA")
      ->type_name("FILE");
  app.add_option("--tls-cert", globals.channel.tls_certificate, "The client certificate, PEM")
      ->type_name("FILE");
  app.add_option("--tls-key", globals.channel.tls_key, "The private key of --tls-cert, PEM")
      ->type_name("FILE");
  app.add_option("--token-file", globals.token_file,
                 "A file with the token that goes with every call; beats the environment variable "
                 "BARISTA_TOKEN, which holds the token itself")
      ->type_name("FILE");
  app.add_option("--output", globals.format,
                 "text: for people; json: one object per line (default text)")
      ->check(OneOf({"text", "json"}))
      ->type_name("text|json");
  std::optional<absl::Duration> timeout;
  AddDurationOption(app, "--timeout", timeout,
                    "How long to wait for the broker's answer, beyond --wait (default 30s)");

  Command chosen;
  // The flags are for the completion alone: ServeMain parses them.
  server::ServeFlags serve_flags;
  server::AddServeFlags(*app.add_subcommand("serve", "Run a broker; see `barista serve --help`"),
                        serve_flags);
  app.add_subcommand("config", "Check the settings of `serve`; see `barista config check --help`");
  AddQueueCommands(app, chosen);
  AddSendCommand(app, chosen);
  AddReceiveCommand(app, chosen);
  AddMessageCommands(app, chosen);
  AddBackupCommands(app, chosen);
  AddBenchCommand(app, chosen);
  AddCompletionCommand(app, chosen);
  AddCommand(app, "version", "Print the version", "")->callback([&chosen] {
    chosen = PrintVersion;
  });

  if (argc > 2 && std::strcmp(argv[1], kCompleteCommand) == 0) {
    return PrintCompletions(app, globals, argv[2], {argv + 3, argv + argc});
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    const std::string problem = ProblemWithCommand(app, {argv + 1, argv + argc});
    Output(GuessFormat(argc, argv)).Error(WrongUsage(problem.empty() ? e.what() : problem));
    return kWrongUsage;
  }
  if (timeout.has_value()) globals.timeout = *timeout;

  const Format format = FormatOf(globals.format);
  if (absl::Status token = FindToken(globals); !token.ok()) {
    Output(format).Error(WrongUsage(token.message()));
    return kWrongUsage;
  }
  auto client = client::QueueClient::Open(globals.channel, globals.timeout);
  if (!client.ok()) {
    Output(format).Error(WrongUsage(client.status().message()));
    return kWrongUsage;
  }
  auto admin =
      client::AdminClient::Open(globals.channel, timeout.value_or(absl::InfiniteDuration()));
  if (!admin.ok()) {
    Output(format).Error(WrongUsage(admin.status().message()));
    return kWrongUsage;
  }
  Session session(globals, format, *std::move(client), *std::move(admin));
  return chosen(session);
}

}  // namespace
}  // namespace barista::cli

int main(int argc, char** argv) { return barista::cli::Main(argc, argv); }
