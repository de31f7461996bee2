#include "broker/base/stored_errors.h"

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista {

absl::Status CorruptError(absl::string_view what, absl::string_view why) {
  return MakeError(absl::StatusCode::kDataLoss, absl::StrCat(what, " is corrupt: ", why),
                   {.reason = "DataCorrupt"});
}

absl::Status TooNewError(absl::string_view what, uint64_t found, uint64_t supported) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(what, " has version ", found, "; this barista reads versions up to ", supported),
      {.reason = "DataDirectoryTooNew",
       .field = "version",
       .value = absl::StrCat(found),
       .limit = absl::StrCat(supported)});
}

}  // namespace barista
