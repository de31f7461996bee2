// The conformance suite over brokers behind a server, with the client in front.
#include <utility>

#include "barista/client.h"
#include "broker/server/server.h"
#include "tests/conformance/deployment.h"

namespace barista::testing {
namespace {

class Remote final : public Deployment {
 public:
  Remote(std::unique_ptr<server::Server> server, std::unique_ptr<QueueHost> host)
      : server_(std::move(server)), host_(std::move(host)) {}
  QueueHost& host() override { return *host_; }
  Broker& broker() override { return server_->broker(); }

 private:
  // The client first, so that nobody waits for it.
  const std::unique_ptr<server::Server> server_;
  const std::unique_ptr<QueueHost> host_;
};

}  // namespace

std::vector<BrokerKind> AllBrokerKinds() {
  return {{"grpc_memory", false, Durability::kMemory, false},
          {"grpc_disk_fsync", true, Durability::kFsync, false}};
}

std::vector<BrokerKind> OneOfEachStorage() { return AllBrokerKinds(); }

absl::StatusOr<std::unique_ptr<Deployment>> Deploy(const BrokerOptions& options) {
  server::ServerOptions server_options;
  server_options.broker = options;
  server_options.http_listen = server_options.admin_listen = server_options.grpc_listen =
      "127.0.0.1:0";
  absl::StatusOr<std::unique_ptr<server::Server>> server = server::Server::Start(server_options);
  if (!server.ok()) return server.status();
  absl::StatusOr<std::unique_ptr<QueueHost>> host =
      client::Connect({.server = (*server)->grpc_address(), .timeout = absl::Seconds(60)});
  if (!host.ok()) return host.status();
  return std::make_unique<Remote>(*std::move(server), *std::move(host));
}

}  // namespace barista::testing
