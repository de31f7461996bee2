#ifndef BARISTA_TESTS_MODEL_WEAKENINGS_H_
#define BARISTA_TESTS_MODEL_WEAKENINGS_H_

#include <string>
#include <vector>

#include "tests/model/model.h"

// Runs a structure's cases. Environment:
//
//   BARISTA_MODEL=whole         also those that take long (README.md)
//   BARISTA_MODEL_TABLE=FILE    writes the weakenings, and what noticed them, as a Markdown table
namespace barista::model {

// A case that takes long.
inline constexpr bool kWhole = true;

struct NamedCase {
  std::string name;
  std::function<void(Case&)> set_up;
  bool whole = false;  // run with BARISTA_MODEL=whole only
};

bool RunsTheWhole();

// Runs each case through every schedule, and prints how many there were. A case that meets the
// limit of executions fails.
void ExpectAllHold(const std::vector<NamedCase>& cases);

// Weakens each memory order that the cases (those that are always run) meet, one at a time, and
// expects a case to fail. Prints the list: site, order, and the case that noticed. Orders that
// another structure asks for (sites outside `file`) are left to its own test.
void ExpectEachOrderNeeded(const std::vector<NamedCase>& cases, const std::string& file);

}  // namespace barista::model

#endif  // BARISTA_TESTS_MODEL_WEAKENINGS_H_
