// The file of --config: taken, or refused with its line.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "broker/server/config.h"
#include "tests/fuzz/yaml_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int kFile = ::memfd_create("config", 0);
  static const std::string kPath = absl::StrCat("/proc/self/fd/", kFile);
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (::ftruncate(kFile, 0) != 0 || ::pwrite(kFile, data, size, 0) != static_cast<ssize_t>(size)) {
    std::abort();
  }
  const char* const arguments[] = {"barista serve", "--config", kPath.c_str()};
  const auto parsed = barista::server::ParseServeArguments(
      3, arguments, [](const std::string&) { return std::nullopt; });
  if (parsed.config.has_value()) return 0;
  if (parsed.exit_code != 2) std::abort();
  barista::fuzz::CheckNamesALine(parsed.text, kPath, text);
  return 0;
}
