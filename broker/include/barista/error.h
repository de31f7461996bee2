#ifndef BARISTA_ERROR_H_
#define BARISTA_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace barista {

// Every error of barista is an absl::Status whose code says what the caller can do next and whose
// ErrorInfo says what was wrong in words a program can compare:
//
//   kInvalidArgument     the request is wrong; do not retry it
//   kNotFound            the queue does not exist
//   kAlreadyExists       a queue of that name exists with other attributes
//   kFailedPrecondition  the state forbids it: closed broker, directory in use, newer format, wrong
//   mode kResourceExhausted   a budget is used up (intake, disk, memory, in flight); retry later
//   kUnavailable         the store refuses writes after a failed write or sync; reopen the broker
//   kUnauthenticated, kPermissionDenied   of `barista serve`: no token that it knows, or no right
//   kDataLoss            a stored record or the log is corrupt
//   kCancelled, kDeadlineExceeded   a parked receive was given up, a consumer was stopped
//
// An operation that answers with an error has changed nothing (I9).
struct ErrorInfo {
  // The name of the error: AWS's where AWS has one ("QueueDoesNotExist", "QueueNameExists",
  // "ReceiptHandleIsInvalid", "InvalidParameterValue", "InvalidAttributeName",
  // "InvalidAttributeValue", "InvalidMessageContents", "MissingParameter", "OverLimit",
  // "EmptyBatchRequest", "TooManyEntriesInBatchRequest", "BatchRequestTooLong"), ours elsewhere
  // ("StoreUnavailable", "StorageFull", "IntakeFull", "MemoryFull", "DataDirectoryInUse",
  // "DataDirectoryTooNew", "DataDirectoryNotWritable", "LogTruncated", "DataCorrupt",
  // "DataDirectoryIsBackup", "DirectoryNotEmpty", "DirectoryNotWritable", "DirectoryUnavailable",
  // "BackupInProgress", "UnsupportedOperation", "BrokerClosed", "WouldBlock", "ConsumerStopped",
  // "ConsumerClosed"; from `barista serve` only: "ServerBusy", "ServerDraining",
  // "MalformedRequest", "RequestThrottled", "MissingAuthenticationToken", "InvalidClientTokenId",
  // "AccessDenied"). Empty for a status that is not barista's.
  std::string reason = {};
  // The parameter that is wrong, its value (shortened to 128 bytes) and the limit it broke; empty
  // where there is none.
  std::string field = {};
  std::string value = {};
  std::string limit = {};
};

// A status with `info` attached. Thread-safe.
absl::Status MakeError(absl::StatusCode code, absl::string_view message, const ErrorInfo& info);

// The details of `status`; all fields empty if it is OK or not barista's.
ErrorInfo GetErrorInfo(const absl::Status& status);

}  // namespace barista

#endif  // BARISTA_ERROR_H_
