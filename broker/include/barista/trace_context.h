#ifndef BARISTA_TRACE_CONTEXT_H_
#define BARISTA_TRACE_CONTEXT_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace barista {

// Where a distributed trace goes on: the two headers of W3C Trace Context,
// https://www.w3.org/TR/trace-context/.
//
// In a message they are attributes of type String with these names, as OpenTelemetry's
// instrumentations of SQS write and read them. The engine carries them like any other attribute, to
// dead-letter queues too; they count in the message size and among its attributes.
inline constexpr char kTraceparent[] = "traceparent";
inline constexpr char kTracestate[] = "tracestate";
inline constexpr size_t kMaxTracestateBytes = 512;

// Whether `text` has the form of a traceparent, of version 00 or of a later one:
// 00-TRACEID-SPANID-FLAGS of 32, 16 and 2 lower-case hexadecimal digits, the ids not zero.
bool IsTraceparent(absl::string_view text);
// Whether `text` may stand in a message: 1 to kMaxTracestateBytes of printable ASCII. Whoever reads
// it looks closer.
bool IsTracestate(absl::string_view text);

}  // namespace barista

#endif  // BARISTA_TRACE_CONTEXT_H_
