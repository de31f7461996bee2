#ifndef BARISTA_CLIENT_CLI_MESSAGE_FORMAT_H_
#define BARISTA_CLIENT_CLI_MESSAGE_FORMAT_H_

#include <boost/json/object.hpp>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/v1/queue.pb.h"

namespace barista::cli {

// How messages and queues of the API look on the command line. Thread-safe, pure functions.

// ARCHITECTURE.md, "JSON output":
// {"message_id","body","receipt_handle","receive_count","sent_at","attributes"} and what else the
// message has; `body_base64` in place of `body` if the bytes are not UTF-8, and
// {"type","value_base64"} for a Binary attribute.
boost::json::object MessageToJson(const v1::Message& message);
// The same with {"state","visible_at"} and without a handle.
boost::json::object PeekedToJson(const v1::PeekedMessage& peeked);
// {"name","arn","url","attributes","tags"}, keys sorted.
boost::json::object QueueToJson(const v1::Queue& queue);

// For people: lines of facts, an empty line, and the body as it is.
std::string MessageToText(const v1::Message& message);
std::string PeekedToText(const v1::PeekedMessage& peeked);

// "visible", "in_flight", "delayed".
std::string StateName(v1::MessageState state);

// "2026-01-02T03:04:05.678Z"
std::string IsoTime(absl::Time time);

// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(absl::string_view bytes);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_MESSAGE_FORMAT_H_
