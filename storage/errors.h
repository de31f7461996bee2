#ifndef BARISTA_STORAGE_ERRORS_H_
#define BARISTA_STORAGE_ERRORS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "broker/base/ids.h"

namespace barista::storage {

// kDataLoss/DataCorrupt: stored bytes are not what was written. `what` names the row, `why` what is
// wrong with it.
absl::Status CorruptError(absl::string_view what, absl::string_view why);
// The same of one message.
absl::Status CorruptMessage(QueueId queue, Sequence sequence, absl::string_view why);

// kFailedPrecondition/DataDirectoryTooNew: `what` has version `found`, and we read versions up to
// `supported`.
absl::Status TooNewError(absl::string_view what, uint64_t found, uint64_t supported);

// kUnavailable/StoreUnavailable: writes are refused until the store is reopened, because of `cause`
// (I10).
absl::Status UnavailableError(absl::string_view cause);

// kResourceExhausted/StorageFull.
absl::Status StorageFullError(absl::string_view dir, absl::string_view cause);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ERRORS_H_
