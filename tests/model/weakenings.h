#ifndef BARISTA_TESTS_MODEL_WEAKENINGS_H_
#define BARISTA_TESTS_MODEL_WEAKENINGS_H_

#include <string>
#include <vector>

#include "tests/model/model.h"

namespace barista::model {

struct NamedCase {
  std::string name;
  std::function<void(Case&)> set_up;
};

// Runs each case through every schedule, and prints how many there were.
void ExpectAllHold(const std::vector<NamedCase>& cases);

// Weakens each memory order that the cases meet, one at a time, and expects a case to fail. Prints
// the list: site, order, and the case that noticed. Orders that another structure asks for (sites
// outside `file`) are left to its own test.
void ExpectEachOrderNeeded(const std::vector<NamedCase>& cases, const std::string& file);

}  // namespace barista::model

#endif  // BARISTA_TESTS_MODEL_WEAKENINGS_H_
