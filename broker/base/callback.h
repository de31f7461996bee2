#ifndef BARISTA_BROKER_BASE_CALLBACK_H_
#define BARISTA_BROKER_BASE_CALLBACK_H_

#include "absl/status/status.h"

namespace barista {

// Whose threads are whose: a callback runs on a thread that others wait for, so nothing in it may
// block.

namespace internal {
// How many callbacks the calling thread is inside of.
extern constinit thread_local int callback_depth;
}  // namespace internal

// Whether the calling thread is inside a callback.
inline bool InCallback() { return internal::callback_depth != 0; }

// OK, or why the calling thread may not use a blocking form: it is inside a callback
// (kFailedPrecondition/WouldBlock).
absl::Status CheckMayBlock();

// Runs a user's callback so that CheckMayBlock sees it.
template <typename F>
void RunCallback(F&& callback) {
  ++internal::callback_depth;
  callback();
  --internal::callback_depth;
}

}  // namespace barista

#endif  // BARISTA_BROKER_BASE_CALLBACK_H_
