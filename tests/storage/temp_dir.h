#ifndef BARISTA_TESTS_STORAGE_TEMP_DIR_H_
#define BARISTA_TESTS_STORAGE_TEMP_DIR_H_

#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace barista::storage {

// A fresh directory, removed with everything in it at the end of the test. In memory where the
// machine has a file system for that: what survives a power cut is tested with a file system of our
// own (tests/crash), not with this machine's disk.
class TempDir {
 public:
  TempDir() {
    std::string pattern = Parent() + "/barista-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  static std::string Parent() {
    if (access("/dev/shm", W_OK) == 0) return "/dev/shm";
    return std::filesystem::temp_directory_path().string();
  }

  std::string path_;
};

}  // namespace barista::storage

#endif  // BARISTA_TESTS_STORAGE_TEMP_DIR_H_
