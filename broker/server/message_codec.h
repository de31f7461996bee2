#ifndef BROKER_SERVER_MESSAGE_CODEC_H_
#define BROKER_SERVER_MESSAGE_CODEC_H_

#include <google/protobuf/duration.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/message.h"
#include "barista/v1/queue.pb.h"

namespace barista::server {

// Messages of the engine as messages of the gRPC API, and back. Stateless, thread-safe.

// The views of the result last as long as `entry`. Attributes come out sorted by name (a protobuf
// map has no order). What the engine checks is not checked here.
// kInvalidArgument/InvalidParameterValue: a delay that is no duration; an attribute whose value is
// of another kind than its type says. O(attributes).
absl::StatusOr<OutgoingMessage> DecodeEntry(const v1::SendMessageEntry& entry);

// kInvalidArgument/InvalidParameterValue, naming `field`: not a valid google.protobuf.Duration.
absl::StatusOr<absl::Duration> DecodeDuration(absl::string_view field,
                                              const google::protobuf::Duration& duration);

void EncodeSendResult(const SendResult& result, v1::SendMessageResult* out);
void EncodeMessage(const StoredMessage& message, v1::Message* out);
void EncodeReceivedMessage(const ReceivedMessage& message, v1::Message* out);
void EncodePeekedMessage(const PeekedMessage& message, v1::PeekedMessage* out);

}  // namespace barista::server

#endif  // BROKER_SERVER_MESSAGE_CODEC_H_
