#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/message.h"

namespace barista {
namespace {

constexpr char kHex[] = "0123456789abcdef";
// Text length of a UUID, and the places of its hyphens.
constexpr bool IsHyphen(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr size_t kHandleText = 48;
static_assert(ReceiptHandle::kSize * 4 == kHandleText * 3, "base64 without padding");

}  // namespace

std::string MessageId::ToString() const {
  std::string text(kTextSize, '\0');
  ToText(text.data());
  return text;
}

void MessageId::ToText(char* out) const {
  size_t at = 0;
  for (uint8_t byte : bytes_) {
    if (IsHyphen(at)) out[at++] = '-';
    out[at++] = kHex[byte >> 4];
    out[at++] = kHex[byte & 15];
  }
}

std::optional<MessageId> MessageId::Parse(absl::string_view text) {
  if (text.size() != MessageId::kTextSize) return std::nullopt;
  std::array<uint8_t, kSize> bytes;
  size_t in = 0;
  for (uint8_t& byte : bytes) {
    if (IsHyphen(in) && text[in++] != '-') return std::nullopt;
    const int high = HexValue(text[in]);
    const int low = HexValue(text[in + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    byte = static_cast<uint8_t>(high << 4 | low);
    in += 2;
  }
  return MessageId(bytes);
}

std::string ReceiptHandle::ToString() const {
  return absl::WebSafeBase64Escape(
      absl::string_view(reinterpret_cast<const char*>(bytes_.data()), bytes_.size()));
}

absl::StatusOr<ReceiptHandle> ReceiptHandle::Parse(absl::string_view text) {
  std::string decoded;
  ReceiptHandle handle;
  // Compared with its own text form, so that one handle has one spelling.
  if (text.size() == kHandleText && absl::WebSafeBase64Unescape(text, &decoded) &&
      decoded.size() == kSize) {
    decoded.copy(reinterpret_cast<char*>(handle.bytes_.data()), kSize);
    if (handle.ToString() == text) return handle;
  }
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("The input receipt handle \"", text.substr(0, 128),
                                "\" is not a valid receipt handle."),
                   {.reason = "ReceiptHandleIsInvalid",
                    .field = "ReceiptHandle",
                    .value = std::string(text.substr(0, 128)),
                    .limit = "48 characters of [A-Za-z0-9_-]"});
}

size_t MessageSize(const OutgoingMessage& message) {
  size_t size = message.body.size();
  for (const auto& [name, attribute] : message.attributes)
    size += name.size() + attribute.data_type.size() + attribute.value.size();
  return size;
}

}  // namespace barista
