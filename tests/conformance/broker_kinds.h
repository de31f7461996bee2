#ifndef BARISTA_TESTS_CONFORMANCE_BROKER_KINDS_H_
#define BARISTA_TESTS_CONFORMANCE_BROKER_KINDS_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "barista/broker.h"
#include "barista/error.h"

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
