#ifndef BROKER_SERVER_FRAME_CODEC_H_
#define BROKER_SERVER_FRAME_CODEC_H_

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

namespace barista::server {

// Frames of streams as messages of protobuf. Stateless.

// False: `bytes` are no Message. They are gone then and otherwise.
template <typename Message>
bool FromByteBuffer(grpc::ByteBuffer* bytes, Message* message) {
  return grpc::SerializationTraits<Message>::Deserialize(bytes, message).ok();
}

template <typename Message>
void ToByteBuffer(const Message& message, grpc::ByteBuffer* bytes) {
  bool own = false;
  // (Fails only beyond 2 GiB.)
  grpc::SerializationTraits<Message>::Serialize(message, bytes, &own).IgnoreError();
}

}  // namespace barista::server

#endif  // BROKER_SERVER_FRAME_CODEC_H_
