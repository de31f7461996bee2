#include "client/cli/completion.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace barista::cli {
namespace {

using Kind = Completion::Kind;

// The beginning of a help text, as much as fits beside a word.
std::string ShortHelp(const std::string& help) {
  return help.substr(0, std::min({help.find(';'), help.find(" ("), help.find('\n')}));
}

bool IsHidden(const std::string& group) { return group.empty(); }

// The type of an option, or where it has none of its own the name of its place, without what CLI11
// adds about checks.
std::string TypeOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::string own = type.substr(0, type.find(':'));
  const bool named = !own.empty() && own != "TEXT";
  return named || !option.get_positional() ? own : option.get_name(true);
}

// a, b, c for "a|b|c", and nothing for anything else.
std::vector<std::string> ValuesOf(const std::string& type) {
  std::vector<std::string> values = absl::StrSplit(type, '|');
  const bool all = std::all_of(values.begin(), values.end(), [](const std::string& value) {
    return !value.empty() && std::all_of(value.begin(), value.end(), absl::ascii_islower);
  });
  return all && values.size() > 1 ? values : std::vector<std::string>();
}

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// Walks along a command line.
class Walk {
 public:
  explicit Walk(const CLI::App& app) : root_(app), at_(&app) {}

  void Step(const std::string& word) {
    if (value_of_ != nullptr) {
      NoteGlobal(*std::exchange(value_of_, nullptr), word);
    } else if (!only_places_ && word == "--") {
      only_places_ = true;
    } else if (!only_places_ && word.size() > 1 && word.front() == '-') {
      StepOption(word);
    } else if (const CLI::App* command = CommandNamed(word); command != nullptr) {
      at_ = command;
    } else {
      if (unknown_.empty() && places_ == 0 && !Subcommands().empty()) unknown_ = word;
      ++places_;
    }
  }

  std::string Problem() const {
    const auto commands = Subcommands();
    if (commands.empty()) return "";
    std::string name = "barista";
    if (at_ != &root_) absl::StrAppend(&name, " ", at_->get_name());
    std::string problem = unknown_.empty()
                              ? absl::StrCat(name, " wants a command")
                              : absl::StrCat("\"", unknown_, "\" is no command of ", name);
    const char* separator = ": ";
    for (const CLI::App* command : commands) {
      absl::StrAppend(&problem, separator, command->get_name());
      separator = ", ";
    }
    return problem;
  }

  Completion End(const std::string& word) const {
    Completion completion;
    completion.globals = globals_;
    if (value_of_ != nullptr) {
      AddValues(*value_of_, "", word, completion);
      return completion;
    }
    if (!only_places_ && absl::StartsWith(word, "-")) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        AddOptions(word, completion);
      } else if (const CLI::Option* option = OptionNamed(word.substr(0, equals));
                 option != nullptr && TakesValue(*option)) {
        AddValues(*option, word.substr(0, equals + 1), word.substr(equals + 1), completion);
      }
      return completion;
    }
    for (const CLI::App* command : Subcommands()) {
      Add(command->get_name(), command->get_description(), word, completion);
    }
    if (const CLI::Option* place = Place(); place != nullptr) {
      AddValues(*place, "", word, completion);
    } else if (word.empty() && at_ != &root_ && completion.candidates.empty()) {
      AddOptions("--", completion);
    }
    return completion;
  }

 private:
  void StepOption(const std::string& word) {
    const size_t equals = word.find('=');
    const CLI::Option* option = OptionNamed(word.substr(0, equals));
    if (option == nullptr) return;
    used_.insert(option);
    if (!TakesValue(*option)) return;
    if (equals == std::string::npos) {
      value_of_ = option;
    } else {
      NoteGlobal(*option, word.substr(equals + 1));
    }
  }

  void NoteGlobal(const CLI::Option& option, const std::string& value) {
    const auto own = root_.get_options();
    if (std::find(own.begin(), own.end(), &option) == own.end()) return;
    globals_.push_back(absl::StrCat("--", option.get_lnames().front()));
    globals_.push_back(value);
  }

  const CLI::App* CommandNamed(const std::string& name) const {
    for (const CLI::App* command : at_->get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() == name) return command;
    }
    return nullptr;
  }

  std::vector<const CLI::App*> Subcommands() const {
    return at_->get_subcommands(
        [](const CLI::App* candidate) { return !IsHidden(candidate->get_group()); });
  }

  // The commands whose options may stand here: the one that was named, and those around it.
  std::vector<const CLI::App*> Commands() const {
    std::vector<const CLI::App*> commands{at_};
    while (commands.back()->get_fallthrough() && commands.back()->get_parent() != nullptr) {
      commands.push_back(commands.back()->get_parent());
    }
    return commands;
  }

  const CLI::Option* OptionNamed(const std::string& name) const {
    for (const CLI::App* command : Commands()) {
      for (const CLI::Option* option : command->get_options()) {
        if (!option->get_positional() && option->check_name(name)) return option;
      }
    }
    return nullptr;
  }

  // The positional that the next word is; the last one may take many.
  const CLI::Option* Place() const {
    size_t left = places_;
    for (const CLI::Option* option : at_->get_options()) {
      if (!option->get_positional()) continue;
      const auto most = static_cast<size_t>(std::max(1, option->get_items_expected_max()));
      if (left < most) return option;
      left -= most;
    }
    return nullptr;
  }

  static void Add(const std::string& text, const std::string& help, const std::string& word,
                  Completion& completion) {
    if (absl::StartsWith(text, word)) completion.candidates.push_back({text, ShortHelp(help)});
  }

  void AddOptions(const std::string& word, Completion& completion) const {
    for (const CLI::App* command : Commands()) {
      for (const CLI::Option* option : command->get_options()) {
        if (option->get_positional() || IsHidden(option->get_group())) continue;
        if (used_.count(option) > 0 && option->get_items_expected_max() <= 1) continue;
        for (const std::string& name : option->get_lnames()) {
          const std::string text = absl::StrCat("--", name);
          // Every command has a --help.
          const bool there = std::any_of(completion.candidates.begin(), completion.candidates.end(),
                                         [&](const auto& other) { return other.text == text; });
          if (!there) Add(text, option->get_description(), word, completion);
        }
      }
    }
  }

  static void AddValues(const CLI::Option& option, const std::string& before,
                        const std::string& prefix, Completion& completion) {
    completion.before = before;
    completion.prefix = prefix;
    const std::string type = TypeOf(option);
    if (type == "QUEUE") completion.kind = Kind::kQueues;
    if (type == "FILE") completion.kind = Kind::kFiles;
    if (type == "DIR") completion.kind = Kind::kDirectories;
    for (const std::string& value : ValuesOf(type)) {
      if (absl::StartsWith(value, prefix)) {
        completion.candidates.push_back({absl::StrCat(before, value), ""});
      }
    }
  }

  const CLI::App& root_;
  const CLI::App* at_;                     // the command that was named so far
  const CLI::Option* value_of_ = nullptr;  // the next word is its value
  bool only_places_ = false;               // behind "--"
  size_t places_ = 0;                      // words that were positionals
  std::string unknown_;                    // a word where a command should be
  std::set<const CLI::Option*> used_;
  std::vector<std::string> globals_;
};

}  // namespace

Completion Complete(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty()) return Completion();
  Walk walk(app);
  for (size_t i = 0; i + 1 < words.size(); ++i) walk.Step(words[i]);
  return walk.End(words.back());
}

std::string ProblemWithCommand(const CLI::App& app, const std::vector<std::string>& words) {
  Walk walk(app);
  for (const std::string& word : words) walk.Step(word);
  return walk.Problem();
}

std::vector<std::string> SplitBashLine(absl::string_view line) {
  std::vector<std::string> words(1);
  char quote = '\0';
  bool in_word = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == '\0' && absl::ascii_isspace(static_cast<unsigned char>(c))) {
      if (in_word) words.emplace_back();
      in_word = false;
      continue;
    }
    in_word = true;
    if (c == quote) {
      quote = '\0';
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
      words.back().push_back(line[++i]);
    } else {
      words.back().push_back(c);
    }
  }
  return words;
}

}  // namespace barista::cli
