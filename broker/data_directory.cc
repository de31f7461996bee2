// What is done with data directories that no broker has open.

#include "absl/strings/numbers.h"
#include "barista/backup.h"
#include "barista/verify.h"
#include "broker/queue/definition.h"
#include "broker/registry.h"
#include "storage/errors.h"
#include "storage/restore.h"
#include "storage/verify.h"

namespace barista {
namespace {

absl::StatusOr<std::string> ReadDefinition(QueueId queue, absl::string_view definition) {
  if (queue == internal::kNextIdRow) {
    uint32_t next;
    if (absl::SimpleAtoi(definition, &next)) return "";
    return CorruptError("the row of the next queue id", "it is not a number");
  }
  absl::StatusOr<QueueDescription> description = internal::DecodeDefinition(definition);
  if (!description.ok()) return description.status();
  return description->name;
}

}  // namespace

absl::StatusOr<BackupResult> RestoreBackup(const std::string& backup_dir,
                                           const std::string& data_dir,
                                           const ProgressCallback& progress) {
  return storage::RestoreBackup(backup_dir, data_dir, progress, /*env=*/nullptr);
}

absl::StatusOr<VerifyReport> VerifyDataDirectory(const std::string& dir,
                                                 const ProgressCallback& progress) {
  return storage::VerifyDataDirectory(dir, ReadDefinition, progress, /*env=*/nullptr);
}

}  // namespace barista
