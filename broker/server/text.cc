#include "broker/server/text.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_format.h"

namespace barista::server {

bool IsUtf8(absl::string_view bytes) {
  const size_t size = bytes.size();
  size_t at = 0;
  while (at < size) {
    const uint8_t lead = static_cast<uint8_t>(bytes[at]);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    size_t following;
    uint8_t low = 0x80, high = 0xBF;  // of the second byte
    if (lead >= 0xC2 && lead <= 0xDF) {
      following = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      following = 2;
      if (lead == 0xE0) low = 0xA0;   // overlong below
      if (lead == 0xED) high = 0x9F;  // surrogates above
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      following = 3;
      if (lead == 0xF0) low = 0x90;   // overlong below
      if (lead == 0xF4) high = 0x8F;  // past U+10FFFF above
    } else {
      return false;
    }
    if (size - at <= following) return false;
    const uint8_t second = static_cast<uint8_t>(bytes[at + 1]);
    if (second < low || second > high) return false;
    for (size_t i = 2; i <= following; ++i) {
      if ((static_cast<uint8_t>(bytes[at + i]) & 0xC0) != 0x80) return false;
    }
    at += following + 1;
  }
  return true;
}

std::string ToUtf8(absl::string_view bytes) {
  if (IsUtf8(bytes)) return std::string(bytes);
  std::string text;
  text.reserve(bytes.size() + 16);
  for (const char c : bytes) {
    if (static_cast<uint8_t>(c) < 0x80) {
      text.push_back(c);
    } else {
      absl::StrAppendFormat(&text, "\\x%02x", static_cast<uint8_t>(c));
    }
  }
  return text;
}

}  // namespace barista::server
