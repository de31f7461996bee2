#ifndef BARISTA_CLIENT_CLI_CONFIG_COMMAND_H_
#define BARISTA_CLIENT_CLI_CONFIG_COMMAND_H_

#include <string>
#include <vector>

#include "client/cli/output.h"

namespace barista::cli {

// `barista config …`, a command without a broker: its options are those of `barista serve`, of
// which some have the names of options of the client, so it parses `arguments`, those behind
// `config`, itself. `format`: what stood before. Returns the exit code.
int ConfigMain(std::vector<std::string> arguments, Format format);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_CONFIG_COMMAND_H_
