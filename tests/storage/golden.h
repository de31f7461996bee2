#ifndef BARISTA_TESTS_STORAGE_GOLDEN_H_
#define BARISTA_TESTS_STORAGE_GOLDEN_H_

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace barista::storage {

inline std::string GoldenPath(const std::string& name) {
  return absl::StrCat(BARISTA_SOURCE_DIR, "/tests/golden/storage/", name, ".hex");
}

// The bytes of tests/golden/storage/NAME.hex: hexadecimal digits, and line breaks anywhere.
inline std::string GoldenBytes(const std::string& name) {
  std::ifstream file(GoldenPath(name));
  EXPECT_TRUE(file.good()) << GoldenPath(name) << " is missing";
  std::stringstream text;
  text << file.rdbuf();
  std::string digits;
  for (char c : text.str()) {
    if (!absl::ascii_isspace(c)) digits.push_back(c);
  }
  return absl::HexStringToBytes(digits);
}

// `bytes` are what the checked-in file says. A failure means that data directories of released
// versions could not be read any more: give the format a new version instead. With
// BARISTA_UPDATE_GOLDEN=1 the file is written.
inline void ExpectGolden(const std::string& name, absl::string_view bytes) {
  if (std::getenv("BARISTA_UPDATE_GOLDEN") != nullptr) {
    std::ofstream file(GoldenPath(name));
    for (size_t i = 0; i < bytes.size(); i += 16)
      file << absl::BytesToHexString(bytes.substr(i, 16)) << "\n";
  }
  EXPECT_EQ(absl::BytesToHexString(bytes), absl::BytesToHexString(GoldenBytes(name))) << name;
}

}  // namespace barista::storage

#endif  // BARISTA_TESTS_STORAGE_GOLDEN_H_
