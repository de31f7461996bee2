#ifndef BARISTA_CLIENT_LOAD_MACHINE_H_
#define BARISTA_CLIENT_LOAD_MACHINE_H_

#include <string>
#include <utility>
#include <vector>

namespace barista::load {

// What every result must name: version, hardware, file system of `dir` (left out if empty), kernel
// and compiler, as name and value.
std::vector<std::pair<std::string, std::string>> DescribeMachine(const std::string& dir);

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_MACHINE_H_
