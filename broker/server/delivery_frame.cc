#include "broker/server/delivery_frame.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "broker/server/message_codec.h"

namespace barista::server {
namespace {

using google::protobuf::Timestamp;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

// All tags that are written here take one byte.
constexpr size_t kTagBytes = 1;
constexpr uint8_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint8_t>(WireFormatLite::MakeTag(field, type));
}
constexpr uint8_t Text(int field) { return Tag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED); }
constexpr uint8_t Varint(int field) { return Tag(field, WireFormatLite::WIRETYPE_VARINT); }

// A field of `bytes` bytes with its tag and length.
size_t FieldBytes(size_t bytes) {
  return kTagBytes + CodedOutputStream::VarintSize32(static_cast<uint32_t>(bytes)) + bytes;
}
size_t VarintFieldBytes(uint64_t value) {
  return value == 0 ? 0 : kTagBytes + CodedOutputStream::VarintSize64(value);
}

uint8_t* WriteHead(uint8_t tag, size_t bytes, uint8_t* out) {
  *out++ = tag;
  return CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(bytes), out);
}
uint8_t* WriteText(uint8_t tag, absl::string_view text, uint8_t* out) {
  out = WriteHead(tag, text.size(), out);
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}
uint8_t* WriteVarint(uint8_t tag, uint64_t value, uint8_t* out) {
  if (value == 0) return out;
  *out++ = tag;
  return CodedOutputStream::WriteVarint64ToArray(value, out);
}

// A google.protobuf.Timestamp.
struct Stamp {
  explicit Stamp(absl::Time time)
      : millis(static_cast<uint64_t>(absl::ToUnixMillis(time))),
        bytes(VarintFieldBytes(seconds()) + VarintFieldBytes(nanos())) {}
  uint64_t seconds() const { return millis / 1000; }
  uint64_t nanos() const { return millis % 1000 * 1'000'000; }
  uint8_t* Write(uint8_t tag, uint8_t* out) const {
    out = WriteHead(tag, bytes, out);
    out = WriteVarint(Varint(Timestamp::kSecondsFieldNumber), seconds(), out);
    return WriteVarint(Varint(Timestamp::kNanosFieldNumber), nanos(), out);
  }

  uint64_t millis;  // since 1970: the engine's times are not before
  size_t bytes;
};

// One v1::Message: written here if it has neither attributes nor optional fields, else by protobuf.
class MessageWriter {
 public:
  MessageWriter(const ReceivedMessage& message, bool receipt_handle)
      : message_(message), sent_(message.sent_at), first_(message.first_received_at) {
    if (receipt_handle) handle_ = message.receipt_handle.ToString();
    if (message.has_attributes() || message.has_fields() || message.sequence_number ||
        message.receive_count < 0 || message.sent_at < absl::UnixEpoch()) {
      other_ = std::make_unique<v1::Message>();
      EncodeMessage(message, other_.get());
      if (receipt_handle) other_->set_receipt_handle(handle_);
      bytes_ = other_->ByteSizeLong();
      return;
    }
    bytes_ = FieldBytes(MessageId::kTextSize) +
             (message.body.empty() ? 0 : FieldBytes(message.body.size())) +
             VarintFieldBytes(static_cast<uint64_t>(message.receive_count)) +
             FieldBytes(sent_.bytes) + (received() ? FieldBytes(first_.bytes) : 0) +
             (handle_.empty() ? 0 : FieldBytes(handle_.size()));
  }

  size_t bytes() const { return bytes_; }

  uint8_t* Write(uint8_t* out) const {
    if (other_) return other_->SerializeWithCachedSizesToArray(out);
    using Message = v1::Message;
    out = WriteHead(Text(Message::kMessageIdFieldNumber), MessageId::kTextSize, out);
    message_.message_id.ToText(reinterpret_cast<char*>(out));
    out += MessageId::kTextSize;
    if (!message_.body.empty())
      out = WriteText(Text(Message::kBodyFieldNumber), message_.body, out);
    if (!handle_.empty()) out = WriteText(Text(Message::kReceiptHandleFieldNumber), handle_, out);
    out = WriteVarint(Varint(Message::kReceiveCountFieldNumber),
                      static_cast<uint64_t>(message_.receive_count), out);
    out = sent_.Write(Text(Message::kSentAtFieldNumber), out);
    if (received()) out = first_.Write(Text(Message::kFirstReceivedAtFieldNumber), out);
    return out;
  }

 private:
  bool received() const { return message_.first_received_at != absl::InfiniteFuture(); }

  const ReceivedMessage& message_;
  const Stamp sent_, first_;
  std::string handle_;
  std::unique_ptr<v1::Message> other_;
  size_t bytes_ = 0;
};

}  // namespace

grpc::ByteBuffer EncodeDeliveries(const v1::ConsumeStreamResponse& response,
                                  absl::Span<const ReceivedMessage> messages,
                                  bool receipt_handles) {
  size_t bytes = response.ByteSizeLong();
  std::vector<MessageWriter> writers;
  writers.reserve(messages.size());
  for (const ReceivedMessage& message : messages) {
    bytes += FieldBytes(writers.emplace_back(message, receipt_handles).bytes());
  }
  grpc::Slice frame(bytes);
  uint8_t* out = const_cast<uint8_t*>(frame.begin());  // ours alone until it is in a buffer
  out = response.SerializeWithCachedSizesToArray(out);
  for (const MessageWriter& writer : writers) {
    out = WriteHead(Text(v1::ConsumeStreamResponse::kMessagesFieldNumber), writer.bytes(), out);
    out = writer.Write(out);
  }
  return grpc::ByteBuffer(&frame, 1);
}

}  // namespace barista::server
