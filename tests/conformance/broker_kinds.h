#ifndef BARISTA_TESTS_CONFORMANCE_BROKER_KINDS_H_
#define BARISTA_TESTS_CONFORMANCE_BROKER_KINDS_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "barista/broker.h"

namespace barista::testing {

// A directory of its own for each test, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// The brokers over which the conformance suite runs.
struct BrokerKind {
  std::string name;
  bool on_disk;
  Durability durability;
  bool manual;
};
std::vector<BrokerKind> AllBrokerKinds();
std::string KindName(const ::testing::TestParamInfo<BrokerKind>& info);

// A broker of one kind on a manual clock. In manual mode time passes and work is done in Advance();
// in threaded mode Advance() moves the clock and the broker's own threads follow, so tests wait
// with Eventually().
class ConformanceTest : public ::testing::TestWithParam<BrokerKind> {
 protected:
  void SetUp() override { OpenBroker(); }

  void OpenBroker();
  // Closes and opens again on the same data. Only where CanReopen().
  void Reopen();
  bool CanReopen() const {
    return GetParam().on_disk && GetParam().durability != Durability::kMemory;
  }
  Broker& broker() { return *broker_; }
  Queue Create(const std::string& name, QueueAttributes attributes = {});

  void Advance(absl::Duration step);
  // Lets the broker work until `condition` holds, at most 20 s of real time.
  ::testing::AssertionResult Eventually(const std::function<bool()>& condition);

  // Everything that can be received now.
  std::vector<ReceivedMessage> ReceiveAll(Queue& queue,
                                          absl::Duration visibility = absl::Seconds(30));
  // Waits for `n` messages.
  std::vector<ReceivedMessage> ReceiveExactly(Queue& queue, size_t n,
                                              absl::Duration visibility = absl::Seconds(30));

  TemporaryDirectory directory_;
  ManualClock clock_;
  BrokerOptions options_;
  std::unique_ptr<Broker> broker_;
};

#define EXPECT_OK(expression)                                                 \
  do {                                                                        \
    const auto& ok_status = (expression);                                     \
    EXPECT_TRUE(ok_status.ok()) << ::barista::testing::StatusText(ok_status); \
  } while (false)
#define ASSERT_OK(expression)                                                 \
  do {                                                                        \
    const auto& ok_status = (expression);                                     \
    ASSERT_TRUE(ok_status.ok()) << ::barista::testing::StatusText(ok_status); \
  } while (false)

inline std::string StatusText(const absl::Status& status) { return status.ToString(); }
template <typename T>
std::string StatusText(const absl::StatusOr<T>& result) {
  return result.status().ToString();
}
inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// Whether `result` failed with barista's `reason` and says which `field`.
template <typename T>
::testing::AssertionResult FailsWith(const T& result, const std::string& reason,
                                     const std::string& field) {
  const absl::Status& status = StatusOf(result);
  const ErrorInfo info = GetErrorInfo(status);
  if (info.reason == reason && info.field == field) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "reason \"" << info.reason << "\", field \"" << info.field
                                       << "\": " << status.ToString();
}

}  // namespace barista::testing

#endif  // BARISTA_TESTS_CONFORMANCE_BROKER_KINDS_H_
