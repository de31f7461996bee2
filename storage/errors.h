#ifndef BARISTA_STORAGE_ERRORS_H_
#define BARISTA_STORAGE_ERRORS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "broker/base/ids.h"
#include "broker/base/stored_errors.h"

namespace barista::storage {

// The errors of a store, beside those of base/stored_errors.h.

// CorruptError of one message.
absl::Status CorruptMessage(QueueId queue, Sequence sequence, absl::string_view why);

// kUnavailable/StoreUnavailable: writes are refused until the store is reopened, because of `cause`
// (I10).
absl::Status UnavailableError(absl::string_view cause);

// kResourceExhausted/StorageFull.
absl::Status StorageFullError(absl::string_view dir, absl::string_view cause);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ERRORS_H_
