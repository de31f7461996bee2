#ifndef BROKER_SERVER_SEND_FRAME_H_
#define BROKER_SERVER_SEND_FRAME_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "barista/message.h"
#include "barista/v1/queue.pb.h"

namespace google::protobuf::io {
class CodedInputStream;
}

namespace barista::server {

// A SendStreamRequest read where it lies: bodies are views into the bytes that have come, and not
// copied once more for an object of protobuf. Entries with anything beside a body take the way
// through protobuf. Thread-compatible; neither copied nor moved.
class SendFrame {
 public:
  SendFrame() = default;
  SendFrame(const SendFrame&) = delete;
  SendFrame& operator=(const SendFrame&) = delete;

  // Reads `bytes`, which outlives this unchanged. Once. False: they are no SendStreamRequest, in
  // exactly the cases in which protobuf says so. O(bytes of entries with more than a body).
  bool Read(grpc::ByteBuffer* bytes);

  // The request without its entries.
  const v1::SendStreamRequest& request() const { return request_; }
  // One per entry: not OK where DecodeEntry refuses it.
  const std::vector<absl::Status>& decoded() const { return decoded_; }
  std::vector<absl::Status> TakeDecoded() { return std::move(decoded_); }
  // The others, in order.
  const std::vector<OutgoingMessage>& messages() const { return messages_; }

 private:
  bool ReadEntry(absl::string_view bytes);
  // The next `size` bytes of `in`, in one piece.
  bool View(google::protobuf::io::CodedInputStream* in, int size, absl::string_view* view);

  v1::SendStreamRequest request_;
  std::vector<absl::Status> decoded_;
  std::vector<OutgoingMessage> messages_;
  // What views need: entries that lie in several pieces, and those that protobuf has read.
  std::deque<std::string> joined_;
  std::deque<v1::SendMessageEntry> parsed_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SEND_FRAME_H_
