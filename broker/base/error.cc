#include "barista/error.h"

#include <cstdint>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"

namespace barista {
namespace {

constexpr char kPayloadUrl[] = "barista/error-info";
constexpr size_t kMaxValueBytes = 128;

// Four strings, each as {u32 length, bytes}.
void Append(absl::string_view text, std::string* out) {
  const uint32_t size = static_cast<uint32_t>(text.size());
  out->append(reinterpret_cast<const char*>(&size), sizeof(size));
  out->append(text.data(), text.size());
}

std::string Take(absl::string_view* in) {
  uint32_t size = 0;
  if (in->size() < sizeof(size)) return "";
  in->copy(reinterpret_cast<char*>(&size), sizeof(size));
  in->remove_prefix(sizeof(size));
  std::string text(in->substr(0, size));
  in->remove_prefix(text.size());
  return text;
}

}  // namespace

absl::Status MakeError(absl::StatusCode code, absl::string_view message, const ErrorInfo& info) {
  absl::Status status(code, message);
  std::string payload;
  Append(info.reason, &payload);
  Append(info.field, &payload);
  Append(absl::string_view(info.value).substr(0, kMaxValueBytes), &payload);
  Append(info.limit, &payload);
  status.SetPayload(kPayloadUrl, absl::Cord(payload));
  return status;
}

ErrorInfo GetErrorInfo(const absl::Status& status) {
  ErrorInfo info;
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return info;
  const std::string bytes(*payload);
  absl::string_view in = bytes;
  info.reason = Take(&in);
  info.field = Take(&in);
  info.value = Take(&in);
  info.limit = Take(&in);
  return info;
}

}  // namespace barista
