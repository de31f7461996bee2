#ifndef BARISTA_STORAGE_ROCKSDB_FILES_H_
#define BARISTA_STORAGE_ROCKSDB_FILES_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/data_directory.h"

namespace rocksdb {
class Env;
}

namespace barista::storage {

// The files of a data directory in RocksDB's environment: where the database's files are, there are
// these. Thread-safe, as an Env is.
class EnvFiles : public Files {
 public:
  // `env` is borrowed; it outlives this and the locks that this hands out.
  explicit EnvFiles(rocksdb::Env* env) : env_(env) {}

  bool Exists(const std::string& path) override;
  absl::Status CreateDir(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) override;
  absl::StatusOr<std::string> Read(const std::string& path) override;
  absl::Status Replace(const std::string& path, absl::string_view bytes) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& dir) override;
  absl::Status ReadBlocks(const std::string& path, size_t block_bytes,
                          const std::function<void(absl::string_view)>& take) override;

 private:
  absl::Status SyncDir(const std::string& dir);

  rocksdb::Env* const env_;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_FILES_H_
