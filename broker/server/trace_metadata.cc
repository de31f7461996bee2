#include "broker/server/trace_metadata.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "barista/trace_context.h"

namespace barista::server {
namespace {

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

constexpr char kType[] = "String";
// The values of one key, joined as HTTP joins repeated headers.
std::string Join(const Metadata& metadata, const char* key) {
  std::string joined;
  const auto [begin, end] = metadata.equal_range(key);
  for (auto it = begin; it != end; ++it) {
    absl::StrAppend(&joined, it == begin ? "" : ",",
                    absl::string_view(it->second.data(), it->second.size()));
  }
  return joined;
}

size_t SizeOf(absl::string_view name, absl::string_view value) {
  return name.size() + sizeof(kType) - 1 + value.size();
}

bool HasContext(const OutgoingMessage& message) {
  return std::any_of(message.attributes.begin(), message.attributes.end(),
                     [](const auto& attribute) {
                       return attribute.first == kTraceparent || attribute.first == kTracestate;
                     });
}

}  // namespace

std::optional<TraceContext> TraceContextOf(const Metadata& metadata) {
  TraceContext context;
  context.traceparent = Join(metadata, kTraceparent);  // (Two of them make none.)
  if (!IsTraceparent(context.traceparent)) return std::nullopt;
  context.tracestate = Join(metadata, kTracestate);
  if (!IsTracestate(context.tracestate)) context.tracestate.clear();
  return context;
}

void AddTraceContext(const TraceContext& context, size_t max_message_bytes,
                     std::vector<OutgoingMessage>* messages) {
  size_t batch_bytes = 0;
  for (const OutgoingMessage& message : *messages) batch_bytes += MessageSize(message);
  for (OutgoingMessage& message : *messages) {
    if (HasContext(message)) continue;
    size_t message_bytes = MessageSize(message);
    // False: there is no room.
    const auto add = [&](const char* name, const std::string& value) {
      const size_t bytes = SizeOf(name, value);
      if (message.attributes.size() >= kMaxMessageAttributes ||
          message_bytes + bytes > max_message_bytes || batch_bytes + bytes > kMaxBatchBytes) {
        return false;
      }
      message.attributes.emplace_back(name, MessageAttribute(kType, value));
      message_bytes += bytes;
      batch_bytes += bytes;
      return true;
    };
    if (add(kTraceparent, context.traceparent) && !context.tracestate.empty()) {
      add(kTracestate, context.tracestate);
    }
  }
}

}  // namespace barista::server
