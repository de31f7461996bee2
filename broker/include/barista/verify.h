#ifndef BARISTA_VERIFY_H_
#define BARISTA_VERIFY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "barista/backup.h"

namespace barista {

// What is in a data directory or a backup, and what is wrong with it.
struct VerifyReport {
  // A queue with what could be read of it.
  struct Queue {
    std::string name;
    int64_t messages = 0;  // neither deleted nor delayed
    int64_t delayed = 0;
    int64_t bytes = 0;  // of both, as they are stored
  };
  // A family of rows (storage/README.md).
  struct Family {
    std::string name;
    int64_t rows = 0;
    int64_t bytes = 0;
  };
  // Something that is not as it was written. What is not known, or does not apply, is empty.
  struct Problem {
    std::string file;  // relative to the directory
    std::string family;
    std::string queue;      // its name, or "#" and its number where that is all there is
    uint64_t sequence = 0;  // of the message, or of the first one of a row; 0: none
    std::string message;
  };
  static constexpr size_t kMaxProblems = 1000;

  bool is_backup = false;
  int64_t files = 0;
  int64_t bytes = 0;  // of the files
  std::vector<Queue> queues;
  std::vector<Family> families;
  std::vector<Problem> problems;  // the first kMaxProblems
  int64_t problems_omitted = 0;

  bool sound() const { return problems.empty(); }
};

// Reads everything in the data directory or the backup `dir`: every block of every table and blob
// with its checksum, the log, and every row of every family; decodes every message; and compares
// the counts that are kept with the queues with the rows. Changes nothing in it, and needs no
// broker.
//
// Damage is in the report, not in the status. A log that ends in the middle of a commit counts as
// damage: after a power failure that is to be expected, and opening the directory drops the rest,
// which was never acknowledged.
//
// kInvalidArgument/InvalidParameterValue: `dir` is neither a data directory nor a backup.
// kFailedPrecondition/DataDirectoryInUse: a broker has it open; DataDirectoryTooNew.
// kPermissionDenied/DataDirectoryNotWritable: its LOCK cannot be taken. kUnavailable/
// StoreUnavailable, DirectoryUnavailable: a file cannot be read, for another reason than its
// content. kCancelled: `progress` said so. O(bytes); reads bodies in blob files twice.
absl::StatusOr<VerifyReport> VerifyDataDirectory(const std::string& dir,
                                                 const ProgressCallback& progress = {});

}  // namespace barista

#endif  // BARISTA_VERIFY_H_
