#include "storage/errors.h"

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::storage {
namespace {

absl::Status Error(absl::StatusCode code, absl::string_view message, absl::string_view reason) {
  ErrorInfo info;
  info.reason = std::string(reason);
  return MakeError(code, message, info);
}

}  // namespace

absl::Status CorruptMessage(QueueId queue, Sequence sequence, absl::string_view why) {
  return CorruptError(
      absl::StrCat("the message of queue ", queue.value(), ", sequence ", sequence.value(), ","),
      why);
}

absl::Status UnavailableError(absl::string_view cause) {
  return Error(absl::StatusCode::kUnavailable,
               absl::StrCat("the store refuses writes until it is reopened: ", cause),
               "StoreUnavailable");
}

absl::Status StorageFullError(absl::string_view dir, absl::string_view cause) {
  return Error(absl::StatusCode::kResourceExhausted,
               absl::StrCat("no space left in ", dir, ": ", cause), "StorageFull");
}

}  // namespace barista::storage
