#ifndef BARISTA_BROKER_MESSAGE_VALIDATION_H_
#define BARISTA_BROKER_MESSAGE_VALIDATION_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "barista/queue_attributes.h"

namespace barista::internal {

// The rules for what enters a standard queue. Errors as Queue::Send and SQS name them; each names
// field, value and limit.

// Offset of the first byte that is not part of a character SQS allows (UTF-8 of #x9 #xA #xD
// #x20-#xD7FF #xE000-#xFFFD #x10000-#x10FFFF).
std::optional<size_t> FirstForbiddenCharacter(absl::string_view text);

struct MessageRules {
  int64_t maximum_message_size = static_cast<int64_t>(kMaxMessageBytes);
  BodyCharset body_charset = BodyCharset::kText;
};

// EmptyBatchRequest, TooManyEntriesInBatchRequest; `what` names an entry in the text.
absl::Status ValidateBatch(size_t entries, absl::string_view what);
// The same of messages to be sent, and BatchRequestTooLong.
absl::Status ValidateSendBatch(absl::Span<const OutgoingMessage> messages);
absl::Status ValidateMessage(const OutgoingMessage& message, const MessageRules& rules);
absl::Status ValidateReceive(const ReceiveOptions& options);
absl::Status ValidateVisibilityTimeout(absl::Duration timeout);

// `Value V for parameter P is invalid. Reason: R`, the frame of most of SQS's errors.
absl::Status InvalidParameter(absl::string_view field, absl::string_view value,
                              absl::string_view why, absl::string_view limit);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_MESSAGE_VALIDATION_H_
