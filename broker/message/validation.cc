#include "broker/message/validation.h"

#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::internal {
namespace {

constexpr absl::Duration kMaxVisibility = absl::Hours(12);
constexpr absl::Duration kMaxDelay = absl::Minutes(15);
constexpr absl::Duration kMaxWait = absl::Hours(1);
constexpr size_t kMaxSenderIdBytes = 128;
constexpr size_t kMaxNumberDigits = 38;

// Length of the character at text[at] if it is allowed, else 0.
size_t AllowedCharacter(absl::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint32_t first = byte(at);
  if (first < 0x80) return first >= 0x20 || first == 0x9 || first == 0xA || first == 0xD ? 1 : 0;
  if (first < 0xC2) return 0;  // A continuation byte, or an overlong form.
  if (first < 0xE0) return tail(at + 1) ? 2 : 0;
  if (first < 0xF0) {
    if (!tail(at + 1) || !tail(at + 2)) return 0;
    const uint32_t code = (first & 0xF) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F);
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code >= 0x800 && !surrogate && code <= 0xFFFD ? 3 : 0;
  }
  if (first > 0xF4 || !tail(at + 1) || !tail(at + 2) || !tail(at + 3)) return 0;
  const uint32_t code = (first & 7) << 18 | (byte(at + 1) & 0x3F) << 12 |
                        (byte(at + 2) & 0x3F) << 6 | (byte(at + 3) & 0x3F);
  return code >= 0x10000 && code <= 0x10FFFF ? 4 : 0;
}

// A vector in GCC's and clang's own notation, which needs no particular processor.
using Bytes = int8_t __attribute__((vector_size(16)));
constexpr size_t kBlockBytes = 4 * sizeof(Bytes);

// (One vector at a time: thread sanitizer sees loads of up to 16 bytes only.)
Bytes LoadBytes(const char* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof(bytes));
  return bytes;
}

bool None(const Bytes& found) {
  uint64_t halves[2];
  std::memcpy(halves, &found, sizeof(halves));
  return (halves[0] | halves[1]) == 0;
}

// Whether all of `blocks` consist of printable ASCII characters.
bool AllPrintable(const char* block, size_t blocks) {
  constexpr size_t kStep = sizeof(Bytes);
  static_assert(kBlockBytes == 4 * kStep);
  Bytes unprintable{};
  // Bytes beyond ASCII are negative.
  for (const char* const end = block + blocks * kBlockBytes; block < end; block += kBlockBytes) {
    unprintable |= LoadBytes(block) < 0x20;
    unprintable |= LoadBytes(block + kStep) < 0x20;
    unprintable |= LoadBytes(block + 2 * kStep) < 0x20;
    unprintable |= LoadBytes(block + 3 * kStep) < 0x20;
  }
  return None(unprintable);
}

// Whether all bytes of the block are allowed ASCII characters; most often they are all printable.
bool AllAscii(const char* block) {
  if (AllPrintable(block, 1)) return true;
  const char* const end = block + kBlockBytes;
  Bytes forbidden{};
  for (const char* at = block; at < end; at += sizeof(Bytes)) {
    const Bytes some = LoadBytes(at);
    forbidden |= (some < 0x20) & (some != '\t') & (some != '\n') & (some != '\r');
  }
  return None(forbidden);
}

// Letters, digits, punctuation: what group and deduplication ids consist of.
bool IsIdAlphabet(absl::string_view text) {
  for (char c : text) {
    if (c <= 0x20 || c >= 0x7F) return false;
  }
  return true;
}

absl::Status InvalidAttribute(absl::string_view name, absl::string_view value,
                              absl::string_view message, absl::string_view limit) {
  return MakeError(absl::StatusCode::kInvalidArgument, message,
                   {.reason = "InvalidParameterValue",
                    .field = absl::StrCat("MessageAttributes.", name.substr(0, 128)),
                    .value = std::string(value.substr(0, 128)),
                    .limit = std::string(limit)});
}

absl::Status ValidateAttributeName(absl::string_view name) {
  if (name.empty()) {
    return InvalidAttribute(name, name,
                            "The request must contain non-empty message (user) attribute names.",
                            "1 to 256 bytes");
  }
  const std::string quoted =
      absl::StrCat("Message (user) attribute name \"", name.substr(0, 128), "\" ");
  if (name.size() > kMaxAttributeNameBytes) {
    return InvalidAttribute(name, name,
                            absl::StrCat(quoted, "is ", name.size(), " bytes; limit 256"),
                            "1 to 256 bytes");
  }
  if (absl::StartsWithIgnoreCase(name, "AWS.") || absl::StartsWithIgnoreCase(name, "Amazon.")) {
    return InvalidAttribute(name, name,
                            "You can't use message attribute names beginning with 'AWS.' or "
                            "'Amazon'. These strings are reserved "
                            "for internal use.",
                            "no prefix AWS. or Amazon.");
  }
  if (name.front() == '.' || name.back() == '.' || absl::StrContains(name, "..")) {
    return InvalidAttribute(
        name, name,
        absl::StrCat(quoted, "must not begin or end with '.' or have successive '.' characters."),
        "single inner dots");
  }
  for (size_t i = 0; i < name.size();) {
    const unsigned char c = static_cast<unsigned char>(name[i]);
    // Letters beyond ASCII pass, as they do on SQS.
    const size_t length = c < 0x80
                              ? (absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.' ? 1 : 0)
                              : AllowedCharacter(name, i);
    if (length == 0) {
      return InvalidAttribute(name, name,
                              absl::StrCat(quoted, "has a forbidden character at byte ", i,
                                           "; it can contain letters, digits, _ - ."),
                              "letters, digits, _ - .");
    }
    i += length;
  }
  return absl::OkStatus();
}

bool IsDecimalNumber(absl::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  size_t digits = 0;
  bool dot = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(text[i]))) {
      ++digits;
    } else if (text[i] == '.' && !dot) {
      dot = true;
    } else {
      break;
    }
  }
  if (digits == 0 || digits > kMaxNumberDigits) return false;
  if (i == text.size()) return true;
  if (text[i] != 'e' && text[i] != 'E') return false;
  text.remove_prefix(i + 1);
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || text.size() > 3) return false;
  for (char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

absl::Status ValidateAttribute(absl::string_view name, const MessageAttribute& attribute) {
  if (absl::Status status = ValidateAttributeName(name); !status.ok()) return status;
  const std::string quoted = absl::StrCat("message (user) attribute '", name.substr(0, 128), "'");
  const absl::string_view type = attribute.data_type;
  if (type.empty()) {
    return InvalidAttribute(
        name, type,
        absl::StrCat("The ", quoted, " must contain a non-empty message attribute type."),
        "1 to 256 bytes");
  }
  const absl::string_view base = type.substr(0, type.find('.'));
  if (type.size() > kMaxAttributeTypeBytes || FirstForbiddenCharacter(type).has_value() ||
      (base != "String" && base != "Number" && base != "Binary")) {
    return InvalidAttribute(
        name, type,
        absl::StrCat(
            "The type of ", quoted,
            " is invalid. You must use only the following supported type prefixes: Binary, Number, "
            "String, in at most 256 bytes."),
        "Binary, Number or String, optionally .label, 256 bytes");
  }
  if (attribute.value.empty()) {
    return InvalidAttribute(
        name, "",
        absl::StrCat("The ", quoted, " must contain a non-empty value of type '", base, "'."),
        "at least 1 byte");
  }
  if (base == "Number" && !IsDecimalNumber(attribute.value)) {
    return InvalidAttribute(name, attribute.value,
                            absl::StrCat("Can't cast the value of ", quoted, " to a number."),
                            "decimal number of up to 38 digits");
  }
  if (base == "String") {
    if (const std::optional<size_t> offset = FirstForbiddenCharacter(attribute.value)) {
      return InvalidAttribute(
          name, attribute.value.substr(*offset, 8),
          absl::StrCat("Invalid characters found at byte ", *offset, " of the value of ", quoted,
                       "."),
          "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateId(absl::string_view field, const std::optional<absl::string_view>& id) {
  if (!id.has_value() || (!id->empty() && id->size() <= kMaxGroupIdBytes && IsIdAlphabet(*id)))
    return absl::OkStatus();
  return InvalidParameter(
      field, *id,
      absl::StrCat(
          field, " can only include alphanumeric and punctuation characters. 1 to 128 in length."),
      "1 to 128 alphanumeric or punctuation characters");
}

}  // namespace

absl::Status InvalidParameter(absl::string_view field, absl::string_view value,
                              absl::string_view why, absl::string_view limit) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("Value ", value.substr(0, 128), " for parameter ", field,
                                " is invalid. Reason: ", why),
                   {.reason = "InvalidParameterValue",
                    .field = std::string(field),
                    .value = std::string(value.substr(0, 128)),
                    .limit = std::string(limit)});
}

std::optional<size_t> FirstForbiddenCharacter(absl::string_view text) {
  constexpr size_t kManyBlocks = 4;
  for (size_t i = 0; i < text.size();) {
    if (i + kManyBlocks * kBlockBytes <= text.size() &&
        AllPrintable(text.data() + i, kManyBlocks)) {
      i += kManyBlocks * kBlockBytes;
      continue;
    }
    if (i + kBlockBytes <= text.size() && AllAscii(text.data() + i)) {
      i += kBlockBytes;
      continue;
    }
    for (const size_t end = std::min(i + kBlockBytes, text.size()); i < end;) {
      const size_t length = AllowedCharacter(text, i);
      if (length == 0) return i;
      i += length;
    }
  }
  return std::nullopt;
}

absl::Status ValidateBatch(size_t entries, absl::string_view what) {
  if (entries == 0) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat("There should be at least one ", what, " in the request."),
                     {.reason = "EmptyBatchRequest",
                      .field = "Entries",
                      .value = "0",
                      .limit = "1 to 1000 entries"});
  }
  if (entries <= kMaxBatchEntries) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("Maximum number of entries per request are ", kMaxBatchEntries,
                                ". You have sent ", entries, "."),
                   {.reason = "TooManyEntriesInBatchRequest",
                    .field = "Entries",
                    .value = absl::StrCat(entries),
                    .limit = absl::StrCat(kMaxBatchEntries)});
}

absl::Status ValidateSendBatch(absl::Span<const OutgoingMessage> messages) {
  if (absl::Status status = ValidateBatch(messages.size(), "SendMessageBatchRequestEntry");
      !status.ok())
    return status;
  if (messages.size() == 1) return absl::OkStatus();
  size_t bytes = 0;
  for (const OutgoingMessage& message : messages) bytes += MessageSize(message);
  if (bytes <= kMaxBatchBytes) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("Batch requests cannot be longer than ", kMaxBatchBytes,
                                " bytes. You have sent ", bytes, " bytes."),
                   {.reason = "BatchRequestTooLong",
                    .field = "Entries",
                    .value = absl::StrCat(bytes),
                    .limit = absl::StrCat(kMaxBatchBytes)});
}

absl::Status ValidateMessage(const OutgoingMessage& message, const MessageRules& rules) {
  if (message.body.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     "The request must contain the parameter MessageBody.",
                     {.reason = "MissingParameter",
                      .field = "MessageBody",
                      .value = "",
                      .limit = "at least 1 byte"});
  }
  const size_t size = MessageSize(message);
  if (size > static_cast<size_t>(rules.maximum_message_size)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("One or more parameters are invalid. Reason: Message must be shorter than ",
                     rules.maximum_message_size, " bytes; it has ", size, "."),
        {.reason = "InvalidParameterValue",
         .field = "MessageBody",
         .value = absl::StrCat(size),
         .limit = absl::StrCat(rules.maximum_message_size)});
  }
  if (rules.body_charset == BodyCharset::kText) {
    if (const std::optional<size_t> offset = FirstForbiddenCharacter(message.body)) {
      return MakeError(
          absl::StatusCode::kInvalidArgument,
          absl::StrCat("Invalid characters found. The body has a byte sequence at offset ", *offset,
                       " that is not one of the allowed characters; send bytes to a queue with "
                       "BodyCharset binary."),
          {.reason = "InvalidMessageContents",
           .field = "MessageBody",
           .value = absl::StrCat("offset ", *offset),
           .limit = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"});
    }
  }
  if (message.attributes.size() > kMaxMessageAttributes) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat("Number of message attributes [", message.attributes.size(),
                                  "] exceeds the allowed maximum [10]."),
                     {.reason = "InvalidParameterValue",
                      .field = "MessageAttributes",
                      .value = absl::StrCat(message.attributes.size()),
                      .limit = "10"});
  }
  for (size_t i = 0; i < message.attributes.size(); ++i) {
    const auto& [name, attribute] = message.attributes[i];
    if (absl::Status status = ValidateAttribute(name, attribute); !status.ok()) return status;
    for (size_t j = 0; j < i; ++j) {
      if (message.attributes[j].first == name) {
        return InvalidAttribute(
            name, name, absl::StrCat("Message (user) attribute name '", name, "' is given twice."),
            "distinct names");
      }
    }
  }
  if (message.delay.has_value() &&
      (*message.delay < absl::ZeroDuration() || *message.delay > kMaxDelay)) {
    return InvalidParameter("DelaySeconds", absl::FormatDuration(*message.delay),
                            "DelaySeconds must be >= 0 and <= 900.", "0s to 15m");
  }
  if (absl::Status status = ValidateId("MessageGroupId", message.group_id); !status.ok())
    return status;
  if (message.dedup_id.has_value()) {
    return InvalidParameter("MessageDeduplicationId", *message.dedup_id,
                            "The request include parameter that is not valid for this queue type.",
                            "FIFO queues only");
  }
  if (message.trace_header.has_value() &&
      (message.trace_header->empty() || message.trace_header->size() > kMaxTraceHeaderBytes ||
       FirstForbiddenCharacter(*message.trace_header))) {
    return InvalidParameter("AWSTraceHeader", *message.trace_header,
                            "it must be text of 1 to 1024 bytes.", "1 to 1024 bytes");
  }
  if (message.sender_id.has_value() &&
      (message.sender_id->empty() || message.sender_id->size() > kMaxSenderIdBytes)) {
    return InvalidParameter("SenderId", *message.sender_id, "it must have 1 to 128 bytes.",
                            "1 to 128 bytes");
  }
  return absl::OkStatus();
}

absl::Status ValidateVisibilityTimeout(absl::Duration timeout) {
  if (timeout >= absl::ZeroDuration() && timeout <= kMaxVisibility) return absl::OkStatus();
  return InvalidParameter("VisibilityTimeout", absl::FormatDuration(timeout),
                          "Must be >= 0 and <= 43200, if provided.", "0s to 12h");
}

absl::Status ValidateReceive(const ReceiveOptions& options) {
  if (options.max_messages < 1 || options.max_messages > kMaxReceiveMessages) {
    return InvalidParameter(
        "MaxNumberOfMessages", absl::StrCat(options.max_messages),
        absl::StrCat("Must be between 1 and ", kMaxReceiveMessages, ", if provided."),
        absl::StrCat("1 to ", kMaxReceiveMessages));
  }
  if (options.max_bytes < 1) {
    return InvalidParameter("MaxBytes", absl::StrCat(options.max_bytes),
                            "Must be at least 1, if provided.", "1 or more");
  }
  if (options.wait.has_value() &&
      (*options.wait < absl::ZeroDuration() || *options.wait > kMaxWait)) {
    return InvalidParameter("WaitTimeSeconds", absl::FormatDuration(*options.wait),
                            "Must be >= 0 and <= 3600, if provided.", "0s to 1h");
  }
  return options.visibility_timeout.has_value()
             ? ValidateVisibilityTimeout(*options.visibility_timeout)
             : absl::OkStatus();
}

}  // namespace barista::internal
