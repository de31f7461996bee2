#ifndef BARISTA_TESTS_CONFORMANCE_DEPLOYMENT_H_
#define BARISTA_TESTS_CONFORMANCE_DEPLOYMENT_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "barista/broker.h"
#include "barista/queue_host.h"

namespace barista::testing {

// What the conformance suite runs over: brokers in this process, or brokers behind a server with
// the client in front. An executable of the suite links one file that says which.
struct BrokerKind {
  std::string name;
  bool on_disk;
  Durability durability;
  bool manual;
};
std::vector<BrokerKind> AllBrokerKinds();
// One in memory and one on disk, for what does not depend on threads.
std::vector<BrokerKind> OneOfEachStorage();
std::string KindName(const ::testing::TestParamInfo<BrokerKind>& info);

// A broker, and what stands in front of it. Its destructor ends both.
class Deployment {
 public:
  virtual ~Deployment() = default;
  // What is tested.
  virtual QueueHost& host() = 0;
  // What is behind it, for what only the process of the broker can see.
  virtual Broker& broker() = 0;
};
absl::StatusOr<std::unique_ptr<Deployment>> Deploy(const BrokerOptions& options);

}  // namespace barista::testing

#endif  // BARISTA_TESTS_CONFORMANCE_DEPLOYMENT_H_
