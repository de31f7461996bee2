#include "bench/common/summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace barista::bench {

double Sample::median() const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Sample::min() const {
  return values_.empty() ? 0 : *std::min_element(values_.begin(), values_.end());
}

double Sample::max() const {
  return values_.empty() ? 0 : *std::max_element(values_.begin(), values_.end());
}

std::string Sample::ToString() const {
  return absl::StrCat(Compact(median()), " (", Compact(min()), "-", Compact(max()), ")");
}

std::string Compact(double value) {
  const char* letter = "";
  if (std::abs(value) >= 1e6) {
    value /= 1e6;
    letter = "M";
  } else if (std::abs(value) >= 1e3) {
    value /= 1e3;
    letter = "k";
  }
  const int decimals = std::abs(value) >= 100 ? 0 : std::abs(value) >= 10 ? 1 : 2;
  return absl::StrFormat("%.*f%s", decimals, value, letter);
}

void PrintTableHead() {
  std::printf(
      "| What | Measured | Floor | Ratio (spread) | Reach | |\n|---|---|---|---|---|---|\n");
}

bool PrintRow(const Promise& promise) {
  const double ratio = promise.ratios.median();
  const bool reached = promise.at_most ? ratio <= promise.reach : ratio >= promise.reach;
  absl::PrintF("| %s | %s | %s | %.2f %s (%.2f-%.2f) | %s %g %s | %s |\n", promise.what,
               promise.measured, promise.floor, ratio, promise.unit, promise.ratios.min(),
               promise.ratios.max(), promise.at_most ? "<=" : ">=", promise.reach, promise.unit,
               reached ? "reached" : "MISSED");
  std::fflush(stdout);
  return reached;
}

}  // namespace barista::bench
