#ifndef BARISTA_BROKER_MESSAGE_MESSAGE_RECORD_H_
#define BARISTA_BROKER_MESSAGE_MESSAGE_RECORD_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "barista/message.h"

namespace barista::internal {

// The stored form of one message: what a send encodes once, and what memory, log and files then
// share. Everything in it is fixed at the send (or the move), so it is never rewritten; what
// changes later (leases, deletion) is kept beside it.
//
// Version 1, little-endian:
//
//    0  u8   version (1)
//    1  u8   low 4 bits: BodyKind, high 4 bits: RenderKind
//    2  u16  number of message attributes
//    4  u32  bytes of the field section
//    8  u32  bytes of the attribute section
//   12  u32  bytes of the body section
//   16  u64  sent time, ms since 1970
//   24  16B  message id
//   40  fields      {tag u8, length varint32, bytes}*, tags ascending; an unknown tag is skipped
//       attributes  {name, data type, value: each varint32 length + bytes}*, in the order sent
//       body
enum class BodyKind : uint8_t {  // On disk: never renumber.
  kInline = 0,                   // the body section is the body
  kOwn = 1,                      // the body is in a row of its own
  kShared = 2,  // the body is a shared row that several queues refer to; the section holds its key
};
enum class RenderKind : uint8_t {  // On disk: never renumber.
  kRaw = 0,                        // delivered as it is
  kEnvelope = 1,                   // delivered inside a notification envelope
};
enum class RecordField : uint8_t {  // On disk: never renumber.
  kGroupId = 1,
  kDedupId = 2,
  kSenderId = 3,
  kTraceHeader = 4,
  kDeadLetterSource = 5,  // name of the queue that the message was moved from
  kExpiresAt = 6,         // u64 ms: the message's own end of life
  kSequenceNumber =
      7,  // u64: number given at the send, where it differs from the sequence in the queue
  kReceiveCount = 8,  // u32: receives before a move
  kFirstReceive = 9,  // u64 ms: first receive before a move
  kTopic = 10,        // name of the topic that the message was published to
};

inline constexpr size_t kMessageRecordHeaderBytes = 40;

// The parts of a record, as views. For encoding, everything not set is left out.
struct MessageRecord {
  BodyKind body_kind = BodyKind::kInline;
  RenderKind render_kind = RenderKind::kRaw;
  int64_t sent_ms = 0;
  MessageId message_id;
  std::optional<absl::string_view> group_id;
  std::optional<absl::string_view> dedup_id;
  std::optional<absl::string_view> sender_id;
  std::optional<absl::string_view> trace_header;
  std::optional<absl::string_view> dead_letter_source;
  std::optional<int64_t> expires_at_ms;
  std::optional<uint64_t> sequence_number;
  uint32_t receive_count = 0;    // before a move; 0 is not stored
  int64_t first_receive_ms = 0;  // before a move; 0 is not stored
  std::optional<absl::string_view> topic;
  uint16_t attribute_count = 0;
  absl::string_view attributes;  // the attribute section, encoded
  absl::string_view body;
};

// The attribute section of `attributes`, appended to `*out`.
void EncodeAttributes(const MessageAttributes& attributes, std::string* out);
size_t EncodedAttributesBytes(const MessageAttributes& attributes);
// Decodes `count` attributes. kDataLoss/DataCorrupt if `section` is not exactly that.
absl::StatusOr<MessageAttributes> DecodeAttributes(absl::string_view section, int count);

// Exact size of the encoded record.
size_t EncodedBytes(const MessageRecord& record);
// Writes the record to `out`, which has EncodedBytes(record) bytes.
void EncodeRecord(const MessageRecord& record, char* out);

// Reads a record; the result's views point into `bytes`. kDataLoss/DataCorrupt: truncated, trailing
// bytes, or inconsistent lengths; kFailedPrecondition/DataDirectoryTooNew: a later version. Never
// reads outside `bytes`. O(fields).
absl::StatusOr<MessageRecord> DecodeRecord(absl::string_view bytes);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_MESSAGE_MESSAGE_RECORD_H_
