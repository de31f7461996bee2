#ifndef BROKER_SERVER_SERVER_H_
#define BROKER_SERVER_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/broker.h"
#include "barista/clock.h"
#include "broker/server/queue_definitions.h"
#include "broker/server/security/security.h"

namespace barista::server {

struct ServerOptions {
  // The broker behind the listeners. `clock` must be null with manual_clock.
  BrokerOptions broker = {};
  // The broker's time stands still until POST /admin/clock/advance moves it.
  bool manual_clock = false;

  // Set up before the listeners accept (SetUpQueues).
  std::vector<QueueDefinition> queues = {};

  // HOST:PORT or [V6]:PORT; port 0 picks a free one. grpc_listen may also be unix:PATH.
  std::string http_listen = "127.0.0.1:9324";
  std::string admin_listen = "127.0.0.1:9325";
  std::string grpc_listen = "127.0.0.1:9326";

  // Certificates, tokens and limits.
  SecurityOptions security = {};
  // Allows listeners on addresses that other machines reach, without authentication.
  bool insecure = false;

  // So many of the deepest queues have metrics of their own in /metrics, [0, kMaxSurveyedQueues].
  int metrics_queues = 100;

  // How long Shutdown lets calls in flight finish before it breaks them, [0s, 1h].
  absl::Duration drain_time = absl::Seconds(10);
};

// The barista process without the process: a broker and its listeners for gRPC, HTTP and
// administration. Thread-safe. Installs no signal handlers and writes no files but the broker's;
// several servers may live in one process.
class Server {
 public:
  // What of `options` would keep a server from starting that needs no start to be seen: addresses
  // that are none or too open, certificates and tokens, queues that do not go together. All of it;
  // empty: nothing. Reads files, changes nothing. Blocks.
  static std::vector<std::string> Check(const ServerOptions& options);

  // Opens the broker and starts to listen; on return every listener accepts. Broker::Open's errors
  // as they are, and kInvalidArgument/InvalidParameterValue: a malformed address, one that other
  // machines reach with neither tokens, client certificates nor `insecure`, or a file of `security`
  // that is wrong. kUnavailable: an address cannot be listened on; the text
  // names it and says why.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);

  // Shutdown(), ignoring its status.
  virtual ~Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Where the listeners listen, with the real ports: HOST:PORT, or unix:PATH for gRPC.
  virtual const std::string& http_address() const = 0;
  virtual const std::string& admin_address() const = 0;
  virtual const std::string& grpc_address() const = 0;

  virtual Broker& broker() = 0;
  // Null without manual_clock.
  virtual ManualClock* manual_clock() = 0;

  // Reads certificates and tokens again; connections and streams that are open go on. What is wrong
  // keeps its old state, and the status says why (Security::Reload). Blocks.
  virtual absl::Status Reload() = 0;

  // Takes what can be changed while the server runs from `options`: limits of connections and of
  // requests per second, metrics_queues, drain_time, and the queues, as at the start; all else of
  // it is not looked at. Connections that are open stay, also beyond the limits. Where there was
  // neither a token file nor a limit of requests at the start, reflection is not counted.
  //
  // kInvalidArgument: nothing has changed; else errors of SetUpQueues. Blocks.
  virtual absl::Status Reconfigure(const ServerOptions& options) = 0;

  // The parts of the server that have not answered since the call before: of the committer, the
  // executor, and the loops of HTTP and gRPC. Empty: all is well. Asks them again; does not block.
  // Before Shutdown, from one thread.
  virtual std::vector<std::string> SilentParts() = 0;

  // Prepares the end, at once: /readyz answers 503, gRPC health NOT_SERVING, and receives that wait
  // answer without messages. Everything else goes on. Cannot be taken back.
  virtual void Drain() = 0;

  // Drains, refuses new calls, lets those in flight finish for up to drain_time, then closes the
  // listeners and the broker. Blocks. The status is that of Broker::Close. Later calls wait for the
  // first one and answer its status.
  virtual absl::Status Shutdown() = 0;

  // Returns when Shutdown has finished.
  virtual void Wait() = 0;

 protected:
  Server() = default;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SERVER_H_
