// The token file: taken, or refused with its line; no error quotes a digest.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "broker/server/security/token_table.h"
#include "tests/fuzz/yaml_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using barista::server::TokenTable;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto table = TokenTable::Parse(text, "tokens.yaml");
  if (!table.ok()) {
    barista::fuzz::CheckNamesALine(table.status().message(), "tokens.yaml", text);
    return 0;
  }
  if ((*table)->size() > TokenTable::kMaxTokens) std::abort();
  (*table)->Find("espresso-secret");
  return 0;
}
