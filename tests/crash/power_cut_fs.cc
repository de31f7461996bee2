#include "tests/crash/power_cut_fs.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace barista {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}
std::string NameOf(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace

class PowerCutFileSystem::JournaledFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  JournaledFile(std::unique_ptr<rocksdb::FSWritableFile> file, PowerCutFileSystem* fs, uint64_t id,
                std::string path)
      : FSWritableFileOwnerWrapper(std::move(file)), fs_(fs), id_(id), path_(std::move(path)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    const IOStatus status = FSWritableFileOwnerWrapper::Append(data, options, debug);
    if (status.ok()) Write(data);
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus PositionedAppend(const rocksdb::Slice&, uint64_t, const IOOptions&,
                            IODebugContext*) override {
    return IOStatus::NotSupported("PowerCutFileSystem: files are appended to");
  }
  IOStatus PositionedAppend(const rocksdb::Slice&, uint64_t, const IOOptions&,
                            const rocksdb::DataVerificationInfo&, IODebugContext*) override {
    return IOStatus::NotSupported("PowerCutFileSystem: files are appended to");
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    const IOStatus status = FSWritableFileOwnerWrapper::Truncate(size, options, debug);
    if (status.ok()) fs_->Record({Kind::kTruncate, id_, path_, "", size, ""});
    return status;
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    fs_->Record({Kind::kSync, id_, path_, "", 0, ""});
    return IOStatus::OK();
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  void Write(const rocksdb::Slice& data) {
    fs_->Record({Kind::kWrite, id_, path_, "", 0, data.ToString()});
  }

  PowerCutFileSystem* const fs_;
  const uint64_t id_;
  const std::string path_;
};

class PowerCutFileSystem::JournaledDirectory : public rocksdb::FSDirectoryWrapper {
 public:
  JournaledDirectory(std::unique_ptr<rocksdb::FSDirectory> directory, PowerCutFileSystem* fs,
                     std::string path)
      : FSDirectoryWrapper(std::move(directory)), fs_(fs), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    fs_->Record({Kind::kSyncDir, 0, path_, "", 0, ""});
    return IOStatus::OK();
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  PowerCutFileSystem* const fs_;
  const std::string path_;
};

// Replays events, and then says what survives.
class PowerCutFileSystem::Disk {
 public:
  void Apply(const Event& event) {
    switch (event.kind) {
      case Kind::kWrite: {
        File& file = files_[event.file];
        file.bytes += event.bytes;
        return;
      }
      case Kind::kTruncate: {
        File& file = files_[event.file];
        file.bytes.resize(event.size);
        file.synced = std::min<size_t>(file.synced, event.size);
        return;
      }
      case Kind::kSync:
        files_[event.file].synced = files_[event.file].bytes.size();
        return;
      case Kind::kAddName:
        Change(ParentOf(event.path), {"", NameOf(event.path), Entry{event.file}});
        return;
      case Kind::kAddDir:
        Change(ParentOf(event.path), {"", NameOf(event.path), Entry{kDirectory}});
        return;
      case Kind::kRemoveName:
        Change(ParentOf(event.path), {NameOf(event.path), "", Entry{}});
        return;
      case Kind::kRename: {
        const std::string parent = ParentOf(event.path);
        if (parent != ParentOf(event.new_path))
          std::abort();  // between directories: not needed, not modelled
        const Entry entry = Current(parent)[NameOf(event.path)];
        if (entry.file == kDirectory) CopyBelow(event.path, event.new_path);
        Change(parent, {NameOf(event.path), NameOf(event.new_path), entry});
        return;
      }
      case Kind::kSyncDir: {
        Directory& directory = directories_[event.path];
        for (const NameChange& change : directory.pending) change.ApplyTo(&directory.synced);
        directory.pending.clear();
        return;
      }
    }
  }

  void WriteTo(const std::string& target, Survival survival, uint64_t seed) {
    std::mt19937_64 random(seed);
    WriteDirectory("", target, survival, random);
  }

 private:
  static constexpr uint64_t kDirectory = ~uint64_t{0};

  struct Entry {
    uint64_t file = 0;  // or kDirectory
  };
  using Names = std::map<std::string, Entry>;
  // One atomic change of a directory: a name goes, a name comes, or both.
  struct NameChange {
    std::string removed;
    std::string added;
    Entry entry;

    void ApplyTo(Names* names) const {
      if (!removed.empty()) names->erase(removed);
      if (!added.empty()) (*names)[added] = entry;
    }
  };
  struct Directory {
    Names synced;
    std::vector<NameChange> pending;
  };
  struct File {
    std::string bytes;
    size_t synced = 0;
  };

  // A directory's new name leads to what the old one does, which nobody changes any more.
  void CopyBelow(const std::string& from, const std::string& to) {
    std::map<std::string, Directory> copies;
    for (const auto& [path, directory] : directories_) {
      if (path == from || absl::StartsWith(path, from + "/"))
        copies.emplace(to + path.substr(from.size()), directory);
    }
    for (auto& [path, directory] : copies) directories_[path] = std::move(directory);
  }
  void Change(const std::string& directory, NameChange change) {
    directories_[directory].pending.push_back(std::move(change));
  }
  Names Current(const std::string& path) {
    Names names = directories_[path].synced;
    for (const NameChange& change : directories_[path].pending) change.ApplyTo(&names);
    return names;
  }

  void WriteDirectory(const std::string& path, const std::string& target, Survival survival,
                      std::mt19937_64& random) {
    std::filesystem::create_directories(target);
    const Directory& directory = directories_[path];
    size_t kept = 0;
    if (survival == Survival::kEverything) kept = directory.pending.size();
    if (survival == Survival::kTorn) kept = random() % (directory.pending.size() + 1);
    Names names = directory.synced;
    for (size_t i = 0; i < kept; ++i) directory.pending[i].ApplyTo(&names);
    for (const auto& [name, entry] : names) {
      const std::string child = path.empty() ? name : absl::StrCat(path, "/", name);
      const std::string child_target = absl::StrCat(target, "/", name);
      if (entry.file == kDirectory) {
        WriteDirectory(child, child_target, survival, random);
      } else {
        WriteFile(files_[entry.file], child_target, survival, random);
      }
    }
  }

  static void WriteFile(const File& file, const std::string& target, Survival survival,
                        std::mt19937_64& random) {
    const size_t unsynced = file.bytes.size() - file.synced;
    size_t kept = file.synced;
    size_t zeros = 0;
    if (survival == Survival::kEverything) kept = file.bytes.size();
    if (survival == Survival::kTorn && unsynced > 0) {
      kept += random() % (unsynced + 1);
      const bool log = absl::EndsWith(target, ".log");
      if (log && random() % 3 == 0) zeros = random() % (file.bytes.size() - kept + 1);
    }
    std::ofstream out(target, std::ios::binary);
    out.write(file.bytes.data(), static_cast<std::streamsize>(kept));
    out << std::string(zeros, '\0');
    if (!out.good()) std::abort();
  }

  std::map<uint64_t, File> files_;
  std::map<std::string, Directory> directories_;
};

PowerCutFileSystem::PowerCutFileSystem(const std::string& root)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), root_(root) {}

size_t PowerCutFileSystem::events() const {
  MutexLock lock(&mutex_);
  return events_.size();
}

void PowerCutFileSystem::Materialize(size_t cut, Survival survival, uint64_t seed,
                                     const std::string& target) const {
  Disk disk;
  {
    MutexLock lock(&mutex_);
    for (size_t i = 0; i < cut; ++i) disk.Apply(events_[i]);
  }
  std::filesystem::remove_all(target);
  disk.WriteTo(target, survival, seed);
}

std::string PowerCutFileSystem::Describe(size_t index) const {
  MutexLock lock(&mutex_);
  const Event& event = events_[index];
  switch (event.kind) {
    case Kind::kWrite:
      return absl::StrCat("write ", event.bytes.size(), " bytes to ", event.path);
    case Kind::kTruncate:
      return absl::StrCat("truncate ", event.path, " to ", event.size, " bytes");
    case Kind::kSync:
      return absl::StrCat("sync ", event.path);
    case Kind::kAddName:
      return absl::StrCat("create ", event.path);
    case Kind::kAddDir:
      return absl::StrCat("create directory ", event.path);
    case Kind::kRemoveName:
      return absl::StrCat("remove ", event.path);
    case Kind::kRename:
      return absl::StrCat("rename ", event.path, " to ", event.new_path);
    case Kind::kSyncDir:
      return absl::StrCat("sync directory ", event.path.empty() ? "." : event.path);
  }
  return "";
}

bool PowerCutFileSystem::Relative(const std::string& path, std::string* relative) const {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (!normal.empty() && normal.back() == '/') normal.pop_back();
  if (normal == root_) {
    relative->clear();
    return true;
  }
  if (!absl::StartsWith(normal, root_ + "/")) return false;
  *relative = normal.substr(root_.size() + 1);
  return true;
}

void PowerCutFileSystem::Record(Event event) {
  MutexLock lock(&mutex_);
  events_.push_back(std::move(event));
}

uint64_t PowerCutFileSystem::OpenFile(const std::string& path, bool truncate) {
  MutexLock lock(&mutex_);
  uint64_t& file = files_[path];
  if (file == 0) {
    file = ++last_file_;
    events_.push_back({Kind::kAddName, file, path, "", 0, ""});
  } else if (truncate) {
    events_.push_back({Kind::kTruncate, file, path, "", 0, ""});
  }
  return file;
}

IOStatus PowerCutFileSystem::NewWritableFile(const std::string& path,
                                             const rocksdb::FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* result,
                                             IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::NewWritableFile(path, options, result, debug);
  std::string relative;
  if (!status.ok() || !Relative(path, &relative)) return status;
  const uint64_t file = OpenFile(relative, /*truncate=*/true);
  *result = std::make_unique<JournaledFile>(std::move(*result), this, file, relative);
  return status;
}

IOStatus PowerCutFileSystem::ReopenWritableFile(const std::string& path,
                                                const rocksdb::FileOptions& options,
                                                std::unique_ptr<rocksdb::FSWritableFile>* result,
                                                IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::ReopenWritableFile(path, options, result, debug);
  std::string relative;
  if (!status.ok() || !Relative(path, &relative)) return status;
  const uint64_t file = OpenFile(relative, /*truncate=*/false);
  *result = std::make_unique<JournaledFile>(std::move(*result), this, file, relative);
  return status;
}

IOStatus PowerCutFileSystem::ReuseWritableFile(const std::string&, const std::string&,
                                               const rocksdb::FileOptions&,
                                               std::unique_ptr<rocksdb::FSWritableFile>*,
                                               IODebugContext*) {
  return IOStatus::NotSupported("PowerCutFileSystem: no recycled files");
}

IOStatus PowerCutFileSystem::NewRandomRWFile(const std::string&, const rocksdb::FileOptions&,
                                             std::unique_ptr<rocksdb::FSRandomRWFile>*,
                                             IODebugContext*) {
  return IOStatus::NotSupported("PowerCutFileSystem: files are appended to");
}

IOStatus PowerCutFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                          std::unique_ptr<rocksdb::FSDirectory>* result,
                                          IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::NewDirectory(path, options, result, debug);
  std::string relative;
  if (!status.ok() || !Relative(path, &relative)) return status;
  *result = std::make_unique<JournaledDirectory>(std::move(*result), this, relative);
  return status;
}

IOStatus PowerCutFileSystem::DeleteFile(const std::string& path, const IOOptions& options,
                                        IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::DeleteFile(path, options, debug);
  std::string relative;
  if (!status.ok() || !Relative(path, &relative)) return status;
  MutexLock lock(&mutex_);
  if (files_.erase(relative) > 0) events_.push_back({Kind::kRemoveName, 0, relative, "", 0, ""});
  return status;
}

IOStatus PowerCutFileSystem::Truncate(const std::string& path, size_t size,
                                      const IOOptions& options, IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::Truncate(path, size, options, debug);
  std::string relative;
  if (!status.ok() || !Relative(path, &relative)) return status;
  Record({Kind::kTruncate, OpenFile(relative, /*truncate=*/false), relative, "", size, ""});
  return status;
}

IOStatus PowerCutFileSystem::CreateDir(const std::string& path, const IOOptions& options,
                                       IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::CreateDir(path, options, debug);
  std::string relative;
  if (status.ok() && Relative(path, &relative)) Record({Kind::kAddDir, 0, relative, "", 0, ""});
  return status;
}

IOStatus PowerCutFileSystem::CreateDirIfMissing(const std::string& path, const IOOptions& options,
                                                IODebugContext* debug) {
  if (FileExists(path, options, debug).ok())
    return FileSystemWrapper::CreateDirIfMissing(path, options, debug);
  return CreateDir(path, options, debug);
}

IOStatus PowerCutFileSystem::DeleteDir(const std::string& path, const IOOptions& options,
                                       IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::DeleteDir(path, options, debug);
  std::string relative;
  if (status.ok() && Relative(path, &relative)) Record({Kind::kRemoveName, 0, relative, "", 0, ""});
  return status;
}

IOStatus PowerCutFileSystem::RenameFile(const std::string& from, const std::string& to,
                                        const IOOptions& options, IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::RenameFile(from, to, options, debug);
  std::string old_path, new_path;
  if (!status.ok() || !Relative(from, &old_path) || !Relative(to, &new_path)) return status;
  MutexLock lock(&mutex_);
  const bool is_directory = std::filesystem::is_directory(to);
  if (is_directory) {
    const std::string below = old_path + "/";
    for (auto it = files_.lower_bound(below);
         it != files_.end() && absl::StartsWith(it->first, below); it = files_.erase(it)) {
      files_[absl::StrCat(new_path, "/", it->first.substr(below.size()))] = it->second;
    }
  } else {
    const auto it = files_.find(old_path);
    if (it == files_.end()) return status;  // not recorded: RocksDB's text log
    files_[new_path] = it->second;
    files_.erase(it);
  }
  events_.push_back({Kind::kRename, 0, old_path, new_path, 0, ""});
  return status;
}

IOStatus PowerCutFileSystem::LinkFile(const std::string& from, const std::string& to,
                                      const IOOptions& options, IODebugContext* debug) {
  const IOStatus status = FileSystemWrapper::LinkFile(from, to, options, debug);
  std::string old_path, new_path;
  if (!status.ok() || !Relative(from, &old_path) || !Relative(to, &new_path)) return status;
  const uint64_t file = OpenFile(old_path, /*truncate=*/false);
  MutexLock lock(&mutex_);
  files_[new_path] = file;
  events_.push_back({Kind::kAddName, file, new_path, "", 0, ""});
  return status;
}

}  // namespace barista
