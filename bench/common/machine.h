#ifndef BARISTA_BENCH_COMMON_MACHINE_H_
#define BARISTA_BENCH_COMMON_MACHINE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace barista::bench {

// What every result must name: hardware, file system of `dir`, kernel, compiler and library
// versions, as name and value.
std::vector<std::pair<std::string, std::string>> DescribeMachine(const std::string& dir);

// `text` as a JSON string, with its quotes.
std::string JsonString(absl::string_view text);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_COMMON_MACHINE_H_
