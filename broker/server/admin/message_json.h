#ifndef BROKER_SERVER_ADMIN_MESSAGE_JSON_H_
#define BROKER_SERVER_ADMIN_MESSAGE_JSON_H_

#include <boost/json/object.hpp>
#include <string>

#include "absl/time/time.h"
#include "barista/message.h"

namespace barista::server {

// A message as JSON. Contract: ARCHITECTURE.md, "JSON output"; a body that is not UTF-8 becomes
// body_base64, a binary attribute
// {"type","value_base64"}. A peeked message has "state" (visible, in_flight, delayed) and, unless
// visible, "visible_at" beside.
boost::json::object MessageToJson(const PeekedMessage& message);

// "2026-01-02T03:04:05.678Z"
std::string TimeToText(absl::Time time);

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_MESSAGE_JSON_H_
