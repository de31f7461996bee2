#ifndef BARISTA_BENCH_COMMON_SCRATCH_DIR_H_
#define BARISTA_BENCH_COMMON_SCRATCH_DIR_H_

#include <string>

namespace barista::bench {

// A new, empty directory under `parent` (empty: $BARISTA_BENCH_DIR, or the system's temporary
// directory), removed with all that is in it by the destructor. What is measured must lie on the
// disk that is meant: /tmp may be memory.
class ScratchDir {
 public:
  explicit ScratchDir(const std::string& parent = "");
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::string& path() const { return path_; }
  // A path inside, of the given name; not created.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace barista::bench

#endif  // BARISTA_BENCH_COMMON_SCRATCH_DIR_H_
