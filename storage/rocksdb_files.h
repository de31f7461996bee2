#ifndef BARISTA_STORAGE_ROCKSDB_FILES_H_
#define BARISTA_STORAGE_ROCKSDB_FILES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/files.h"

namespace rocksdb {
class Env;
}

namespace barista::storage {

// Files in RocksDB's environment: where the database's files are, there are these. Thread-safe, as
// an Env is.
class EnvFiles : public Files {
 public:
  // `env` is borrowed; it outlives this and the locks that this hands out.
  explicit EnvFiles(rocksdb::Env* env) : env_(env) {}

  bool Exists(const std::string& path) override;
  absl::Status CreateDir(const std::string& path) override;
  absl::Status CreateNewDir(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) override;
  absl::StatusOr<std::string> Read(const std::string& path) override;
  absl::Status Replace(const std::string& path, absl::string_view bytes) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& dir) override;
  absl::StatusOr<int64_t> Size(const std::string& path) override;
  absl::Status ReadBlocks(const std::string& path, size_t block_bytes,
                          const std::function<void(absl::string_view)>& take) override;
  bool Link(const std::string& from, const std::string& to) override;
  absl::Status Copy(const std::string& from, const std::string& to, int64_t bytes,
                    const std::function<bool(int64_t)>& go_on) override;
  absl::Status SyncDir(const std::string& dir) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  void RemoveAll(const std::string& dir) override;
  absl::StatusOr<int64_t> FreeSpace(const std::string& path) override;

 private:
  rocksdb::Env* const env_;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROCKSDB_FILES_H_
