#include "tests/server/token_file.h"

#include <openssl/sha.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/escaping.h"

namespace barista::server {

std::string Sha256Hex(absl::string_view secret) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

void WritePrivateFile(const std::string& path, absl::string_view text) {
  const std::string next = path + ".next";
  std::ofstream(next) << text;
  if (::chmod(next.c_str(), 0600) != 0 || std::rename(next.c_str(), path.c_str()) != 0) {
    std::abort();
  }
}

}  // namespace barista::server
