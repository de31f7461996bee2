// barista bench

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "barista/broker.h"
#include "client/cli/bench_flags.h"
#include "client/cli/interrupt.h"
#include "client/cli/session.h"
#include "client/load/embedded_target.h"
#include "client/load/grpc/stream_target.h"
#include "client/load/grpc/unary_target.h"
#include "client/load/load_generator.h"
#include "client/load/report.h"

namespace barista::cli {
namespace {

using load::LoadOptions;
using load::LoadProgress;
using load::LoadReport;
using load::LoadTarget;

// Names that nobody else has: those of one run differ from those of another.
std::string QueuePrefix() { return absl::StrFormat("barista-bench-%08x-", std::random_device()()); }

// "measuring 3 s of 10 s: 123456 sent, 123400 consumed"
std::string ProgressText(const LoadProgress& progress, bool consumes) {
  std::string text = absl::StrFormat("%s %.0f s of %.0f s: %d sent", progress.phase,
                                     absl::ToDoubleSeconds(progress.elapsed),
                                     absl::ToDoubleSeconds(progress.length), progress.acknowledged);
  if (consumes) absl::StrAppend(&text, ", ", progress.completed, " consumed");
  if (progress.errors > 0) absl::StrAppend(&text, ", ", progress.errors, " errors");
  return text;
}

// Drives `target` until the end or the first interrupt, shows the report and removes the queues.
// `dir` is where the broker's data is, if that is known.
int Drive(Session& session, LoadTarget& target, const LoadOptions& options, bool keep,
          const std::string& dir) {
  std::atomic<bool> interrupted{false};
  Interrupt interrupt([&] { interrupted = true; });
  auto drawn = std::make_unique<Progress>("");
  const absl::StatusOr<LoadReport> report =
      load::RunLoad(target, options, [&](const LoadProgress& progress) {
        drawn->UpdateText(ProgressText(progress, options.consumers > 0));
        return !interrupted;
      });
  drawn.reset();
  absl::Status status = report.status();
  if (report.ok()) {
    if (session.output().json()) {
      session.output().Json(load::ReportJson(*report, dir));
    } else {
      const std::string text = load::ReportText(*report);
      session.output().Line(absl::StripSuffix(text, "\n"));
    }
    status = session.output().Flush();
  }
  if (keep) {
    session.output().Note(
        absl::StrCat("left: the queues ", options.queue_prefix, "0 to ", options.queues - 1));
  } else if (absl::Status deleted = target.DeleteQueues(); !deleted.ok()) {
    session.output().Note(absl::StrCat("queues may be left; `barista queue list --prefix ",
                                       options.queue_prefix, "` shows them"));
    status.Update(deleted);
  }
  const int code = session.Finish(status);
  return code == kDone && !report->good() ? kRefused : code;
}

// A new directory below TMPDIR; empty if there can be none.
std::string MakeTemporaryDirectory() {
  std::error_code error;
  std::string path = std::filesystem::temp_directory_path(error) / "barista-bench-XXXXXX";
  return mkdtemp(path.data()) == nullptr ? "" : path;
}

int DriveEmbedded(Session& session, const BenchFlags& flags, const LoadOptions& options) {
  std::string dir = flags.data_dir;
  const auto removed = absl::MakeCleanup([&] {
    std::error_code ignored;
    if (flags.data_dir.empty() && !dir.empty()) std::filesystem::remove_all(dir, ignored);
  });
  if (dir.empty()) {
    dir = MakeTemporaryDirectory();
    if (dir.empty()) {
      return session.Finish(
          absl::PermissionDeniedError("no directory can be made below TMPDIR; give --data-dir"));
    }
  }
  BrokerOptions broker_options;
  broker_options.data_dir = dir;
  auto broker = Broker::Open(broker_options);
  if (!broker.ok()) return session.Finish(broker.status());
  int code;
  {
    const auto target = load::NewEmbeddedTarget(broker->get());
    code = Drive(session, *target, options, flags.keep, dir);
  }
  const absl::Status closed = (*broker)->Close();
  return code == kDone && !closed.ok() ? session.Finish(closed) : code;
}

int Bench(Session& session, const BenchFlags& flags) {
  auto options = ToLoadOptions(flags);
  if (!options.ok()) return session.Finish(options.status());
  options->queue_prefix = QueuePrefix();
  if (flags.embedded) return DriveEmbedded(session, flags, *options);
  auto connections = load::Connections::Open(session.globals().channel, flags.connections,
                                             session.globals().timeout);
  if (!connections.ok()) return session.Finish(WrongUsage(connections.status().message()));
  const auto target = flags.streams ? load::NewStreamTarget(*std::move(connections))
                                    : load::NewUnaryTarget(*std::move(connections));
  return Drive(session, *target, *options, flags.keep, "");
}

}  // namespace

void AddBenchCommand(CLI::App& app, Command& chosen) {
  CLI::App* bench = AddCommand(
      app, "bench", "Measure a broker under load, and check that it delivers each message once",
      "  barista bench                                   # as fast as 1000 in flight go, unary "
      "calls\n"
      "  barista bench --streams --send-batch 100 --receive-batch 100 --durability memory\n"
      "  barista bench --rate 5000 --queues 8 --body 100,1KiB,64KiB --duration 1m\n"
      "  barista bench --embedded --data-dir /var/lib/barista-bench --producers 4 --consumers 4\n"
      "The queues are new, named barista-bench-..., and deleted at the end; Ctrl-C ends a run in "
      "order, with a report. Of messages that were due in the measured time the latencies are "
      "shown "
      "from due to acknowledged (send), from due to received (end to end), and of delete calls. "
      "Exit codes: 0 each acknowledged message was delivered exactly once and nothing failed, 1 "
      "lost, duplicate or foreign messages, or errors, 2 wrong usage, 3 broker not reachable.");
  auto flags = std::make_shared<BenchFlags>();
  AddBenchFlags(*bench, *flags);
  bench->callback(
      [&chosen, flags] { chosen = [flags](Session& session) { return Bench(session, *flags); }; });
}

}  // namespace barista::cli
