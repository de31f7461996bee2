#include "client/load/machine.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "barista/version.h"

namespace barista::load {
namespace {

#ifdef __clang__
constexpr char kCompiler[] = "clang";
#else
constexpr char kCompiler[] = "g++";
#endif

std::string CpuModel() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (absl::string_view(line).substr(0, 10) != "model name") continue;
    return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string FileSystem(const std::string& dir) {
  struct statfs fs;
  if (statfs(dir.c_str(), &fs) != 0) return "unknown";
  switch (static_cast<uint32_t>(fs.f_type)) {
    case 0xEF53:
      return "ext4";
    case 0x58465342:
      return "xfs";
    case 0x9123683E:
      return "btrfs";
    case 0x01021994:
      return "tmpfs";
    case 0x794C7630:
      return "overlayfs";
    default:
      return absl::StrFormat("type 0x%x", fs.f_type);
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> DescribeMachine(const std::string& dir) {
  utsname kernel{};
  uname(&kernel);
  struct sysinfo memory {};
  sysinfo(&memory);
  std::vector<std::pair<std::string, std::string>> facts = {
      {"barista", BARISTA_VERSION},
      {"cpu", absl::StrCat(std::thread::hardware_concurrency(), " x ", CpuModel())},
      {"memory_mib", absl::StrCat(memory.totalram * memory.mem_unit >> 20)},
      {"kernel", kernel.release},
      {"compiler", absl::StrCat(kCompiler, " ", __VERSION__)}};
  if (!dir.empty()) facts.emplace_back("file_system", FileSystem(dir));
  return facts;
}

}  // namespace barista::load
