// The suite over brokers in this process.
#include <utility>

#include "tests/conformance/deployment.h"

namespace barista::testing {
namespace {

class Embedded final : public Deployment {
 public:
  explicit Embedded(std::unique_ptr<Broker> broker) : broker_(std::move(broker)) {}
  QueueHost& host() override { return *broker_; }
  Broker& broker() override { return *broker_; }

 private:
  const std::unique_ptr<Broker> broker_;
};

}  // namespace

std::vector<BrokerKind> AllBrokerKinds() {
  return {
      {"memory_manual", false, Durability::kMemory, true},
      {"memory_threads", false, Durability::kMemory, false},
      {"disk_fsync_manual", true, Durability::kFsync, true},
      {"disk_fsync_threads", true, Durability::kFsync, false},
      {"disk_os_threads", true, Durability::kOs, false},
      {"disk_memory_queue_manual", true, Durability::kMemory, true},
  };
}

std::vector<BrokerKind> OneOfEachStorage() {
  return {{"memory", false, Durability::kMemory, true}, {"disk", true, Durability::kFsync, true}};
}

absl::StatusOr<std::unique_ptr<Deployment>> Deploy(const BrokerOptions& options) {
  absl::StatusOr<std::unique_ptr<Broker>> broker = Broker::Open(options);
  if (!broker.ok()) return broker.status();
  return std::make_unique<Embedded>(*std::move(broker));
}

}  // namespace barista::testing
