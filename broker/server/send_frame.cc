#include "broker/server/send_frame.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <cstdint>
#include <utility>

#include "broker/server/message_codec.h"

namespace barista::server {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr uint32_t Tag(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}
constexpr uint32_t kEntryTag = Tag(v1::SendStreamRequest::kEntriesFieldNumber);
constexpr uint32_t kBodyTag = Tag(v1::SendMessageEntry::kBodyFieldNumber);

}  // namespace

bool SendFrame::View(CodedInputStream* in, int size, absl::string_view* view) {
  const void* data = nullptr;
  int available = 0;
  if (size == 0) {
    *view = absl::string_view();
    return true;
  }
  if (!in->GetDirectBufferPointer(&data, &available)) return false;
  if (available >= size) {
    *view = absl::string_view(static_cast<const char*>(data), static_cast<size_t>(size));
    return in->Skip(size);
  }
  std::string& joined = joined_.emplace_back();
  if (!in->ReadString(&joined, size)) return false;
  *view = joined;
  return true;
}

bool SendFrame::Read(grpc::ByteBuffer* bytes) {
  grpc::ProtoBufferReader reader(bytes);
  CodedInputStream in(&reader);
  std::string others;
  {
    google::protobuf::io::StringOutputStream stream(&others);
    CodedOutputStream out(&stream);
    while (const uint32_t tag = in.ReadTag()) {
      if (tag != kEntryTag) {
        if (!WireFormatLite::SkipField(&in, tag, &out)) return false;
        continue;
      }
      int size = 0;
      absl::string_view entry;
      if (!in.ReadVarintSizeAsInt(&size) || !View(&in, size, &entry) || !ReadEntry(entry)) {
        return false;
      }
    }
  }
  return in.ConsumedEntireMessage() && request_.ParseFromString(others);
}

bool SendFrame::ReadEntry(absl::string_view bytes) {
  const uint8_t* const data = reinterpret_cast<const uint8_t*>(bytes.data());
  CodedInputStream in(data, static_cast<int>(bytes.size()));
  OutgoingMessage message;
  bool body_only = true;
  while (body_only) {
    const uint32_t tag = in.ReadTag();
    if (tag == 0) break;
    int size = 0;
    if (tag == kBodyTag) {
      if (!in.ReadVarintSizeAsInt(&size) || !View(&in, size, &message.body)) return false;
    } else {
      body_only = false;
    }
  }
  if (body_only) {
    if (!in.ConsumedEntireMessage()) return false;
    decoded_.push_back(absl::OkStatus());
    messages_.push_back(std::move(message));
    return true;
  }
  v1::SendMessageEntry& entry = parsed_.emplace_back();
  if (!entry.ParseFromArray(data, static_cast<int>(bytes.size()))) return false;
  absl::StatusOr<OutgoingMessage> decoded = DecodeEntry(entry);
  decoded_.push_back(decoded.status());
  if (decoded.ok()) messages_.push_back(*std::move(decoded));
  return true;
}

}  // namespace barista::server
