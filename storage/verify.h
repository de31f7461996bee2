#ifndef BARISTA_STORAGE_VERIFY_H_
#define BARISTA_STORAGE_VERIFY_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "barista/verify.h"
#include "broker/base/ids.h"

namespace rocksdb {
class Env;
}

namespace barista::storage {

// Looks at a queue's definition, which is the engine's to read: the queue's name, empty for a row
// that is no queue; or what is wrong with the definition.
using DefinitionReader =
    std::function<absl::StatusOr<std::string>(QueueId queue, absl::string_view definition)>;

// As barista::VerifyDataDirectory (barista/verify.h). `env` is borrowed; null: the machine's files.
absl::StatusOr<VerifyReport> VerifyDataDirectory(const std::string& dir,
                                                 const DefinitionReader& read_definition,
                                                 const ProgressCallback& progress,
                                                 rocksdb::Env* env);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_VERIFY_H_
