#include "client/cli/parse.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace barista::cli {
namespace {

bool AllDigits(absl::string_view text) {
  for (char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return !text.empty();
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(absl::StrCat(
      "'", text, "' is not a duration; write 30s, 250ms, 15m, 12h, 4d, or a number of seconds"));
  int64_t number = 0;
  if (AllDigits(text)) {
    if (!absl::SimpleAtoi(text, &number)) return wrong;
    return absl::Seconds(number);
  }
  absl::string_view days = text;
  if (absl::ConsumeSuffix(&days, "d")) {
    if (!AllDigits(days) || !absl::SimpleAtoi(days, &number)) return wrong;
    return absl::Hours(24) * number;
  }
  absl::string_view go_form = text;
  if (absl::EndsWith(text, "min")) go_form.remove_suffix(2);
  absl::Duration duration;
  if (!absl::ParseDuration(go_form, &duration) || duration < absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return wrong;
  }
  return duration;
}

absl::StatusOr<int64_t> ParseSize(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is not a size; write a number of bytes, 64KiB, 1MiB or 1GiB"));
  absl::string_view digits = text;
  int64_t unit = 1;
  if (absl::ConsumeSuffix(&digits, "KiB")) {
    unit = int64_t{1} << 10;
  } else if (absl::ConsumeSuffix(&digits, "MiB")) {
    unit = int64_t{1} << 20;
  } else if (absl::ConsumeSuffix(&digits, "GiB")) {
    unit = int64_t{1} << 30;
  } else {
    absl::ConsumeSuffix(&digits, "B");
  }
  int64_t number = 0;
  if (!AllDigits(digits) || !absl::SimpleAtoi(digits, &number)) return wrong;
  if (number > std::numeric_limits<int64_t>::max() / unit) return wrong;
  return number * unit;
}

absl::StatusOr<std::pair<std::string, std::string>> ParseKeyValue(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not of the form NAME=VALUE"));
  }
  return std::make_pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

absl::StatusOr<std::pair<std::string, MessageAttribute>> ParseMessageAttribute(
    absl::string_view text) {
  auto key_value = ParseKeyValue(text);
  if (!key_value.ok()) return key_value.status();
  std::string name = std::move(key_value->first);
  MessageAttribute attribute;
  attribute.data_type = "String";
  attribute.value = std::move(key_value->second);
  if (const size_t colon = name.find(':'); colon != std::string::npos) {
    attribute.data_type = name.substr(colon + 1);
    name.resize(colon);
  }
  if (absl::StartsWith(attribute.data_type, "Binary")) {
    std::string bytes;
    if (!absl::Base64Unescape(attribute.value, &bytes)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the value of the Binary attribute '", name, "' is not base64"));
    }
    attribute.value = std::move(bytes);
  }
  return std::make_pair(std::move(name), std::move(attribute));
}

absl::StatusOr<std::string> WholeSeconds(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (absl::Seconds(seconds) != duration) {
    return absl::InvalidArgumentError(
        absl::StrCat(absl::FormatDuration(duration), " is not a whole number of seconds"));
  }
  return absl::StrCat(seconds);
}

}  // namespace barista::cli
