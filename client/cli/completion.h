#ifndef BARISTA_CLIENT_CLI_COMPLETION_H_
#define BARISTA_CLIENT_CLI_COMPLETION_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/string_view.h"

namespace barista::cli {

// What may stand in the place of a word of a command line. Read off the tree of commands: the names
// of commands and options, and the values of an option by the name of its type or place: `a|b|c` is
// a, b or c, QUEUE a queue of the broker, FILE a file, DIR a directory.
struct Completion {
  enum class Kind { kCandidates, kQueues, kFiles, kDirectories };
  struct Candidate {
    std::string text;  // the whole word
    std::string help;  // a few words for people, or none
  };

  Kind kind = Kind::kCandidates;
  std::vector<Candidate> candidates;
  // kQueues: candidates are the names that begin with `prefix`, each behind `before` ("--opt=").
  std::string before, prefix;
  // The options of the whole command line (where the broker is and how to get in), as given.
  std::vector<std::string> globals;
};

// For the last of `words`, which may be empty; the first is the one behind the name of the program.
Completion Complete(const CLI::App& app, const std::vector<std::string>& words);

// What is wrong with the commands that `words` name: "" if they name one that can be run.
std::string ProblemWithCommand(const CLI::App& app, const std::vector<std::string>& words);

// The words of a line of bash, up to where it is cut off, without their quotes; the last one is
// empty if the line ends with space. Expands nothing.
std::vector<std::string> SplitBashLine(absl::string_view line);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_COMPLETION_H_
