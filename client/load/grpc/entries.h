#ifndef BARISTA_CLIENT_LOAD_GRPC_ENTRIES_H_
#define BARISTA_CLIENT_LOAD_GRPC_ENTRIES_H_

#include <google/protobuf/duration.pb.h>

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/load/load_target.h"

namespace barista::load {

inline void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

// Fills a SendMessageRequest or a SendStreamRequest.
template <typename Request>
void AddEntries(absl::Span<const absl::string_view> bodies, const SendHow& how, Request& request) {
  for (const absl::string_view body : bodies) {
    auto* entry = request.add_entries();
    entry->set_body(body.data(), body.size());
    if (how.delay > absl::ZeroDuration()) SetDuration(how.delay, entry->mutable_delay());
    if (how.group_id.has_value()) {
      entry->set_group_id(how.group_id->data(), how.group_id->size());
    }
  }
}

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_GRPC_ENTRIES_H_
