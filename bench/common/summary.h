#ifndef BARISTA_BENCH_COMMON_SUMMARY_H_
#define BARISTA_BENCH_COMMON_SUMMARY_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace barista::bench {

// Repeated measurements of one thing: median and spread, never the mean. Thread-compatible.
class Sample {
 public:
  void Add(double value) { values_.push_back(value); }
  size_t size() const { return values_.size(); }
  // 0 without values.
  double median() const;
  double min() const;
  double max() const;
  // "36.2k (35.1k-37.0k)": median, least and greatest, with a factor letter.
  std::string ToString() const;

 private:
  std::vector<double> values_;
};

// 36.2k, 1.35M, 143, 0.71: three figures and a letter for thousands.
std::string Compact(double value);

// One line of the table of the measured promises, as Markdown. `ratios` are one per round, measured
// against the floor of the same round (interleaved), so that a drift of the machine cancels.
// `reach` is the promised ratio; `at_most` turns it round.
struct Promise {
  std::string what;
  std::string measured;
  std::string floor;
  Sample ratios;
  double reach = 0;
  bool at_most = false;
  std::string unit = "x";  // of ratio and reach
};
void PrintTableHead();
// Prints the row; false if the median misses the reach.
bool PrintRow(const Promise& promise);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_COMMON_SUMMARY_H_
