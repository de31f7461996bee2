// The blocking forms of a Consumer over its state.

#include "barista/consumer.h"

#include "broker/base/callback.h"
#include "broker/consumer/consumer_state.h"

namespace barista {

Consumer::~Consumer() { state_->LetGo(); }

absl::StatusOr<std::optional<ReceivedMessage>> Consumer::Next(absl::Duration wait) {
  if (wait > absl::ZeroDuration()) {
    if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  }
  return state_->Next(wait);
}

absl::Status Consumer::Delete(const ReceivedMessage& message) { return state_->Delete(message); }

absl::Status Consumer::Release(const ReceivedMessage& message, absl::Duration delay) {
  return state_->Release(message, delay);
}

absl::Status Consumer::Extend(const ReceivedMessage& message, absl::Duration visibility_timeout) {
  return state_->Extend(message, visibility_timeout);
}

absl::Status Consumer::Flush(absl::Duration timeout) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return state_->Flush(timeout);
}

void Consumer::Stop() { state_->Stop(); }

absl::Status Consumer::Close() {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return state_->Close();
}

absl::Status Consumer::status() const { return state_->status(); }

}  // namespace barista
