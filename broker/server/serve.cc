#include "broker/server/serve.h"

#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/version.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "barista/error.h"
#include "barista/version.h"
#include "broker/server/config.h"
#include "broker/server/log.h"
#include "broker/server/ready_file.h"
#include "broker/server/reload.h"
#include "broker/server/server.h"
#include "broker/server/service_manager.h"
#include "broker/server/watchdog.h"

namespace barista::server {
namespace {

// What the end may take after the drain: the last commits, and closing the store.
constexpr absl::Duration kCloseTime = absl::Seconds(60);

// Waits for signals on a thread of its own: of SIGTERM and SIGINT the first one asks for the end,
// the second one ends the process at once; SIGHUP asks for a reload, until the end is asked for.
class Signals {
 public:
  Signals() : stops_(io_, SIGTERM, SIGINT), hangups_(io_, SIGHUP) {
    ArmStop();
    ArmHangup();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Signals() {
    io_.stop();
    thread_.join();
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // From now on `reload` runs at each SIGHUP, on the thread of the signals; one that came before is
  // forgotten. What it captures outlives this.
  void OnHangup(std::function<void()> reload) {
    const std::lock_guard<std::mutex> lock(mutex_);
    reload_ = std::move(reload);
  }

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return stopping_; });
  }

 private:
  void ArmStop() {
    stops_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) {
        std::fprintf(stderr, "barista serve: second signal, ending without draining\n");
        std::_Exit(1);
      }
      spdlog::info("signal {}: draining", signal);
      stopping_ = true;
      changed_.notify_all();
      ArmStop();
    });
  }

  void ArmHangup() {
    hangups_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      std::function<void()> reload;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!stopping_) reload = reload_;
      }
      if (reload) reload();
      ArmHangup();
    });
  }

  boost::asio::io_context io_{1};
  boost::asio::signal_set stops_, hangups_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;         // guarded by mutex_
  std::function<void()> reload_;  // guarded by mutex_
  std::thread thread_;
};

std::string DataText(const BrokerOptions& options) {
  if (options.data_dir.empty()) return "in memory only: nothing survives the process";
  return "data in " + options.data_dir;
}

// Says why, in a line for each thing that is wrong, and returns the exit code: 2 for settings that
// do not go together, 1 for the rest.
int Fail(const absl::Status& status, LogFormat format = LogFormat::kText) {
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    if (format == LogFormat::kJson && LogsAt(spdlog::level::err)) {
      Log(spdlog::level::err, line, {{"reason", GetErrorInfo(status).reason}});
    } else {
      std::fprintf(stderr, "barista serve: %s\n", std::string(line).c_str());
    }
  }
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

void LogSecurity(const ServerOptions& options) {
  const SecurityOptions& security = options.security;
  if (security.token_file.empty() && security.tls.client_ca.empty() && options.insecure) {
    spdlog::warn("--insecure: there is no authentication");
  }
  if (!security.token_file.empty() && !security.tls.any()) {
    spdlog::warn("tokens travel in the clear: no --tls-cert");
  }
}

void ReloadSecurity(Server& server) {
  const absl::Status reloaded = server.Reload();
  if (reloaded.ok()) {
    spdlog::info("SIGHUP: certificates and tokens are read again");
  } else {
    spdlog::error("SIGHUP: the old state is kept where the new one is wrong: {}",
                  std::string(reloaded.message()));
  }
}

// How a change of a setting reads: "metrics_queues is 7, was 100 (barista.yaml:3)".
std::string ChangeText(const SettingChange& change, absl::string_view is, absl::string_view was) {
  const auto shown = [](const std::string& value) { return value.empty() ? "none" : value; };
  return absl::StrCat("SIGHUP: ", change.name, " is ", shown(change.after), is, ", ",
                      shown(change.before), was, " (", change.where, ")");
}

// All that is wrong with new settings, of which then none is taken.
void LogRefused(absl::Span<const std::string> errors) {
  for (const std::string& error : errors) spdlog::error("SIGHUP: {}", error);
  spdlog::error("SIGHUP: all settings and queues stay as they are");
}

void ReloadSettings(Server& server, const ParsedArguments& read, ServeConfig& in_force) {
  if (!read.config.has_value()) return LogRefused(read.errors);
  ReloadPlan plan = PlanReload(in_force, *read.config);
  const absl::Status status = server.Reconfigure(plan.config.server);
  if (absl::IsInvalidArgument(status)) {
    const std::vector<std::string> errors = absl::StrSplit(status.message(), '\n');
    return LogRefused(errors);
  }
  in_force = std::move(plan.config);
  ChangeLog(in_force.log_level, in_force.log_format);
  for (const SettingChange& change : plan.applied) {
    Log(spdlog::level::info, ChangeText(change, "", " before"),
        {{"setting", change.name}, {"value", change.after}});
  }
  for (const SettingChange& change : plan.need_restart) {
    Log(spdlog::level::warn,
        ChangeText(change, " in the settings", " in force until the process starts again"),
        {{"setting", change.name}, {"value", change.before}});
  }
  if (!status.ok()) {
    spdlog::error("SIGHUP: the queues are not all set up: {}", std::string(status.message()));
  } else {
    spdlog::info("SIGHUP: settings and queues are read again");
  }
}

std::string ServingText(const Server& server) {
  return absl::StrCat("gRPC on ", server.grpc_address(), ", HTTP on ", server.http_address(),
                      ", administration on ", server.admin_address());
}

void LogStart(const ServeConfig& config, Server& server) {
  spdlog::info("barista {} (gRPC {}, protobuf {}, Boost {}.{})", BARISTA_VERSION, grpc::Version(),
               google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION),
               BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
  spdlog::info("{}", DataText(config.server.broker));
  const RecoveryReport& recovery = server.broker().recovery();
  if (recovery.unsynced_commits_dropped > 0 || recovery.synced_commits_lost > 0) {
    spdlog::warn(
        "recovery: {} commits that were never synced were dropped, {} synced ones were lost",
        recovery.unsynced_commits_dropped, recovery.synced_commits_lost);
  }
  LogSecurity(config.server);
  if (config.server.manual_clock) spdlog::warn("--manual-clock: time stands still");
  spdlog::info("{}", ServingText(server));
}

// `read_again` gives the settings as they are at a reload.
int Serve(ServeConfig config, const std::function<ParsedArguments()>& read_again) {
  const LogFormat format = config.log_format;
  const std::string ready_file = config.ready_file;
  const ServiceManager manager(ProcessEnvironment());
  std::unique_ptr<Server> server_owner;  // outlives the signals, which reload it
  Signals signals;
  if (!ready_file.empty()) {
    const absl::Status removed = RemoveReadyFile(ready_file);
    if (!removed.ok()) return Fail(removed, format);
  }
  manager.Status(absl::StrCat("opening: ", DataText(config.server.broker)));
  absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(config.server);
  if (!started.ok()) return Fail(started.status(), format);
  server_owner = *std::move(started);
  Server& server = *server_owner;
  LogStart(config, server);
  if (!ready_file.empty()) {
    const absl::Status written = WriteReadyFile(ready_file, server);
    if (!written.ok()) return Fail(written, format);
  }
  Watchdog watchdog(&manager, [&server] { return server.SilentParts(); });
  manager.Ready(ServingText(server));

  std::atomic<int64_t> drain_time_ns{absl::ToInt64Nanoseconds(config.server.drain_time)};
  // From here on `config`, what is in force, is the thread's of the signals.
  signals.OnHangup([&] {
    manager.Reloading();
    ReloadSecurity(server);
    ReloadSettings(server, read_again(), config);
    drain_time_ns.store(absl::ToInt64Nanoseconds(config.server.drain_time));
    manager.Ready(ServingText(server));
  });
  signals.Wait();
  watchdog.StopAsking();
  manager.Stopping(absl::Nanoseconds(drain_time_ns.load()) + kCloseTime);
  const absl::Status closed = server.Shutdown();
  if (!closed.ok()) return Fail(closed, format);
  if (!ready_file.empty()) {
    const absl::Status removed = RemoveReadyFile(ready_file);
    if (!removed.ok()) return Fail(removed, format);
  }
  spdlog::info("ended");
  return 0;
}

}  // namespace

int ServeMain(int argc, char** argv) {
  const auto read = [=] { return ParseServeArguments(argc, argv); };
  ParsedArguments parsed = read();
  if (!parsed.config.has_value()) {
    std::fputs(parsed.text.c_str(), parsed.exit_code == 0 ? stdout : stderr);
    return parsed.exit_code;
  }
  StartLog(parsed.config->log_level, parsed.config->log_format);
  return Serve(*std::move(parsed.config), read);
}

}  // namespace barista::server
