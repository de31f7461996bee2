#include "broker/base/callback.h"

#include "barista/error.h"

namespace barista {

constinit thread_local int internal::callback_depth = 0;

absl::Status CheckMayBlock() {
  if (!InCallback()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      "a blocking call inside a callback of the broker would stop it; use the callback form",
      {.reason = "WouldBlock"});
}

}  // namespace barista
