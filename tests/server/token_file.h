#ifndef TESTS_SERVER_TOKEN_FILE_H_
#define TESTS_SERVER_TOKEN_FILE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace barista::server {

// The SHA-256 of `secret` in hexadecimal, as a token file has it.
std::string Sha256Hex(absl::string_view secret);

// Writes `text` into a file that only its owner may use, in one step: a reader sees the old file or
// the new one.
void WritePrivateFile(const std::string& path, absl::string_view text);

}  // namespace barista::server

#endif  // TESTS_SERVER_TOKEN_FILE_H_
