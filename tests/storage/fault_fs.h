#ifndef BARISTA_TESTS_STORAGE_FAULT_FS_H_
#define BARISTA_TESTS_STORAGE_FAULT_FS_H_

#include <rocksdb/file_system.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "broker/base/mutex.h"

namespace barista::storage {

// The machine's file system, with faults that a test switches on and off. Thread-safe.
class FaultFileSystem : public rocksdb::FileSystemWrapper {
 public:
  enum class Operation { kCreate, kAppend, kSync, kLock };
  // Says how the operation on `path` fails; OK: it does not.
  using Fault = std::function<rocksdb::IOStatus(Operation operation, const std::string& path)>;

  FaultFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FaultFileSystem"; }

  void SetFault(Fault fault) {
    MutexLock lock(&mutex_);
    fault_ = std::move(fault);
  }
  void Lift() { SetFault(nullptr); }
  void SetFreeSpace(uint64_t bytes) {
    MutexLock lock(&mutex_);
    free_space_ = bytes;
  }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = Check(Operation::kCreate, path);
    if (status.ok()) status = FileSystemWrapper::NewWritableFile(path, options, result, debug);
    if (status.ok()) *result = std::make_unique<File>(std::move(*result), this, path);
    return status;
  }
  rocksdb::IOStatus CreateDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus status = Check(Operation::kCreate, path);
    return status.ok() ? FileSystemWrapper::CreateDir(path, options, debug) : status;
  }
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus status = Check(Operation::kCreate, path);
    return status.ok() ? FileSystemWrapper::CreateDirIfMissing(path, options, debug) : status;
  }
  rocksdb::IOStatus LockFile(const std::string& path, const rocksdb::IOOptions& options,
                             rocksdb::FileLock** result, rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus status = Check(Operation::kLock, path);
    return status.ok() ? FileSystemWrapper::LockFile(path, options, result, debug) : status;
  }
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options,
                                 uint64_t* bytes, rocksdb::IODebugContext* debug) override {
    MutexLock lock(&mutex_);
    if (free_space_ == 0) return FileSystemWrapper::GetFreeSpace(path, options, bytes, debug);
    *bytes = free_space_;
    return rocksdb::IOStatus::OK();
  }

 private:
  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile> file, FaultFileSystem* fs, std::string path)
        : FSWritableFileOwnerWrapper(std::move(file)), fs_(fs), path_(std::move(path)) {}
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      const rocksdb::IOStatus status = fs_->Check(Operation::kAppend, path_);
      return status.ok() ? FSWritableFileOwnerWrapper::Append(data, options, debug) : status;
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&,
                             rocksdb::IODebugContext* debug) override {
      return Append(data, options, debug);
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
      const rocksdb::IOStatus status = fs_->Check(Operation::kSync, path_);
      return status.ok() ? FSWritableFileOwnerWrapper::Sync(options, debug) : status;
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* debug) override {
      return Sync(options, debug);
    }

   private:
    FaultFileSystem* const fs_;
    const std::string path_;
  };

  rocksdb::IOStatus Check(Operation operation, const std::string& path) {
    MutexLock lock(&mutex_);
    return fault_ == nullptr ? rocksdb::IOStatus::OK() : fault_(operation, path);
  }

  Mutex mutex_;
  Fault fault_ ABSL_GUARDED_BY(mutex_);
  uint64_t free_space_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace barista::storage

#endif  // BARISTA_TESTS_STORAGE_FAULT_FS_H_
