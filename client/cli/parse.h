#ifndef BARISTA_CLIENT_CLI_PARSE_H_
#define BARISTA_CLIENT_CLI_PARSE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/message.h"

namespace barista::cli {

// How people write values on the command line. Thread-safe, pure functions. Every error is
// kInvalidArgument and says what was given and what is accepted; ranges are the broker's business
// and not checked here.

// "30s", "250ms", "15m" or "15min", "12h", "4d", "1h30m", and a bare number, which means seconds as
// in SQS. Not negative.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// "65536", "64KiB", "1MiB": bytes.
absl::StatusOr<int64_t> ParseSize(absl::string_view text);

// "NAME=VALUE", split at the first "="; the name is not empty, the value may be.
absl::StatusOr<std::pair<std::string, std::string>> ParseKeyValue(absl::string_view text);

// "NAME=VALUE" is a String, "NAME:Number=5" and "NAME:String.label=x" say the type,
// "NAME:Binary=aGk=" has its value in base64.
absl::StatusOr<std::pair<std::string, MessageAttribute>> ParseMessageAttribute(
    absl::string_view text);

// The whole seconds of `duration` in decimal, as queue attributes have them. kInvalidArgument if
// there is a fraction.
absl::StatusOr<std::string> WholeSeconds(absl::Duration duration);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_PARSE_H_
