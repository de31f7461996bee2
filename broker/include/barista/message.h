#ifndef BARISTA_MESSAGE_H_
#define BARISTA_MESSAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace barista {

// Limits of messages. A queue may set a smaller maximum message size
// (QueueAttributes::maximum_message_size).
inline constexpr size_t kMaxMessageBytes =
    1 << 20;  // body + names, types and values of the attributes
inline constexpr size_t kMaxMessageAttributes = 10;    // per message
inline constexpr size_t kMaxAttributeNameBytes = 256;  // 1 to 256
inline constexpr size_t kMaxAttributeTypeBytes =
    256;  // "String", "Number" or "Binary", and an optional ".label"
inline constexpr size_t kMaxGroupIdBytes = 128;       // 1 to 128
inline constexpr size_t kMaxTraceHeaderBytes = 1024;  // AWSTraceHeader
inline constexpr size_t kMaxBatchEntries = 1000;      // entries of one batch call
inline constexpr size_t kMaxBatchBytes = 4 << 20;     // message sizes of one send batch together

// Identifies a message for its whole life, also through moves between queues. A UUID; a value type.
class MessageId {
 public:
  static constexpr size_t kSize = 16;

  MessageId() = default;
  explicit MessageId(const std::array<uint8_t, kSize>& bytes) : bytes_(bytes) {}

  // Reads the form that ToString() writes; nullopt for anything else.
  static std::optional<MessageId> Parse(absl::string_view text);
  // "5fea7756-0ea4-451a-a703-a558b933e274"
  std::string ToString() const;
  // The same, into `out`.
  static constexpr size_t kTextSize = 36;
  void ToText(char* out) const;
  const std::array<uint8_t, kSize>& bytes() const { return bytes_; }

  friend bool operator==(const MessageId& a, const MessageId& b) { return a.bytes_ == b.bytes_; }
  friend bool operator!=(const MessageId& a, const MessageId& b) { return !(a == b); }
  friend bool operator<(const MessageId& a, const MessageId& b) { return a.bytes_ < b.bytes_; }
  template <typename H>
  friend H AbslHashValue(H h, const MessageId& id) {
    return H::combine(std::move(h), id.bytes_);
  }

 private:
  std::array<uint8_t, kSize> bytes_{};
};

// Stands for one receive of one message: what a consumer shows to delete the message or to change
// its visibility. A value type, opaque, authenticated by a key of the data directory: nobody can
// make one up (I6). Valid across a restart of the broker.
class ReceiptHandle {
 public:
  static constexpr size_t kSize = 36;

  ReceiptHandle() = default;
  explicit ReceiptHandle(const std::array<uint8_t, kSize>& bytes) : bytes_(bytes) {}

  // Reads the form that ToString() writes. kInvalidArgument/ReceiptHandleIsInvalid: not of that
  // form. That the handle is authentic is checked by the queue it is shown to.
  static absl::StatusOr<ReceiptHandle> Parse(absl::string_view text);
  // 48 characters of [A-Za-z0-9_-].
  std::string ToString() const;
  const std::array<uint8_t, kSize>& bytes() const { return bytes_; }

  friend bool operator==(const ReceiptHandle& a, const ReceiptHandle& b) {
    return a.bytes_ == b.bytes_;
  }
  friend bool operator!=(const ReceiptHandle& a, const ReceiptHandle& b) { return !(a == b); }

 private:
  std::array<uint8_t, kSize> bytes_{};
};

// The value of a message attribute. `data_type` is "String", "Number" or "Binary", optionally
// followed by "." and a label of the user's ("Number.int"); `value` is the text (String: SQS's
// character set; Number: decimal, up to 38 digits) or the raw bytes.
struct MessageAttribute {
  MessageAttribute() = default;
  MessageAttribute(const char* text)
      : data_type("String"), value(text) {}  // NOLINT(runtime/explicit)
  MessageAttribute(absl::string_view text)
      : data_type("String"), value(text) {}  // NOLINT(runtime/explicit)
  MessageAttribute(std::string type, std::string v)
      : data_type(std::move(type)), value(std::move(v)) {}

  bool is_binary() const { return absl::string_view(data_type).substr(0, 6) == "Binary"; }
  friend bool operator==(const MessageAttribute& a, const MessageAttribute& b) {
    return a.data_type == b.data_type && a.value == b.value;
  }

  std::string data_type;
  std::string value;
};

// Name and value, in the order in which they were sent (through a server: by name). Names are
// distinct, 1 to 256 bytes, case-sensitive, and do not begin with "AWS." or "Amazon." in any case.
using MessageAttributes = std::vector<std::pair<std::string, MessageAttribute>>;

// A message to send. Everything is copied before the call returns, also by the callback forms.
struct OutgoingMessage {
  // At least one byte. On a queue whose BodyCharset is `text`: UTF-8 of #x9 #xA #xD #x20-#xD7FF
  // #xE000-#xFFFD #x10000-#x10FFFF.
  absl::string_view body;
  // At most kMaxMessageAttributes.
  MessageAttributes attributes = {};
  // How long the message stays invisible after the send, [0s, 15min] in whole milliseconds; unset:
  // the queue's delay.
  std::optional<absl::Duration> delay = std::nullopt;
  // 1 to 128 characters of a-z A-Z 0-9 and punctuation. Returned with the message.
  std::optional<absl::string_view> group_id = std::nullopt;
  // FIFO queues only; same alphabet as group_id.
  std::optional<absl::string_view> dedup_id = std::nullopt;
  // The system attribute AWSTraceHeader, at most kMaxTraceHeaderBytes; not counted in the message
  // size.
  std::optional<absl::string_view> trace_header = std::nullopt;
  // The system attribute SenderId, set by a server for its authenticated client; at most 128 bytes.
  std::optional<absl::string_view> sender_id = std::nullopt;
};

// What limits count: body bytes and, for each attribute, bytes of name, type and value. Source: SQS
// MaximumMessageSize.
size_t MessageSize(const OutgoingMessage& message);

struct SendResult {
  MessageId message_id;
  // FIFO queues only: increases with every message of the queue.
  std::optional<uint64_t> sequence_number;
};

namespace internal {
class Payload;
// Shares the ownership of a stored message's encoded bytes.
class PayloadRef {
 public:
  PayloadRef() = default;
  // Takes over one reference that the caller holds.
  explicit PayloadRef(Payload* adopted) : payload_(adopted) {}
  PayloadRef(const PayloadRef& other);
  PayloadRef(PayloadRef&& other) noexcept : payload_(std::exchange(other.payload_, nullptr)) {}
  PayloadRef& operator=(PayloadRef other) noexcept {
    std::swap(payload_, other.payload_);
    return *this;
  }
  ~PayloadRef() {
    if (payload_ != nullptr) Unref();
  }
  Payload* get() const { return payload_; }

 private:
  void Unref();
  Payload* payload_ = nullptr;
};
}  // namespace internal

// A message as stored: what a receive and a peek return. Copies are cheap (they share the bytes)
// and keep every view below valid; the views outlive the broker too.
class StoredMessage {
 public:
  MessageId message_id;
  absl::string_view body;
  absl::Time sent_at;
  // How often the message has been received, this receive included.
  int receive_count = 0;
  // The first receive; InfiniteFuture() if it was never received.
  absl::Time first_received_at = absl::InfiniteFuture();

  // Decoded at each call: O(attributes).
  MessageAttributes attributes() const;
  bool has_attributes() const;
  // Whether any of those below is there; O(1).
  bool has_fields() const;
  std::optional<absl::string_view> group_id() const;
  std::optional<absl::string_view> dedup_id() const;
  std::optional<absl::string_view> trace_header() const;
  std::optional<absl::string_view> sender_id() const;
  // The name of the queue from which the message was moved to this dead-letter queue.
  std::optional<absl::string_view> dead_letter_source() const;
  // FIFO queues only.
  std::optional<uint64_t> sequence_number;

  // For the engine.
  internal::PayloadRef payload;
};

class ReceivedMessage : public StoredMessage {
 public:
  ReceiptHandle receipt_handle;
  // Of a Consumer, which counts from 1 what it gives out; 0: of Queue::Receive.
  uint64_t delivery = 0;
};

enum class MessageState { kVisible, kInFlight, kDelayed };

class PeekedMessage : public StoredMessage {
 public:
  MessageState state = MessageState::kVisible;
  // When the message becomes visible; sent_at or earlier for a visible one.
  absl::Time visible_at = absl::InfinitePast();
};

}  // namespace barista

#endif  // BARISTA_MESSAGE_H_
