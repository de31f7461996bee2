// barista backup, restore, verify

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "barista/backup.h"
#include "barista/verify.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "client/cli/interrupt.h"
#include "client/cli/session.h"

namespace barista::cli {
namespace {

using boost::json::array;
using boost::json::object;

int Backup(Session& session, const std::string& directory) {
  if (!absl::StartsWith(directory, "/")) {
    return session.Finish(WrongUsage(absl::StrCat("DIR is a path on the broker's machine: \"",
                                                  directory, "\" must begin with a slash")));
  }
  v1::BackupRequest request;
  request.set_directory(directory);
  const auto response = [&] {
    const Ticking ticking("backing up");
    return session.admin().Backup(request);
  }();
  if (!response.ok()) return session.Finish(response.status());
  if (session.output().json()) {
    session.output().Json(
        {{"directory", directory}, {"files", response->files()}, {"bytes", response->bytes()}});
  } else {
    session.output().Line(absl::StrCat("backed up to ", directory, ": ", response->files(),
                                       " files, ", BytesText(response->bytes())));
  }
  return session.Finish(absl::OkStatus());
}

// Runs work on files, which the first interrupt gives up, with its progress.
template <typename Work>
auto WithProgress(absl::string_view verb, Work work) {
  std::atomic<bool> interrupted{false};
  Interrupt interrupt([&] { interrupted = true; });
  Progress drawn(verb);
  return work([&](const FileProgress& progress) {
    drawn.UpdateBytes(progress.bytes_done, progress.bytes_total);
    return !interrupted;
  });
}

int Restore(Session& session, const std::string& backup, const std::string& data_dir) {
  const auto result = WithProgress("restoring", [&](const ProgressCallback& progress) {
    return RestoreBackup(backup, data_dir, progress);
  });
  if (!result.ok()) return session.Finish(result.status());
  if (session.output().json()) {
    session.output().Json(
        {{"data_dir", data_dir}, {"files", result->files}, {"bytes", result->bytes}});
  } else {
    session.output().Line(absl::StrCat("restored ", backup, " to ", data_dir, ": ", result->files,
                                       " files, ", BytesText(result->bytes)));
    session.output().Line(absl::StrCat("serve it with: barista serve --data-dir ", data_dir));
  }
  return session.Finish(absl::OkStatus());
}

object ToJson(const VerifyReport::Problem& problem) {
  object json;
  if (!problem.file.empty()) json["file"] = problem.file;
  if (!problem.family.empty()) json["family"] = problem.family;
  if (!problem.queue.empty()) json["queue"] = problem.queue;
  if (problem.sequence != 0) json["sequence"] = problem.sequence;
  json["message"] = problem.message;
  return json;
}

void PrintJson(Output& output, const std::string& directory, const VerifyReport& report) {
  array queues, families, problems;
  for (const VerifyReport::Queue& queue : report.queues) {
    queues.push_back(object{{"name", queue.name},
                            {"messages", queue.messages},
                            {"delayed", queue.delayed},
                            {"bytes", queue.bytes}});
  }
  for (const VerifyReport::Family& family : report.families) {
    families.push_back(
        object{{"name", family.name}, {"rows", family.rows}, {"bytes", family.bytes}});
  }
  for (const VerifyReport::Problem& problem : report.problems) problems.push_back(ToJson(problem));
  output.Json({{"directory", directory},
               {"kind", report.is_backup ? "backup" : "data directory"},
               {"sound", report.sound()},
               {"files", report.files},
               {"bytes", report.bytes},
               {"queues", std::move(queues)},
               {"families", std::move(families)},
               {"problems", std::move(problems)},
               {"problems_omitted", report.problems_omitted}});
}

void PrintText(Output& output, const std::string& directory, const VerifyReport& report) {
  if (!report.queues.empty()) {
    Table queues({"QUEUE", "MESSAGES", "DELAYED", "SIZE"});
    for (const VerifyReport::Queue& queue : report.queues) {
      queues.Row({queue.name, absl::StrCat(queue.messages), absl::StrCat(queue.delayed),
                  BytesText(queue.bytes)});
    }
    queues.Print(output);
    output.Line("");
  }
  Table families({"FAMILY", "ROWS", "SIZE"});
  for (const VerifyReport::Family& family : report.families) {
    families.Row({family.name, absl::StrCat(family.rows), BytesText(family.bytes)});
  }
  families.Print(output);
  output.Line("");
  if (!report.problems.empty()) {
    Table problems({"FILE", "FAMILY", "QUEUE", "SEQUENCE", "PROBLEM"});
    for (const VerifyReport::Problem& problem : report.problems) {
      problems.Row({problem.file, problem.family, problem.queue,
                    problem.sequence == 0 ? "" : absl::StrCat(problem.sequence), problem.message});
    }
    problems.Print(output);
    if (report.problems_omitted > 0)
      output.Line(absl::StrCat("… and ", report.problems_omitted, " more"));
    output.Line("");
  }
  output.Line(
      absl::StrCat(report.sound() ? "sound: " : "DAMAGED: ", report.is_backup ? "backup " : "",
                   directory, ", ", report.files, " files, ", BytesText(report.bytes)));
}

int Verify(Session& session, const std::string& directory) {
  const auto report = WithProgress("verifying", [&](const ProgressCallback& progress) {
    return VerifyDataDirectory(directory, progress);
  });
  // 1 says that something is damaged; that there is nothing to verify is something else.
  if (absl::IsInvalidArgument(report.status()))
    return session.Finish(WrongUsage(report.status().message()));
  if (!report.ok()) return session.Finish(report.status());
  if (session.output().json()) {
    PrintJson(session.output(), directory, *report);
  } else {
    PrintText(session.output(), directory, *report);
  }
  const int code = session.Finish(absl::OkStatus());
  return code == kDone && !report->sound() ? kRefused : code;
}

struct Directories {
  std::string backup, data;
};

}  // namespace

void AddBackupCommands(CLI::App& app, Command& chosen) {
  auto backup = std::make_shared<Directories>();
  CLI::App* backup_app = AddCommand(
      app, "backup", "Let the broker write a backup of all its queues, on its own machine",
      "  barista backup /backups/2026-01-02\n"
      "The broker goes on meanwhile. What it must not lose with its disk has to be copied "
      "elsewhere.\n");
  backup_app
      ->add_option("DIR", backup->backup,
                   "A new or an empty directory, as the broker's machine names it: /...")
      ->required();
  backup_app->callback([&chosen, backup] {
    chosen = [backup](Session& session) { return Backup(session, backup->backup); };
  });

  auto restore = std::make_shared<Directories>();
  CLI::App* restore_app =
      AddCommand(app, "restore", "Make a data directory out of a backup; needs no broker",
                 "  barista restore /backups/2026-01-02 --data-dir ./barista-data\n"
                 "  barista serve --data-dir ./barista-data\n"
                 "The backup stays as it is. Receipt handles from before are void.\n");
  restore_app->add_option("DIR", restore->backup, "The backup")->required();
  restore_app
      ->add_option("--data-dir", restore->data,
                   "The data directory to make: a new or an empty directory")
      ->type_name("DIR")
      ->required();
  restore_app->callback([&chosen, restore] {
    chosen = [restore](Session& session) {
      return Restore(session, restore->backup, restore->data);
    };
  });

  auto verify = std::make_shared<Directories>();
  CLI::App* verify_app = AddCommand(
      app, "verify", "Read everything in a data directory or a backup, and say what is damaged",
      "  barista verify --data-dir ./barista-data\n"
      "Changes nothing; no broker may have the directory open. Exit codes: 0 sound, 1 damaged, "
      "2 wrong usage.\n");
  verify_app->add_option("--data-dir", verify->data, "The data directory, or the backup")
      ->type_name("DIR")
      ->required();
  verify_app->callback([&chosen, verify] {
    chosen = [verify](Session& session) { return Verify(session, verify->data); };
  });
}

}  // namespace barista::cli
