#include "broker/server/units.h"

#include <array>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace barista::server {
namespace {

struct Unit {
  absl::string_view name;
  int shift;
};

constexpr std::array<Unit, 5> kUnits = {
    {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}}};

}  // namespace

std::string FormatBytes(int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes != 0 && bytes % (int64_t{1} << unit.shift) == 0) {
      return absl::StrCat(bytes >> unit.shift, unit.name);
    }
  }
  return absl::StrCat(bytes, "B");
}

absl::StatusOr<int64_t> ParseBytes(absl::string_view text, int64_t min, int64_t max) {
  const auto range = [&] {
    return absl::StrCat("[", FormatBytes(min), ", ", FormatBytes(max), "]");
  };
  absl::string_view digits = absl::StripAsciiWhitespace(text);
  int shift = 0;
  for (const Unit& unit : kUnits) {
    if (absl::EndsWith(digits, unit.name)) {
      digits.remove_suffix(unit.name.size());
      digits = absl::StripTrailingAsciiWhitespace(digits);
      shift = unit.shift;
      break;
    }
  }
  int64_t number = 0;
  if (digits.empty() || !absl::ascii_isdigit(digits[0]) || !absl::SimpleAtoi(digits, &number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\" is not a size like 512MiB (B, KiB, MiB, GiB, TiB) in ", range()));
  }
  const bool overflows = number > (std::numeric_limits<int64_t>::max() >> shift);
  if (overflows || (number << shift) < min || (number << shift) > max) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not in ", range()));
  }
  return number << shift;
}

absl::StatusOr<int64_t> ParseCount(absl::string_view text, int64_t min, int64_t max) {
  int64_t number = 0;
  if (text.empty() || !absl::ascii_isdigit(text[0]) || !absl::SimpleAtoi(text, &number) ||
      number < min || number > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a whole number in [", min, ", ", max, "]"));
  }
  return number;
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text, absl::Duration min,
                                             absl::Duration max) {
  const auto range = [&] {
    return absl::StrCat("[", absl::FormatDuration(min), ", ", absl::FormatDuration(max), "]");
  };
  absl::Duration duration;
  if (!absl::ParseDuration(absl::StripAsciiWhitespace(text), &duration)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a duration like 100ms (ms, s, m, h) in ", range()));
  }
  if (duration < min || duration > max) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not in ", range()));
  }
  return duration;
}

absl::StatusOr<int> ParseCount(absl::string_view text, int min, int max) {
  int number = 0;
  if (!absl::SimpleAtoi(text, &number) || number < min || number > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a whole number in [", min, ", ", max, "]"));
  }
  return number;
}

absl::StatusOr<bool> ParseSwitch(absl::string_view text) {
  const std::string word = absl::AsciiStrToLower(text);
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not true or false"));
}

}  // namespace barista::server
