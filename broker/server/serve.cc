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

// Waits for signals on a thread of its own: the first one asks for the end, the second one ends the
// process at once.
class StopSignals {
 public:
  StopSignals() : signals_(io_, SIGTERM, SIGINT) {
    Arm();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~StopSignals() {
    io_.stop();
    thread_.join();
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return stopping_; });
  }

 private:
  void Arm() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) {
        std::fprintf(stderr, "barista serve: second signal, ending without draining\n");
        std::_Exit(1);
      }
      spdlog::info("signal {}: draining", signal);
      stopping_ = true;
      changed_.notify_all();
      Arm();
    });
  }

  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_
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

int Serve(const ServeConfig& config) {
  StopSignals signals;
  if (!config.ready_file.empty()) {
    const absl::Status removed = RemoveReadyFile(config.ready_file);
    if (!removed.ok()) return Fail(removed);
  }
  absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(config.server);
  if (!started.ok()) return Fail(started.status());
  Server& server = **started;

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
  if (config.server.insecure) spdlog::warn("--insecure: there is no authentication");
  if (config.server.manual_clock) spdlog::warn("--manual-clock: time stands still");
  spdlog::info("gRPC on {}, HTTP on {}, administration on {}", server.grpc_address(),
               server.http_address(), server.admin_address());
  if (!config.ready_file.empty()) {
    const absl::Status written = WriteReadyFile(config.ready_file, server);
    if (!written.ok()) return Fail(written);
  }

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
