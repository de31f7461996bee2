#include "barista/error.h"

#include <gtest/gtest.h>

namespace barista {
namespace {

TEST(ErrorTest, DetailsTravelWithTheStatus) {
  const absl::Status status =
      MakeError(absl::StatusCode::kInvalidArgument, "body is 1048577 bytes; limit 1048576",
                {.reason = "InvalidParameterValue",
                 .field = "MessageBody",
                 .value = "1048577",
                 .limit = "1048576"});
  const absl::Status copy = status;
  const ErrorInfo info = GetErrorInfo(copy);
  EXPECT_EQ(info.reason, "InvalidParameterValue");
  EXPECT_EQ(info.field, "MessageBody");
  EXPECT_EQ(info.value, "1048577");
  EXPECT_EQ(info.limit, "1048576");
}

TEST(ErrorTest, LongValuesAreShortened) {
  const absl::Status status = MakeError(absl::StatusCode::kInvalidArgument, "long",
                                        {.reason = "R", .value = std::string(1000, 'x')});
  EXPECT_EQ(GetErrorInfo(status).value, std::string(128, 'x'));
}

TEST(ErrorTest, ForeignStatusHasNoDetails) {
  EXPECT_EQ(GetErrorInfo(absl::OkStatus()).reason, "");
  EXPECT_EQ(GetErrorInfo(absl::InternalError("x")).reason, "");
}

}  // namespace
}  // namespace barista
