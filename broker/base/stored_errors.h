#ifndef BARISTA_BROKER_BASE_STORED_ERRORS_H_
#define BARISTA_BROKER_BASE_STORED_ERRORS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace barista {

// What is wrong with bytes that were stored, or came from elsewhere in the form of stored ones.

// kDataLoss/DataCorrupt: they are not what was written. `what` names the row, `why` what is wrong
// with it.
absl::Status CorruptError(absl::string_view what, absl::string_view why);

// kFailedPrecondition/DataDirectoryTooNew: `what` has version `found`, and we read versions up to
// `supported`.
absl::Status TooNewError(absl::string_view what, uint64_t found, uint64_t supported);

}  // namespace barista

#endif  // BARISTA_BROKER_BASE_STORED_ERRORS_H_
