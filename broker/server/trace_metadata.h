#ifndef BROKER_SERVER_TRACE_METADATA_H_
#define BROKER_SERVER_TRACE_METADATA_H_

#include <grpcpp/support/string_ref.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "barista/message.h"

namespace barista::server {

// A trace context (barista/trace_context.h) on its way from a call into its messages.
struct TraceContext {
  std::string traceparent;
  std::string tracestate;  // may be empty
};

// What the metadata of a call says. As the specification wants it, a traceparent that is malformed
// or given twice is none, and a malformed tracestate is dropped.
std::optional<TraceContext> TraceContextOf(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata);

// Gives `context` to those of the messages of one call that have none. It makes no message and no
// batch too large: where it would pass kMaxMessageAttributes, kMaxBatchBytes, or
// `max_message_bytes` of the queue, it, or its tracestate, stays out.
void AddTraceContext(const TraceContext& context, size_t max_message_bytes,
                     std::vector<OutgoingMessage>* messages);

}  // namespace barista::server

#endif  // BROKER_SERVER_TRACE_METADATA_H_
