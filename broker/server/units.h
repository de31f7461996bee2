#ifndef BROKER_SERVER_UNITS_H_
#define BROKER_SERVER_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace barista::server {

// Values of settings as people write them. Errors are kInvalidArgument with the value, what is
// wrong with it and the allowed range in words; the caller puts the name of the setting in front.

// A size in bytes: a whole number with B, KiB, MiB, GiB or TiB; a bare number counts bytes. In
// [min, max].
absl::StatusOr<int64_t> ParseBytes(absl::string_view text, int64_t min, int64_t max);

// A duration with a unit: 100ms, 1.5s, 2h, 0. In [min, max].
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text, absl::Duration min,
                                             absl::Duration max);

// A whole number. In [min, max].
absl::StatusOr<int64_t> ParseCount(absl::string_view text, int64_t min, int64_t max);

// true, false, yes, no, on, off, 1, 0; any case.
absl::StatusOr<bool> ParseSwitch(absl::string_view text);

// The largest unit that divides `bytes`: "512MiB".
std::string FormatBytes(int64_t bytes);

}  // namespace barista::server

#endif  // BROKER_SERVER_UNITS_H_
