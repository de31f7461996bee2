#include "barista/trace_context.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace barista {
namespace {

// VERSION-TRACEID-SPANID-FLAGS: all of version 00, and what later ones begin with.
constexpr size_t kTraceparentBytes = 2 + 1 + 32 + 1 + 16 + 1 + 2;

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); });
}

// All zeros is no id.
bool IsId(absl::string_view text) {
  return IsLowerHex(text) && text.find_first_not_of('0') != absl::string_view::npos;
}

}  // namespace

bool IsTraceparent(absl::string_view text) {
  if (text.size() < kTraceparentBytes) return false;
  const absl::string_view version = text.substr(0, 2);
  const bool longer = text.size() > kTraceparentBytes;
  if (longer && (version == "00" || text[kTraceparentBytes] != '-')) return false;
  return IsLowerHex(version) && version != "ff" && text[2] == '-' && IsId(text.substr(3, 32)) &&
         text[35] == '-' && IsId(text.substr(36, 16)) && text[52] == '-' &&
         IsLowerHex(text.substr(53, 2));
}

bool IsTracestate(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxTracestateBytes &&
         std::all_of(text.begin(), text.end(), absl::ascii_isprint);
}

}  // namespace barista
