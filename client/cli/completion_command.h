#ifndef BARISTA_CLIENT_CLI_COMPLETION_COMMAND_H_
#define BARISTA_CLIENT_CLI_COMPLETION_COMMAND_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "client/cli/session.h"

namespace barista::cli {

// What the scripts of `barista completion` call: barista __complete SHELL ARGUMENT...
inline constexpr char kCompleteCommand[] = "__complete";

// Prints what may stand at the end of a command line: first `candidates`, `files` or `directories`,
// then a candidate per line as `shell` wants it. `arguments` are the words, the last one being
// completed; of bash the whole line in one. Names of queues come from the broker that the line
// names, if it answers within half a second. `globals` are those to which the options of `app` are
// bound. Tells of no error, for whom nobody is there: 0 always.
int PrintCompletions(CLI::App& app, GlobalOptions& globals, const std::string& shell,
                     std::vector<std::string> arguments);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_COMPLETION_COMMAND_H_
