#ifndef BARISTA_TESTS_CRASH_POWER_CUT_FS_H_
#define BARISTA_TESTS_CRASH_POWER_CUT_FS_H_

#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "broker/base/mutex.h"

namespace barista {

// A file system that remembers every change below one directory, so that a test can ask what a disk
// would hold if the power had failed at any moment of a run. Nothing is really synced.
//
//   auto fs = std::make_shared<PowerCutFileSystem>(root);
//   std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fs);
//   … run a store or a broker in a directory below root on env.get(), noting fs->events() at each
//   acknowledgement, and close it … for (size_t cut = 0; cut <= fs->events(); ++cut) {
//     fs->Materialize(cut, PowerCutFileSystem::Survival::kSyncedOnly, 0, fresh_dir);
//     … open what lies in fresh_dir, and check that what was acknowledged at `cut` or before is
//     there …
//   }
//
// What a power failure leaves: of a file, the bytes that were there at its last sync; of a
// directory, the names that were there at its last sync. A name that was not synced is gone with
// everything below it, whatever was synced inside. Locks and RocksDB's own text log are not
// recorded. Files are appended to, as RocksDB does; a truncation always survives. Thread-safe.
class PowerCutFileSystem : public rocksdb::FileSystemWrapper {
 public:
  enum class Survival {
    kSyncedOnly,  // nothing else
    kTorn,        // also, by `seed`, some of the names that were not synced, and the beginning of a
            // file's bytes that were not; behind that a log file may have zeros, as file systems
            // leave them that do not write data before sizes
    kEverything,  // what the death of the process alone leaves
  };

  // `root` exists, and has nothing in it that matters.
  explicit PowerCutFileSystem(const std::string& root);

  const char* Name() const override { return "PowerCutFileSystem"; }

  // How many changes and syncs there were.
  size_t events() const;
  // Puts what a power failure after the first `cut` events leaves into the directory `target`, in
  // place of what is in it.
  void Materialize(size_t cut, Survival survival, uint64_t seed, const std::string& target) const;
  // "write 48 bytes to db/000004.log": the event `index` < events(), for messages.
  std::string Describe(size_t index) const;

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus Truncate(const std::string& path, size_t size,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;

 private:
  class JournaledFile;
  class JournaledDirectory;
  class Disk;  // what is on the disk while events are replayed

  enum class Kind { kWrite, kTruncate, kSync, kAddName, kAddDir, kRemoveName, kRename, kSyncDir };
  struct Event {
    Kind kind;
    uint64_t file = 0;     // kWrite, kTruncate, kSync, kAddName
    std::string path;      // of the name or directory, from the root; of a file, for Describe
    std::string new_path;  // kRename
    uint64_t size = 0;     // kTruncate
    std::string bytes;     // kWrite
  };

  // From the root; false: not below it.
  bool Relative(const std::string& path, std::string* relative) const;
  void Record(Event event);
  // The file that `path` names, which is made if need be. `truncate`: and emptied.
  uint64_t OpenFile(const std::string& path, bool truncate);

  const std::string root_;
  mutable Mutex mutex_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> files_ ABSL_GUARDED_BY(mutex_);  // by path from the root
  uint64_t last_file_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace barista

#endif  // BARISTA_TESTS_CRASH_POWER_CUT_FS_H_
