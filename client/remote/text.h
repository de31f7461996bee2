#ifndef BARISTA_CLIENT_REMOTE_TEXT_H_
#define BARISTA_CLIENT_REMOTE_TEXT_H_

#include <google/protobuf/map.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "barista/queue_attributes.h"

namespace barista::client {

// Names and values of a queue as strings of protobuf, which must be UTF-8. Stateless, thread-safe.

using TextMap = google::protobuf::Map<std::string, std::string>;

// Whether `text` can be sent: the characters that a message body of text may have.
bool IsText(absl::string_view text);

// The attributes that are given. They have been validated (message/attributes.h).
// kInvalidArgument/InvalidParameterValue: the name of the dead-letter queue is none.
absl::Status EncodeAttributes(const QueueAttributes& attributes, TextMap* out);

// kInvalidArgument/InvalidParameterValue, beside what ValidateTags refuses: not IsText.
absl::Status EncodeTags(const QueueTags& tags, TextMap* out);

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_TEXT_H_
