#ifndef BARISTA_TESTS_CONFORMANCE_CONFORMANCE_TEST_H_
#define BARISTA_TESTS_CONFORMANCE_CONFORMANCE_TEST_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "barista/broker.h"
#include "tests/conformance/broker_kinds.h"
#include "tests/conformance/deployment.h"

namespace barista::testing {

// A broker of one kind on a manual clock. In manual mode time passes and work is done in Advance();
// in threaded mode Advance() moves the clock and the broker's own threads follow, so tests wait
// with Eventually().
class ConformanceTest : public ::testing::TestWithParam<BrokerKind> {
 protected:
  void SetUp() override { Start(); }

  void Start();
  // Ends everything and starts again on the same data, if there is any.
  void Restart();
  // Whether a restart finds what there was.
  bool CanReopen() const {
    return GetParam().on_disk && GetParam().durability != Durability::kMemory;
  }
  QueueHost& host() { return deployment_->host(); }
  Broker& broker() { return deployment_->broker(); }
  Queue Create(const std::string& name, QueueAttributes attributes = {});

  void Advance(absl::Duration step);
  // Lets the broker work until `condition` holds, at most 20 s of real time.
  ::testing::AssertionResult Eventually(const std::function<bool()>& condition);
  // Waits until so many receives are parked at the broker.
  ::testing::AssertionResult EventuallyParked(int64_t receives);

  // Everything that can be received now.
  std::vector<ReceivedMessage> ReceiveAll(Queue& queue,
                                          absl::Duration visibility = absl::Seconds(30));
  // Waits for `n` messages.
  std::vector<ReceivedMessage> ReceiveExactly(Queue& queue, size_t n,
                                              absl::Duration visibility = absl::Seconds(30));

  TemporaryDirectory directory_;
  ManualClock clock_;
  BrokerOptions options_;
  std::unique_ptr<Deployment> deployment_;
};

}  // namespace barista::testing

#endif  // BARISTA_TESTS_CONFORMANCE_CONFORMANCE_TEST_H_
