#ifndef BARISTA_CLIENT_REMOTE_WIRE_H_
#define BARISTA_CLIENT_REMOTE_WIRE_H_

#include <google/protobuf/duration.pb.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/message.h"
#include "barista/queue_attributes.h"
#include "barista/v1/queue.pb.h"

namespace barista::client {

// Messages of the gRPC API as those of a queue, and back. Stateless, thread-safe. What a broker
// answered and we cannot read is kInternal.

// `message` has been validated (message/validation.h): its strings are UTF-8.
void EncodeEntry(const OutgoingMessage& message, v1::SendMessageEntry* out);
// `duration` is finite.
void EncodeDuration(absl::Duration duration, google::protobuf::Duration* out);

absl::StatusOr<SendResult> DecodeSendResult(const v1::SendMessageResult& result);
absl::StatusOr<ReceivedMessage> DecodeReceivedMessage(const v1::Message& message);
// Of a stream, which need not bring receipt handles.
absl::StatusOr<ReceivedMessage> DecodeDelivery(const v1::Message& message);
absl::StatusOr<PeekedMessage> DecodePeekedMessage(const v1::PeekedMessage& message);
absl::StatusOr<QueueDescription> DecodeDescription(const v1::Queue& queue);
// Never OK.
absl::Status DecodeError(const v1::Error& error);

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_WIRE_H_
