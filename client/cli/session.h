#ifndef BARISTA_CLIENT_CLI_SESSION_H_
#define BARISTA_CLIENT_CLI_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/admin_client.h"
#include "client/channel.h"
#include "client/cli/output.h"
#include "client/queue_client.h"

namespace barista::cli {

// The options that stand before or after any command.
struct GlobalOptions {
  client::ChannelOptions channel;
  std::string token_file;
  std::string format = "text";
  absl::Duration timeout = absl::Seconds(30);
};

// Puts the token of the token file, or of the environment variable BARISTA_TOKEN, into
// `globals.channel`. It is never on the command line, where every user of the machine can read it.
// kInvalidArgument: the file cannot be read, or is empty.
absl::Status FindToken(GlobalOptions& globals);

// What a command works with: the broker that was named and the two outputs.
class Session {
 public:
  Session(const GlobalOptions& globals, Format format, std::unique_ptr<client::QueueClient> client,
          std::unique_ptr<client::AdminClient> admin)
      : globals_(globals), output_(format), client_(std::move(client)), admin_(std::move(admin)) {}

  // For commands that open connections of their own.
  const GlobalOptions& globals() const { return globals_; }

  Output& output() { return output_; }
  client::QueueClient& client() { return *client_; }
  // Waits for ever unless --timeout was given.
  client::AdminClient& admin() { return *admin_; }

  // Ends a command: shows `status` if it is an error, writes what is buffered, and gives the exit
  // code.
  int Finish(absl::Status status);

 private:
  const GlobalOptions globals_;
  Output output_;
  const std::unique_ptr<client::QueueClient> client_;
  const std::unique_ptr<client::AdminClient> admin_;
};

// A command that the command line named, with its arguments bound.
using Command = std::function<int(Session&)>;

// Each adds its commands to `app`. The one that the command line names puts itself into `chosen`,
// which outlives the parsing.
void AddQueueCommands(CLI::App& app,
                      Command& chosen);  // queue create, list, describe, set, purge, delete
void AddSendCommand(CLI::App& app, Command& chosen);        // send
void AddReceiveCommand(CLI::App& app, Command& chosen);     // receive
void AddMessageCommands(CLI::App& app, Command& chosen);    // peek, delete, change-visibility
void AddBackupCommands(CLI::App& app, Command& chosen);     // backup, restore, verify
void AddBenchCommand(CLI::App& app, Command& chosen);       // bench
void AddCompletionCommand(CLI::App& app, Command& chosen);  // completion

// Options whose values are checked as they are parsed; a bad one is wrong usage and names the
// option.
CLI::Option* AddDurationOption(CLI::App& app, const std::string& name,
                               std::optional<absl::Duration>& value, const std::string& help);
CLI::Option* AddSizeOption(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                           const std::string& help);

// Checks of an option whose help tells already what is allowed. What breaks them is wrong usage and
// names the option.
CLI::Validator OneOf(const std::vector<std::string>& values);
CLI::Validator InRange(int least, int most);

// Makes `command` one that takes the global options after its own.
CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& help,
                     const std::string& examples);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_SESSION_H_
