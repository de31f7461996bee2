#include "broker/message/message_record.h"

#include <memory>
#include <random>
#include <string>

#include "barista/error.h"
#include "gtest/gtest.h"
#include "tests/storage/golden.h"

namespace barista::internal {
namespace {

using storage::ExpectGolden;
using storage::GoldenBytes;

MessageId SomeId() {
  std::array<uint8_t, MessageId::kSize> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(0xa0 + i);
  return MessageId(bytes);
}

std::string Encoded(const MessageRecord& record) {
  std::string bytes(EncodedBytes(record), '\xee');
  EncodeRecord(record, bytes.data());
  return bytes;
}

// A copy that ends at the end of its allocation, so that the address sanitizer sees a read behind
// it.
struct Exact {
  explicit Exact(absl::string_view bytes) : size(bytes.size()), data(new char[bytes.size()]) {
    std::copy(bytes.begin(), bytes.end(), data.get());
  }
  absl::string_view view() const { return absl::string_view(data.get(), size); }
  size_t size;
  std::unique_ptr<char[]> data;
};

MessageRecord Plain() {
  MessageRecord record;
  record.sent_ms = 1767323045678;
  record.message_id = SomeId();
  record.body = "two espressos";
  return record;
}

MessageRecord Full(const std::string& attributes) {
  MessageRecord record = Plain();
  record.body_kind = BodyKind::kShared;
  record.render_kind = RenderKind::kEnvelope;
  record.group_id = "table 7";
  record.dedup_id = "order-17";
  record.sender_id = "AIDACKCEVSQ6C2EXAMPLE";
  record.trace_header = "Root=1-5e1b4151-5ac6c58a2f5c8f6c0d5d5c5c";
  record.dead_letter_source = "orders";
  record.expires_at_ms = 1767323105678;
  record.sequence_number = 0x1122334455667788;
  record.receive_count = 3;
  record.first_receive_ms = 1767323050000;
  record.topic = "menu";
  record.attribute_count = 2;
  record.attributes = attributes;
  return record;
}

std::string SomeAttributes() {
  MessageAttributes attributes;
  attributes.emplace_back("table", MessageAttribute("Number", "7"));
  attributes.emplace_back("photo", MessageAttribute("Binary.png", std::string(200, '\x89')));
  std::string section;
  EncodeAttributes(attributes, &section);
  EXPECT_EQ(section.size(), EncodedAttributesBytes(attributes));
  return section;
}

void ExpectEqual(const MessageRecord& a, const MessageRecord& b) {
  EXPECT_EQ(a.body_kind, b.body_kind);
  EXPECT_EQ(a.render_kind, b.render_kind);
  EXPECT_EQ(a.sent_ms, b.sent_ms);
  EXPECT_EQ(a.message_id, b.message_id);
  EXPECT_EQ(a.group_id, b.group_id);
  EXPECT_EQ(a.dedup_id, b.dedup_id);
  EXPECT_EQ(a.sender_id, b.sender_id);
  EXPECT_EQ(a.trace_header, b.trace_header);
  EXPECT_EQ(a.dead_letter_source, b.dead_letter_source);
  EXPECT_EQ(a.expires_at_ms, b.expires_at_ms);
  EXPECT_EQ(a.sequence_number, b.sequence_number);
  EXPECT_EQ(a.receive_count, b.receive_count);
  EXPECT_EQ(a.first_receive_ms, b.first_receive_ms);
  EXPECT_EQ(a.topic, b.topic);
  EXPECT_EQ(a.attribute_count, b.attribute_count);
  EXPECT_EQ(a.attributes, b.attributes);
  EXPECT_EQ(a.body, b.body);
}

TEST(MessageRecordTest, ComesBackAsItWas) {
  const std::string attributes = SomeAttributes();
  for (const MessageRecord& record : {Plain(), Full(attributes)}) {
    const std::string bytes = Encoded(record);
    absl::StatusOr<MessageRecord> decoded = DecodeRecord(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ExpectEqual(*decoded, record);
    EXPECT_GE(decoded->body.data(), bytes.data());  // views, not copies
    EXPECT_EQ(decoded->body.data() + decoded->body.size(), bytes.data() + bytes.size());
  }
}

TEST(MessageRecordTest, BytesAreAsReleased) {
  const std::string attributes = SomeAttributes();
  ExpectGolden("message_record_plain", Encoded(Plain()));
  ExpectGolden("message_record_full", Encoded(Full(attributes)));
  const std::string released = GoldenBytes("message_record_full");
  absl::StatusOr<MessageRecord> decoded = DecodeRecord(released);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ExpectEqual(*decoded, Full(attributes));
}

TEST(MessageRecordTest, EmptyStringsAreNotAbsent) {
  MessageRecord record = Plain();
  record.group_id = "";
  record.body = "";
  const std::string bytes = Encoded(record);
  absl::StatusOr<MessageRecord> decoded = DecodeRecord(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->group_id, absl::string_view());
  EXPECT_EQ(decoded->dedup_id, std::nullopt);
}

TEST(MessageRecordTest, EveryTruncationIsAnError) {
  const std::string attributes = SomeAttributes();
  const std::string bytes = Encoded(Full(attributes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Exact cut(absl::string_view(bytes).substr(0, size));
    absl::StatusOr<MessageRecord> decoded = DecodeRecord(cut.view());
    ASSERT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_EQ(GetErrorInfo(decoded.status()).reason, "DataCorrupt");
  }
  const Exact longer(bytes + "x");
  EXPECT_EQ(DecodeRecord(longer.view()).status().code(), absl::StatusCode::kDataLoss);
}

TEST(MessageRecordTest, FlippedBytesAreNeverReadOutside) {
  const std::string attributes = SomeAttributes();
  const std::string bytes = Encoded(Full(attributes));
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      const Exact exact(flipped);
      absl::StatusOr<MessageRecord> decoded = DecodeRecord(exact.view());
      if (decoded.ok()) {
        DecodeAttributes(decoded->attributes, decoded->attribute_count).status().IgnoreError();
      }
    }
  }
}

TEST(MessageRecordTest, LaterVersionIsNamed) {
  std::string bytes = Encoded(Plain());
  bytes[0] = 2;
  const absl::Status status = DecodeRecord(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  const ErrorInfo info = GetErrorInfo(status);
  EXPECT_EQ(info.reason, "DataDirectoryTooNew");
  EXPECT_EQ(info.value, "2");
  EXPECT_EQ(info.limit, "1");
  bytes[0] = 0;
  EXPECT_EQ(DecodeRecord(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(MessageRecordTest, UnknownFieldIsSkipped) {
  MessageRecord record = Plain();
  record.topic = "menu";
  std::string bytes = Encoded(record);
  bytes[kMessageRecordHeaderBytes] = 99;  // the only field gets a tag of a later version
  absl::StatusOr<MessageRecord> decoded = DecodeRecord(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->topic, std::nullopt);
  EXPECT_EQ(decoded->body, "two espressos");
}

TEST(MessageRecordTest, FieldsOutOfOrderAreAnError) {
  MessageRecord record = Plain();
  record.group_id = "g";
  record.topic = "t";
  std::string bytes = Encoded(record);
  bytes[kMessageRecordHeaderBytes] = static_cast<char>(RecordField::kTopic);
  EXPECT_EQ(DecodeRecord(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(MessageRecordTest, AttributesKeepTheirOrder) {
  const std::string section = SomeAttributes();
  absl::StatusOr<MessageAttributes> attributes = DecodeAttributes(section, 2);
  ASSERT_TRUE(attributes.ok());
  ASSERT_EQ(attributes->size(), 2u);
  EXPECT_EQ((*attributes)[0].first, "table");
  EXPECT_EQ((*attributes)[0].second, MessageAttribute("Number", "7"));
  EXPECT_EQ((*attributes)[1].first, "photo");
  EXPECT_EQ((*attributes)[1].second.value.size(), 200u);
}

TEST(MessageRecordTest, AttributeSectionHasExactlyItsAttributes) {
  const std::string section = SomeAttributes();
  EXPECT_EQ(DecodeAttributes(section, 1).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeAttributes(section, 3).status().code(), absl::StatusCode::kDataLoss);
  for (size_t size = 0; size < section.size(); ++size) {
    const Exact cut(absl::string_view(section).substr(0, size));
    EXPECT_EQ(DecodeAttributes(cut.view(), 2).status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

}  // namespace
}  // namespace barista::internal
