#include "broker/message/message_record.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "broker/base/codec.h"
#include "broker/base/stored_errors.h"

namespace barista::internal {
namespace {

constexpr uint8_t kVersion = 1;
constexpr char kWhat[] = "message record";

size_t PrefixedBytes(absl::string_view bytes) {
  return Varint32Bytes(static_cast<uint32_t>(bytes.size())) + bytes.size();
}

char* StorePrefixed(absl::string_view bytes, char* out) {
  out = StoreVarint32(static_cast<uint32_t>(bytes.size()), out);
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

// Calls visit(tag, bytes) for each field that `record` has, tags ascending.
template <typename Visit>
void ForEachField(const MessageRecord& record, Visit visit) {
  char scratch[8];
  const auto number = [&](auto value) {
    StoreLittle(value, scratch);
    return absl::string_view(scratch, sizeof(value));
  };
  if (record.group_id) visit(RecordField::kGroupId, *record.group_id);
  if (record.dedup_id) visit(RecordField::kDedupId, *record.dedup_id);
  if (record.sender_id) visit(RecordField::kSenderId, *record.sender_id);
  if (record.trace_header) visit(RecordField::kTraceHeader, *record.trace_header);
  if (record.dead_letter_source) {
    visit(RecordField::kDeadLetterSource, *record.dead_letter_source);
  }
  if (record.expires_at_ms) visit(RecordField::kExpiresAt, number(*record.expires_at_ms));
  if (record.sequence_number) visit(RecordField::kSequenceNumber, number(*record.sequence_number));
  if (record.receive_count != 0) visit(RecordField::kReceiveCount, number(record.receive_count));
  if (record.first_receive_ms != 0) {
    visit(RecordField::kFirstReceive, number(record.first_receive_ms));
  }
  if (record.topic) visit(RecordField::kTopic, *record.topic);
}

size_t FieldBytes(const MessageRecord& record) {
  size_t size = 0;
  ForEachField(record,
               [&](RecordField, absl::string_view bytes) { size += 1 + PrefixedBytes(bytes); });
  return size;
}

template <typename Int>
bool ReadNumber(absl::string_view bytes, Int* value) {
  if (bytes.size() != sizeof(Int)) return false;
  *value = LoadLittle<Int>(bytes.data());
  return true;
}

bool ReadField(uint8_t tag, absl::string_view bytes, MessageRecord* record) {
  switch (static_cast<RecordField>(tag)) {
    case RecordField::kGroupId:
      record->group_id = bytes;
      return true;
    case RecordField::kDedupId:
      record->dedup_id = bytes;
      return true;
    case RecordField::kSenderId:
      record->sender_id = bytes;
      return true;
    case RecordField::kTraceHeader:
      record->trace_header = bytes;
      return true;
    case RecordField::kDeadLetterSource:
      record->dead_letter_source = bytes;
      return true;
    case RecordField::kExpiresAt:
      return ReadNumber(bytes, &record->expires_at_ms.emplace());
    case RecordField::kSequenceNumber:
      return ReadNumber(bytes, &record->sequence_number.emplace());
    case RecordField::kReceiveCount:
      return ReadNumber(bytes, &record->receive_count);
    case RecordField::kFirstReceive:
      return ReadNumber(bytes, &record->first_receive_ms);
    case RecordField::kTopic:
      record->topic = bytes;
      return true;
  }
  return true;  // A field of a later minor format: skipped.
}

}  // namespace

size_t EncodedAttributesBytes(const MessageAttributes& attributes) {
  size_t size = 0;
  for (const auto& [name, attribute] : attributes) {
    size +=
        PrefixedBytes(name) + PrefixedBytes(attribute.data_type) + PrefixedBytes(attribute.value);
  }
  return size;
}

void EncodeAttributes(const MessageAttributes& attributes, std::string* out) {
  const size_t before = out->size();
  out->resize(before + EncodedAttributesBytes(attributes));
  char* p = out->data() + before;
  for (const auto& [name, attribute] : attributes) {
    p = StorePrefixed(name, p);
    p = StorePrefixed(attribute.data_type, p);
    p = StorePrefixed(attribute.value, p);
  }
}

absl::StatusOr<MessageAttributes> DecodeAttributes(absl::string_view section, int count) {
  MessageAttributes attributes;
  ByteReader reader(section);
  for (int i = 0; i < count; ++i) {
    absl::string_view name, data_type, value;
    if (!reader.ReadPrefixed(&name) || !reader.ReadPrefixed(&data_type) ||
        !reader.ReadPrefixed(&value)) {
      return CorruptError(kWhat, absl::StrCat("attribute ", i, " of ", count, " is cut short"));
    }
    attributes.emplace_back(std::string(name),
                            MessageAttribute(std::string(data_type), std::string(value)));
  }
  if (!reader.empty()) {
    return CorruptError(kWhat,
                        absl::StrCat(reader.size(), " bytes behind its ", count, " attributes"));
  }
  return attributes;
}

size_t EncodedBytes(const MessageRecord& record) {
  return kMessageRecordHeaderBytes + FieldBytes(record) + record.attributes.size() +
         record.body.size();
}

void EncodeRecord(const MessageRecord& record, char* out) {
  char* const start = out;
  out += kMessageRecordHeaderBytes;
  char* const fields = out;
  ForEachField(record, [&](RecordField tag, absl::string_view bytes) {
    *out++ = static_cast<char>(tag);
    out = StorePrefixed(bytes, out);
  });
  start[0] = static_cast<char>(kVersion);
  start[1] = static_cast<char>(static_cast<uint8_t>(record.body_kind) |
                               static_cast<uint8_t>(record.render_kind) << 4);
  StoreLittle<uint16_t>(record.attribute_count, start + 2);
  StoreLittle<uint32_t>(static_cast<uint32_t>(out - fields), start + 4);
  StoreLittle<uint32_t>(static_cast<uint32_t>(record.attributes.size()), start + 8);
  StoreLittle<uint32_t>(static_cast<uint32_t>(record.body.size()), start + 12);
  StoreLittle<int64_t>(record.sent_ms, start + 16);
  std::memcpy(start + 24, record.message_id.bytes().data(), MessageId::kSize);
  if (!record.attributes.empty()) {
    std::memcpy(out, record.attributes.data(), record.attributes.size());
    out += record.attributes.size();
  }
  if (!record.body.empty()) std::memcpy(out, record.body.data(), record.body.size());
}

absl::StatusOr<MessageRecord> DecodeRecord(absl::string_view bytes) {
  if (bytes.empty()) return CorruptError(kWhat, "it is empty");
  const uint8_t version = static_cast<uint8_t>(bytes[0]);
  if (version > kVersion) return TooNewError(kWhat, version, kVersion);
  if (version == 0) return CorruptError(kWhat, "its version is 0");
  if (bytes.size() < kMessageRecordHeaderBytes) {
    return CorruptError(kWhat, absl::StrCat("it has ", bytes.size(), " bytes; its header has ",
                                            kMessageRecordHeaderBytes));
  }
  MessageRecord record;
  const uint8_t kinds = static_cast<uint8_t>(bytes[1]);
  if ((kinds & 0xf) > static_cast<uint8_t>(BodyKind::kShared)) {
    return CorruptError(kWhat, absl::StrCat("body kind ", kinds & 0xf));
  }
  if (kinds >> 4 > static_cast<uint8_t>(RenderKind::kEnvelope)) {
    return CorruptError(kWhat, absl::StrCat("render kind ", kinds >> 4));
  }
  record.body_kind = static_cast<BodyKind>(kinds & 0xf);
  record.render_kind = static_cast<RenderKind>(kinds >> 4);
  record.attribute_count = LoadLittle<uint16_t>(bytes.data() + 2);
  const uint64_t field_bytes = LoadLittle<uint32_t>(bytes.data() + 4);
  const uint64_t attribute_bytes = LoadLittle<uint32_t>(bytes.data() + 8);
  const uint64_t body_bytes = LoadLittle<uint32_t>(bytes.data() + 12);
  if (kMessageRecordHeaderBytes + field_bytes + attribute_bytes + body_bytes != bytes.size()) {
    return CorruptError(kWhat, absl::StrCat("it has ", bytes.size(), " bytes; its header says ",
                                            kMessageRecordHeaderBytes + field_bytes +
                                                attribute_bytes + body_bytes));
  }
  record.sent_ms = LoadLittle<int64_t>(bytes.data() + 16);
  std::array<uint8_t, MessageId::kSize> id;
  std::memcpy(id.data(), bytes.data() + 24, id.size());
  record.message_id = MessageId(id);

  ByteReader fields(bytes.substr(kMessageRecordHeaderBytes, field_bytes));
  for (int last_tag = -1; !fields.empty();) {
    uint8_t tag = 0;
    absl::string_view value;
    if (!fields.Read(&tag) || !fields.ReadPrefixed(&value)) {
      return CorruptError(kWhat, "a field is cut short");
    }
    if (tag <= last_tag)
      return CorruptError(kWhat, absl::StrCat("field ", tag, " is out of order"));
    if (!ReadField(tag, value, &record)) {
      return CorruptError(kWhat, absl::StrCat("field ", tag, " has ", value.size(), " bytes"));
    }
    last_tag = tag;
  }
  record.attributes = bytes.substr(kMessageRecordHeaderBytes + field_bytes, attribute_bytes);
  record.body = bytes.substr(kMessageRecordHeaderBytes + field_bytes + attribute_bytes);
  return record;
}

}  // namespace barista::internal
