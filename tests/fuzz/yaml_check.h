#ifndef TESTS_FUZZ_YAML_CHECK_H_
#define TESTS_FUZZ_YAML_CHECK_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace barista::fuzz {

// Ends the process unless `error` names a line of `text`, which it calls `path`: "path:LINE: ".
inline void CheckNamesALine(absl::string_view error, const std::string& path,
                            absl::string_view text) {
  const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
  const size_t at = error.find(path + ":");
  int64_t line = 0;
  if (at != absl::string_view::npos) {
    absl::string_view rest = error.substr(at + path.size() + 1);
    const size_t end = rest.find(": ");
    if (end != absl::string_view::npos && absl::SimpleAtoi(rest.substr(0, end), &line) &&
        line >= 1 && line <= lines + 1) {
      return;
    }
  }
  std::fprintf(stderr, "no line in: %.*s\n", static_cast<int>(error.size()), error.data());
  std::abort();
}

}  // namespace barista::fuzz

#endif  // TESTS_FUZZ_YAML_CHECK_H_
