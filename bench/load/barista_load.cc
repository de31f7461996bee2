// The load generator as a command:
//
//   barista_load --dir /var/tmp/x --producers 2 --consumers 2 --in-flight 1000          an embedded
//   broker barista_load --server 127.0.0.1:9326 --queues 8 --rate 5000 --output json           a
//   running `barista serve`
//
// Exits 0 if every acknowledged message was delivered exactly once and nothing failed, 1 otherwise,
// 2 on wrong usage.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/common/scratch_dir.h"
#include "bench/load/embedded_target.h"
#include "bench/load/grpc_target.h"
#include "bench/load/load_generator.h"

namespace barista::bench {
namespace {

struct Settings {
  LoadOptions load;
  std::string server;
  std::string dir;
  std::string durability = "fsync";
  std::string output = "text";
  double seconds = 3, warm_up_seconds = 0.5;
  int channels = 2;
};

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "error: %s\n", status.ToString().c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

int Drive(LoadTarget& target, const Settings& settings, const std::string& dir) {
  auto report = RunLoad(target, settings.load);
  if (!report.ok()) return Fail(report.status());
  std::puts(settings.output == "json" ? ReportJson(*report, dir).c_str()
                                      : ReportText(*report, dir).c_str());
  return report->good() ? 0 : 1;
}

int Main(Settings settings) {
  auto durability = ParseDurability(settings.durability);
  if (!durability.ok()) return Fail(durability.status());
  settings.load.durability = *durability;
  settings.load.measured = absl::Seconds(settings.seconds);
  settings.load.warm_up = absl::Seconds(settings.warm_up_seconds);
  if (!settings.server.empty()) {
    auto target = NewGrpcTarget(settings.server, settings.channels);
    if (!target.ok()) return Fail(target.status());
    return Drive(**target, settings, ".");
  }
  std::unique_ptr<ScratchDir> scratch;
  if (settings.dir.empty()) {
    scratch = std::make_unique<ScratchDir>();
    settings.dir = scratch->path();
  }
  BrokerOptions options;
  options.data_dir = absl::StrCat(settings.dir, "/data");
  auto broker = Broker::Open(options);
  if (!broker.ok()) return Fail(broker.status());
  auto target = NewEmbeddedTarget(broker->get());
  const int result = Drive(*target, settings, settings.dir);
  if (absl::Status status = (*broker)->Close(); !status.ok()) return Fail(status);
  return result;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  barista::bench::Settings settings;
  barista::bench::LoadOptions& load = settings.load;
  CLI::App app("Drives a barista broker, embedded or over gRPC, and checks every delivery");
  app.add_option("--server", settings.server,
                 "gRPC address of a server; without it an embedded broker");
  app.add_option("--dir", settings.dir,
                 "Directory of the embedded broker (default: a temporary one)");
  app.add_option("--durability", settings.durability, "fsync, os or memory")->capture_default_str();
  app.add_option("--queues", load.queues, "Queues, used in turn")->capture_default_str();
  app.add_option("--queue-prefix", load.queue_prefix, "Their names, before a number")
      ->capture_default_str();
  app.add_option("--body", load.body_bytes, "Bytes of a body, 48 to 1048576")
      ->capture_default_str();
  app.add_option("--producers", load.producers, "Sending threads")->capture_default_str();
  app.add_option("--consumers", load.consumers, "Receiving threads; 0: only send")
      ->capture_default_str();
  app.add_option("--send-batch", load.send_batch, "Messages per send")->capture_default_str();
  app.add_option("--receive-batch", load.receive_batch, "Most messages per receive")
      ->capture_default_str();
  app.add_option("--in-flight", load.in_flight, "Messages between send and delete, together")
      ->capture_default_str();
  app.add_option("--rate", load.rate, "Open loop: messages a second; 0: closed loop")
      ->capture_default_str();
  app.add_option("--seconds", settings.seconds, "Measured time")->capture_default_str();
  app.add_option("--warm-up", settings.warm_up_seconds, "Seconds before it")->capture_default_str();
  app.add_option("--channels", settings.channels, "Connections to the server")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--output", settings.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return barista::bench::Main(settings);
}
