#ifndef BROKER_SERVER_DELIVERY_FRAME_H_
#define BROKER_SERVER_DELIVERY_FRAME_H_

#include <grpcpp/support/byte_buffer.h>

#include "absl/types/span.h"
#include "barista/message.h"
#include "barista/v1/queue.pb.h"

namespace barista::server {

// The bytes of `response` with `messages`: what protobuf would write, without an object of it for
// each message, so that a body is copied once. `response` has no messages of its own;
// `receipt_handles`: whether the messages show theirs. Thread-safe. O(bytes).
grpc::ByteBuffer EncodeDeliveries(const v1::ConsumeStreamResponse& response,
                                  absl::Span<const ReceivedMessage> messages, bool receipt_handles);

}  // namespace barista::server

#endif  // BROKER_SERVER_DELIVERY_FRAME_H_
