#include "broker/server/serve.h"

#include <google/protobuf/stubs/common.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

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

#include "barista/version.h"
#include "broker/server/config.h"
#include "broker/server/ready_file.h"
#include "broker/server/server.h"

namespace barista::server {
namespace {

// Waits for signals on a thread of its own: of SIGTERM and SIGINT the first one asks for the end,
// the second one ends the process at once; SIGHUP asks for a reload.
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
        reload = reload_;
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

void StartLog(const std::string& level) {
  auto log = std::make_shared<spdlog::logger>("barista",
                                              std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  log->set_level(level == "warn" ? spdlog::level::warn : spdlog::level::from_str(level));
  log->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(log));
  // What gRPC has to say is for those who debug it; what fails is told by us.
  gpr_set_log_function([](gpr_log_func_args* args) {
    spdlog::debug("grpc {}:{}: {}", args->file, args->line, args->message);
  });
}

std::string DataText(const BrokerOptions& options) {
  if (options.data_dir.empty()) return "in memory only: nothing survives the process";
  return "data in " + options.data_dir;
}

// Says why and returns the exit code: 2 for settings that do not go together, 1 for the rest.
int Fail(const absl::Status& status) {
  std::fprintf(stderr, "barista serve: %s\n", std::string(status.message()).c_str());
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

void Reload(Server& server) {
  const absl::Status reloaded = server.Reload();
  if (reloaded.ok()) {
    spdlog::info("SIGHUP: certificates and tokens are read again");
  } else {
    spdlog::error("SIGHUP: the old state is kept where the new one is wrong: {}",
                  std::string(reloaded.message()));
  }
}

int Serve(const ServeConfig& config) {
  std::unique_ptr<Server> server_owner;  // outlives the signals, which reload it
  Signals signals;
  if (!config.ready_file.empty()) {
    const absl::Status removed = RemoveReadyFile(config.ready_file);
    if (!removed.ok()) return Fail(removed);
  }
  absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(config.server);
  if (!started.ok()) return Fail(started.status());
  server_owner = *std::move(started);
  Server& server = *server_owner;

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
  spdlog::info("gRPC on {}, HTTP on {}, administration on {}", server.grpc_address(),
               server.http_address(), server.admin_address());
  if (!config.ready_file.empty()) {
    const absl::Status written = WriteReadyFile(config.ready_file, server);
    if (!written.ok()) return Fail(written);
  }

  signals.OnHangup([&server] { Reload(server); });
  signals.Wait();
  const absl::Status closed = server.Shutdown();
  if (!closed.ok()) return Fail(closed);
  if (!config.ready_file.empty()) {
    const absl::Status removed = RemoveReadyFile(config.ready_file);
    if (!removed.ok()) return Fail(removed);
  }
  spdlog::info("ended");
  return 0;
}

}  // namespace

int ServeMain(int argc, char** argv) {
  const ParsedArguments parsed = ParseServeArguments(argc, argv);
  if (!parsed.config.has_value()) {
    std::fputs(parsed.text.c_str(), parsed.exit_code == 0 ? stdout : stderr);
    return parsed.exit_code;
  }
  StartLog(parsed.config->log_level);
  return Serve(*parsed.config);
}

}  // namespace barista::server
