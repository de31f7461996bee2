#include "broker/server/settings.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "barista/queue_attributes.h"
#include "barista/stats.h"
#include "broker/server/listen_address.h"
#include "broker/server/log.h"
#include "broker/server/security/request_rate.h"
#include "broker/server/units.h"

namespace barista::server {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kTiB = int64_t{1} << 40;
constexpr int64_t kMaxCount = 1'000'000;
constexpr size_t kMaxRegionBytes = 64;

// Puts a parsed value into its place.
template <typename T, typename U>
absl::Status Assign(absl::StatusOr<T> parsed, U& place) {
  if (!parsed.ok()) return parsed.status();
  place = *std::move(parsed);
  return absl::OkStatus();
}

absl::Status AssignText(absl::string_view value, std::string& place) {
  if (value.empty()) return absl::InvalidArgumentError("\"\" is empty");
  place = std::string(value);
  return absl::OkStatus();
}

absl::Status AssignAddress(absl::string_view value, bool unix_allowed, std::string& place) {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(value);
  if (!address.ok()) return address.status();
  if (!unix_allowed && !address->unix_path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", value, "\": only gRPC can listen on a Unix socket; expected HOST:PORT"));
  }
  return AssignText(value, place);
}

std::string SwitchText(bool on) { return on ? "true" : "false"; }

constexpr Setting kSettings[] = {
    {"data-dir", "DIR", "Where queues and messages are kept; created if missing [./barista-data]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignText(value, config.server.broker.data_dir);
     },
     [](const ServeConfig& config) -> std::string { return config.server.broker.data_dir; }},
    {"memory", nullptr, "Keep everything in memory only, nothing survives the process",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       bool on = false;
       absl::Status status = Assign(ParseSwitch(value), on);
       if (on) config.server.broker.data_dir.clear();
       return status;
     },
     [](const ServeConfig& config) -> std::string {
       return SwitchText(config.server.broker.data_dir.empty());
     }},
    {"http-listen", "HOST:PORT",
     "Where the AWS protocols listen; port 0 picks one [127.0.0.1:9324]", Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignAddress(value, false, config.server.http_listen);
     },
     [](const ServeConfig& config) -> std::string { return config.server.http_listen; }},
    {"admin-listen", "HOST:PORT", "Where health, metrics and peeks listen [127.0.0.1:9325]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignAddress(value, false, config.server.admin_listen);
     },
     [](const ServeConfig& config) -> std::string { return config.server.admin_listen; }},
    {"grpc-listen", "HOST:PORT|unix:PATH", "Where gRPC listens [127.0.0.1:9326]", Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignAddress(value, true, config.server.grpc_listen);
     },
     [](const ServeConfig& config) -> std::string { return config.server.grpc_listen; }},
    {"insecure", nullptr, "Allow listeners that other machines reach, without authentication",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseSwitch(value), config.server.insecure);
     },
     [](const ServeConfig& config) -> std::string { return SwitchText(config.server.insecure); }},
    {"tls-cert", "FILE", "PEM: the certificate of all listeners, and those up to its root",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignText(value, config.server.security.tls.certificate);
     },
     [](const ServeConfig& config) -> std::string {
       return config.server.security.tls.certificate;
     }},
    {"tls-key", "FILE", "PEM: the private key of --tls-cert, without a passphrase",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignText(value, config.server.security.tls.key);
     },
     [](const ServeConfig& config) -> std::string { return config.server.security.tls.key; }},
    {"tls-client-ca", "FILE", "PEM: clients must have a certificate of one of these roots",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignText(value, config.server.security.tls.client_ca);
     },
     [](const ServeConfig& config) -> std::string { return config.server.security.tls.client_ca; }},
    {"token-file", "FILE", "YAML: the tokens that gRPC and administration ask for, and their roles",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignText(value, config.server.security.token_file);
     },
     [](const ServeConfig& config) -> std::string { return config.server.security.token_file; }},
    {"max-connections", "N", "Connections of a listener, 1 to 1000000; of HTTP at most 512 [10000]",
     Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseCount(value, 1, kMaxCount), config.server.security.connections.total);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::StrCat(config.server.security.connections.total);
     }},
    {"max-client-connections", "N",
     "Connections of a listener from one address, 1 to 1000000 [1000]", Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseCount(value, 1, kMaxCount),
                     config.server.security.connections.per_client);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::StrCat(config.server.security.connections.per_client);
     }},
    {"max-streams", "N",
     "Calls under way on a gRPC connection, 1 to 1000000; more wait in the client [10000]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseCount(value, 1, kMaxCount), config.server.security.max_streams);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::StrCat(config.server.security.max_streams);
     }},
    {"max-client-streams", "N",
     "Streams and waiting receives of a client, that is a token, or an address without one, 1 to "
     "1000000; more are refused [10000]",
     Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseCount(value, 1, kMaxCount), config.server.security.max_client_streams);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::StrCat(config.server.security.max_client_streams);
     }},
    {"max-requests-per-second", "N",
     "Of a client, that is a token, or an address without one, 0 (no limit) to 1000000 [0]",
     Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseCount(value, 0, RequestRate::kMaxPerSecond),
                     config.server.security.max_requests_per_second);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::StrCat(config.server.security.max_requests_per_second);
     }},
    {"memory-limit", "SIZE",
     "Memory for messages and storage buffers, 64MiB to 1TiB; what waits beyond it is on disk "
     "[512MiB]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseBytes(value, 64 * kMiB, kTiB), config.server.broker.memory_limit_bytes);
     },
     [](const ServeConfig& config) -> std::string {
       return FormatBytes(config.server.broker.memory_limit_bytes);
     }},
    {"default-durability", "fsync|os|memory",
     "Durability of queues that do not ask for one: fsync (survives power loss), os (survives a "
     "crash "
     "of the process) or memory [fsync]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       const absl::StatusOr<Durability> durability = ParseDurability(value);
       if (!durability.ok()) {
         return absl::InvalidArgumentError(
             absl::StrCat("\"", value, "\" is not fsync, os or memory"));
       }
       config.server.broker.default_durability = *durability;
       return absl::OkStatus();
     },
     [](const ServeConfig& config) -> std::string {
       return std::string(DurabilityName(config.server.broker.default_durability));
     }},
    {"sync-interval", "DURATION", "Queues of durability os are synced so often, 1ms to 60s [100ms]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseDuration(value, absl::Milliseconds(1), absl::Seconds(60)),
                     config.server.broker.sync_interval);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::FormatDuration(config.server.broker.sync_interval);
     }},
    {"free-space-floor", "SIZE",
     "Refuse sends while the disk has less free space; receiving and deleting go on [256MiB]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseBytes(value, 0, 1024 * kTiB),
                     config.server.broker.free_space_floor_bytes);
     },
     [](const ServeConfig& config) -> std::string {
       return FormatBytes(config.server.broker.free_space_floor_bytes);
     }},
    {"accept-truncated-log", nullptr,
     "Open a data directory whose log lost acknowledged operations to corruption, giving them up",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseSwitch(value), config.server.broker.accept_truncated_log);
     },
     [](const ServeConfig& config) -> std::string {
       return SwitchText(config.server.broker.accept_truncated_log);
     }},
    {"account", "ID", "The account in ARNs and queue URLs, 12 digits [000000000000]",
     Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       if (value.size() != 12 || !std::all_of(value.begin(), value.end(), absl::ascii_isdigit)) {
         return absl::InvalidArgumentError(absl::StrCat("\"", value, "\" is not 12 digits"));
       }
       return AssignText(value, config.server.broker.account);
     },
     [](const ServeConfig& config) -> std::string { return config.server.broker.account; }},
    {"region", "NAME", "The region in ARNs [us-east-1]", Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       const bool valid = std::all_of(value.begin(), value.end(), [](char c) {
         return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
       });
       if (!valid || value.empty() || value.size() > kMaxRegionBytes) {
         return absl::InvalidArgumentError(
             absl::StrCat("\"", value, "\" is not 1 to ", kMaxRegionBytes, " of a-z 0-9 -"));
       }
       return AssignText(value, config.server.broker.region);
     },
     [](const ServeConfig& config) -> std::string { return config.server.broker.region; }},
    {"metrics-queues", "N",
     "Queues with metrics of their own, the deepest ones, 0 to 10000; any queue's are at "
     "/metrics?queue=NAME [100]",
     Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseCount(value, 0, kMaxSurveyedQueues), config.server.metrics_queues);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::StrCat(config.server.metrics_queues);
     }},
    {"ready-file", "FILE",
     "Written when every listener accepts: one line of JSON with the addresses", Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return AssignText(value, config.ready_file);
     },
     [](const ServeConfig& config) -> std::string { return config.ready_file; }},
    {"drain-time", "DURATION", "How long calls in flight may finish after SIGTERM, 0s to 1h [10s]",
     Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseDuration(value, absl::ZeroDuration(), absl::Hours(1)),
                     config.server.drain_time);
     },
     [](const ServeConfig& config) -> std::string {
       return absl::FormatDuration(config.server.drain_time);
     }},
    {"manual-clock", nullptr,
     "For tests: time stands still until POST /admin/clock/advance moves it", Reload::kRestart,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseSwitch(value), config.server.manual_clock);
     },
     [](const ServeConfig& config) -> std::string {
       return SwitchText(config.server.manual_clock);
     }},
    {"log-level", "trace|debug|info|warn|error|off", "What is told on standard error [info]",
     Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       for (const absl::string_view level : {"trace", "debug", "info", "warn", "error", "off"}) {
         if (value == level) return AssignText(value, config.log_level);
       }
       return absl::InvalidArgumentError(
           absl::StrCat("\"", value, "\" is not trace, debug, info, warn, error or off"));
     },
     [](const ServeConfig& config) -> std::string { return config.log_level; }},
    {"log-format", "FORMAT", "text for people, json for programs: one object per line [text]",
     Reload::kLive,
     [](absl::string_view value, ServeConfig& config) {
       return Assign(ParseLogFormat(value), config.log_format);
     },
     [](const ServeConfig& config) -> std::string {
       return std::string(LogFormatName(config.log_format));
     }},
};

}  // namespace

std::string Setting::environment_name() const {
  return absl::StrCat("BARISTA_", absl::AsciiStrToUpper(yaml_key()));
}

std::string Setting::yaml_key() const { return absl::StrReplaceAll(name, {{"-", "_"}}); }

absl::Span<const Setting> Settings() { return kSettings; }

}  // namespace barista::server
