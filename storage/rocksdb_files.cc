#include "storage/rocksdb_files.h"

#include <rocksdb/env.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <algorithm>
#include <limits>

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

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool EnvFiles::Exists(const std::string& path) { return env_->FileExists(path).ok(); }

absl::Status EnvFiles::CreateDir(const std::string& path) {
  if (Exists(path)) {
    bool is_directory = true;
    if (env_->IsDirectory(path, &is_directory).ok() && !is_directory) {
      return absl::PermissionDeniedError(absl::StrCat(path, " is not a directory"));
    }
    return absl::OkStatus();
  }
  const std::string parent = ParentOf(path);
  if (path.empty() || path.back() == '/') return CreateDir(parent);
  if (absl::Status status = CreateDir(parent); !status.ok()) return status;
  if (rocksdb::Status status = env_->CreateDirIfMissing(path); !status.ok())
    return FromFileStatus(status);
  return SyncDir(parent);
}

absl::Status EnvFiles::CreateNewDir(const std::string& path) {
  const rocksdb::Status status = env_->CreateDir(path);
  if (!status.ok() && Exists(path)) return absl::AlreadyExistsError(status.ToString());
  return FromFileStatus(status);
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
  names.erase(std::remove_if(names.begin(), names.end(),
                             [](const std::string& name) { return name == "." || name == ".."; }),
              names.end());
  return names;
}

absl::StatusOr<int64_t> EnvFiles::Size(const std::string& path) {
  uint64_t bytes = 0;
  const rocksdb::Status status = env_->GetFileSize(path, &bytes);
  if (!status.ok()) return FromFileStatus(status);
  return static_cast<int64_t>(bytes);
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

bool EnvFiles::Link(const std::string& from, const std::string& to) {
  return env_->LinkFile(from, to).ok();
}

absl::Status EnvFiles::Copy(const std::string& from, const std::string& to, int64_t bytes,
                            const std::function<bool(int64_t)>& go_on) {
  constexpr int64_t kPieceBytes = 1 << 20;
  std::unique_ptr<rocksdb::SequentialFile> source;
  rocksdb::Status status = env_->NewSequentialFile(from, &source, rocksdb::EnvOptions());
  if (!status.ok()) return FromFileStatus(status);
  std::unique_ptr<rocksdb::WritableFile> copy;
  rocksdb::EnvOptions writing;
  writing.bytes_per_sync = kPieceBytes;  // not all at the end
  status = env_->NewWritableFile(to, &copy, writing);
  if (!status.ok()) return FromFileStatus(status);
  std::string buffer(kPieceBytes, '\0');
  for (int64_t copied = 0; copied < bytes;) {
    rocksdb::Slice piece;
    const int64_t wanted = std::min(kPieceBytes, bytes - copied);
    status = source->Read(static_cast<size_t>(wanted), &piece, buffer.data());
    if (!status.ok()) return FromFileStatus(status);
    if (piece.empty()) {
      return absl::DataLossError(absl::StrCat(from, " has ", copied, " bytes instead of ", bytes));
    }
    status = copy->Append(piece);
    if (!status.ok()) return FromFileStatus(status);
    copied += static_cast<int64_t>(piece.size());
    if (!go_on(copied)) return absl::CancelledError("given up");
  }
  status = copy->Sync();
  if (status.ok()) status = copy->Close();
  return FromFileStatus(status);
}

absl::Status EnvFiles::Rename(const std::string& from, const std::string& to) {
  return FromFileStatus(env_->RenameFile(from, to));
}

void EnvFiles::RemoveAll(const std::string& dir) {
  const absl::StatusOr<std::vector<std::string>> names = List(dir);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(dir, "/", name);
    bool is_directory = false;
    if (env_->IsDirectory(path, &is_directory).ok() && is_directory) {
      RemoveAll(path);
    } else {
      env_->DeleteFile(path).PermitUncheckedError();
    }
  }
  env_->DeleteDir(dir).PermitUncheckedError();
}

absl::StatusOr<int64_t> EnvFiles::FreeSpace(const std::string& path) {
  uint64_t bytes = 0;
  const rocksdb::Status status = env_->GetFreeSpace(path, &bytes);
  if (!status.ok()) return FromFileStatus(status);
  return static_cast<int64_t>(std::min<uint64_t>(bytes, std::numeric_limits<int64_t>::max()));
}

absl::Status EnvFiles::SyncDir(const std::string& dir) {
  std::unique_ptr<rocksdb::Directory> directory;
  rocksdb::Status status = env_->NewDirectory(dir, &directory);
  if (status.ok()) status = directory->Fsync();
  return FromFileStatus(status);
}

}  // namespace barista::storage
