#include "storage/rocksdb_files.h"

#include <rocksdb/env.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/rocksdb_slice.h"
#include "storage/rocksdb_status.h"

namespace barista::storage {
namespace {

// As `Files` lists the errors.
absl::Status FromFileStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = status.ToString();
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (status.IsNotFound() || status.IsPathNotFound()) return absl::NotFoundError(text);
  return IsRefusal(status) ? absl::PermissionDeniedError(text) : absl::UnavailableError(text);
}

class EnvLock : public Files::Lock {
 public:
  EnvLock(rocksdb::Env* env, rocksdb::FileLock* lock) : env_(env), lock_(lock) {}
  ~EnvLock() override { env_->UnlockFile(lock_).PermitUncheckedError(); }

 private:
  rocksdb::Env* const env_;
  rocksdb::FileLock* const lock_;
};

}  // namespace

bool EnvFiles::Exists(const std::string& path) { return env_->FileExists(path).ok(); }

absl::Status EnvFiles::CreateDir(const std::string& path) {
  if (Exists(path)) {
    bool is_directory = true;
    if (env_->IsDirectory(path, &is_directory).ok() && !is_directory) {
      return absl::PermissionDeniedError(absl::StrCat(path, " is not a directory"));
    }
    return absl::OkStatus();
  }
  const size_t slash = path.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  if (slash + 1 == path.size()) return CreateDir(parent);  // a trailing slash
  if (absl::Status status = CreateDir(parent); !status.ok()) return status;
  if (rocksdb::Status status = env_->CreateDirIfMissing(path); !status.ok())
    return FromFileStatus(status);
  return SyncDir(parent);
}

absl::StatusOr<std::unique_ptr<Files::Lock>> EnvFiles::LockFile(const std::string& path) {
  rocksdb::FileLock* lock = nullptr;
  const rocksdb::Status status = env_->LockFile(path, &lock);
  if (status.ok()) return std::make_unique<EnvLock>(env_, lock);
  // Held in this process, or in another.
  const std::string text = status.ToString();
  if (absl::StrContains(text, "lock hold by current process") ||
      absl::StrContains(text, "Resource temporarily unavailable")) {
    return absl::FailedPreconditionError(text);
  }
  return FromFileStatus(status);
}

absl::StatusOr<std::string> EnvFiles::Read(const std::string& path) {
  std::string bytes;
  const rocksdb::Status status = rocksdb::ReadFileToString(env_, path, &bytes);
  if (!status.ok()) return FromFileStatus(status);
  return bytes;
}

absl::Status EnvFiles::Replace(const std::string& path, absl::string_view bytes) {
  const std::string temporary = path + ".tmp";
  rocksdb::Status status =
      rocksdb::WriteStringToFile(env_, ToSlice(bytes), temporary, /*should_sync=*/true);
  if (status.ok()) status = env_->RenameFile(temporary, path);
  if (!status.ok()) return FromFileStatus(status);
  return SyncDir(path.substr(0, path.find_last_of('/')));
}

absl::StatusOr<std::vector<std::string>> EnvFiles::List(const std::string& dir) {
  std::vector<std::string> names;
  const rocksdb::Status status = env_->GetChildren(dir, &names);
  if (!status.ok()) return FromFileStatus(status);
  return names;
}

absl::Status EnvFiles::ReadBlocks(const std::string& path, size_t block_bytes,
                                  const std::function<void(absl::string_view)>& take) {
  std::unique_ptr<rocksdb::SequentialFile> file;
  rocksdb::Status status = env_->NewSequentialFile(path, &file, rocksdb::EnvOptions());
  if (!status.ok()) return FromFileStatus(status);
  std::string buffer(block_bytes * 32, '\0');
  size_t filled = 0;
  for (bool end = false; !end;) {
    rocksdb::Slice piece;
    status = file->Read(buffer.size() - filled, &piece, buffer.data() + filled);
    if (!status.ok()) return FromFileStatus(status);
    if (piece.data() != buffer.data() + filled) {
      std::copy_n(piece.data(), piece.size(), buffer.data() + filled);
    }
    filled += piece.size();
    end = piece.empty();
    if (!end && filled < buffer.size()) continue;
    const absl::string_view bytes(buffer.data(), filled);
    for (size_t at = 0; at < filled; at += block_bytes) take(bytes.substr(at, block_bytes));
    filled = 0;
  }
  return absl::OkStatus();
}

absl::Status EnvFiles::SyncDir(const std::string& dir) {
  std::unique_ptr<rocksdb::Directory> directory;
  rocksdb::Status status = env_->NewDirectory(dir, &directory);
  if (status.ok()) status = directory->Fsync();
  return FromFileStatus(status);
}

}  // namespace barista::storage
