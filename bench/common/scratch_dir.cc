#include "bench/common/scratch_dir.h"

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

namespace barista::bench {
namespace {

std::string DefaultParent() {
  const char* named = std::getenv("BARISTA_BENCH_DIR");
  return named != nullptr ? named : std::filesystem::temp_directory_path().string();
}

}  // namespace

ScratchDir::ScratchDir(const std::string& parent)
    : path_((parent.empty() ? DefaultParent() : parent) + "/barista-bench-XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) {
    std::perror(("cannot create a scratch directory " + path_).c_str());
    std::exit(1);
  }
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace barista::bench
