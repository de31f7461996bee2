// barista completion, and what its scripts call

#include "client/cli/completion_command.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "client/cli/completion.h"

namespace barista::cli {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(500);

// bash splits words at = and : and wants what comes behind.
constexpr char kBash[] = R"(# Completion of barista for bash: source <(barista completion bash)
_barista() {
  local lines current=${COMP_WORDS[COMP_CWORD]}
  [[ $current == [=:] ]] && current=
  # eval: the command may be an alias.
  mapfile -t lines < <(eval "${COMP_WORDS[0]}"' __complete bash "${COMP_LINE:0:COMP_POINT}"' 2>/dev/null)
  case ${lines[0]-} in
    files)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      ;;
    directories)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      ;;
    *) COMPREPLY=("${lines[@]:1}") ;;
  esac
}
complete -F _barista barista
)";

constexpr char kZsh[] = R"(#compdef barista
# Completion of barista for zsh: a file _barista on the fpath, or source <(barista completion zsh)
_barista() {
  local -a lines
  # eval: the command may be an alias.
  lines=("${(@f)$(eval "${words[1]}"' __complete zsh "${(@)words[2,CURRENT]}"' 2>/dev/null)}")
  case $lines[1] in
    files|directories)
      compset -P '--*='
      if [[ $lines[1] == files ]]; then _files; else _files -/; fi
      ;;
    *)
      shift lines
      _describe barista lines
      ;;
  esac
}
if [[ $funcstack[1] == _barista ]]; then
  _barista
else
  compdef _barista barista
fi
)";

constexpr char kFish[] = R"(# Completion of barista for fish: barista completion fish | source
function __barista_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l program $words[1]
  set -e words[1]
  set -l lines ($program __complete fish $words "$current" 2>/dev/null)
  switch "$lines[1]"
    case files
      __fish_complete_path "$current"
    case directories
      __fish_complete_directories "$current"
    case candidates
      set -e lines[1]
      printf '%s\n' $lines
  end
end
complete -c barista -f -a '(__barista_complete)'
)";

const char* ScriptOf(absl::string_view shell) {
  return shell == "bash" ? kBash : shell == "zsh" ? kZsh : kFish;
}

// Adds the names of queues that begin as wanted.
void AddQueues(CLI::App& app, GlobalOptions& globals, Completion& completion) {
  // CLI11 wants the words from the last to the first. Any command will do: it is not run.
  std::vector<std::string> line = completion.globals;
  line.emplace_back("version");
  std::reverse(line.begin(), line.end());
  try {
    app.parse(std::move(line));
  } catch (const CLI::Error&) {
    return;
  }
  if (!FindToken(globals).ok()) return;
  const auto client = client::QueueClient::Open(globals.channel, kPatience);
  if (!client.ok()) return;
  v1::ListQueuesRequest request;
  request.set_prefix(completion.prefix);
  const auto page = (*client)->ListQueues(request);
  if (!page.ok()) return;
  for (const std::string& name : page->queues()) {
    completion.candidates.push_back({absl::StrCat(completion.before, name), ""});
  }
}

std::string LineFor(absl::string_view shell, const Completion::Candidate& candidate,
                    absl::string_view word) {
  if (shell == "bash") {
    const size_t cut = word.find_last_of("=:");
    return candidate.text.substr(cut == absl::string_view::npos ? 0 : cut + 1);
  }
  if (shell == "zsh") {
    const std::string text = absl::StrReplaceAll(candidate.text, {{":", "\\:"}});
    return candidate.help.empty() ? text : absl::StrCat(text, ":", candidate.help);
  }
  return candidate.help.empty() ? candidate.text
                                : absl::StrCat(candidate.text, "\t", candidate.help);
}

}  // namespace

int PrintCompletions(CLI::App& app, GlobalOptions& globals, const std::string& shell,
                     std::vector<std::string> arguments) {
  if (shell == "bash" && arguments.size() == 1) {
    arguments = SplitBashLine(arguments.front());
    arguments.erase(arguments.begin());  // the program
  }
  if (arguments.empty()) return kDone;
  Completion completion = Complete(app, arguments);
  if (completion.kind == Completion::Kind::kQueues) AddQueues(app, globals, completion);
  std::string text = completion.kind == Completion::Kind::kFiles         ? "files\n"
                     : completion.kind == Completion::Kind::kDirectories ? "directories\n"
                                                                         : "candidates\n";
  for (const Completion::Candidate& candidate : completion.candidates) {
    absl::StrAppend(&text, LineFor(shell, candidate, arguments.back()), "\n");
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kDone;
}

void AddCompletionCommand(CLI::App& app, Command& chosen) {
  CLI::App* completion = AddCommand(
      app, "completion",
      "Print the script with which a shell completes commands, options and queues",
      "  source <(barista completion bash)                # in ~/.bashrc\n"
      "  source <(barista completion zsh)                 # in ~/.zshrc, behind compinit\n"
      "  barista completion fish | source                 # in ~/.config/fish/config.fish\n"
      "Names of queues come from the broker that the line or BARISTA_SERVER names.");
  auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "The shell: bash, zsh or fish")
      ->check(OneOf({"bash", "zsh", "fish"}))
      ->type_name("bash|zsh|fish")
      ->required();
  completion->callback([&chosen, shell] {
    chosen = [shell](Session& session) {
      if (session.output().json()) {
        session.output().Json({{"shell", *shell}, {"script", ScriptOf(*shell)}});
      } else {
        std::string script = ScriptOf(*shell);
        script.pop_back();  // Line adds it
        session.output().Line(script);
      }
      return session.Finish(absl::OkStatus());
    };
  });
}

}  // namespace barista::cli
