#include "broker/server/stream_failures.h"

#include <utility>

#include "broker/server/grpc_status.h"

namespace barista::server {
namespace {

bool SameError(const v1::Error& a, const v1::Error& b) {
  return a.code() == b.code() && a.reason() == b.reason() && a.message() == b.message() &&
         a.field() == b.field() && a.value() == b.value() && a.limit() == b.limit();
}

}  // namespace

void AddFailure(uint64_t request, uint64_t first, uint64_t count, const absl::Status& status,
                StreamFailures* failures) {
  v1::StreamFailure failure;
  failure.set_request(request);
  failure.set_first(first);
  failure.set_count(count);
  EncodeError(status, failure.mutable_error());
  if (!failures->empty()) {
    v1::StreamFailure& last = failures->back();
    if (last.request() == request && last.first() + last.count() == first &&
        SameError(last.error(), failure.error())) {
      last.set_count(last.count() + count);
      return;
    }
  }
  failures->push_back(std::move(failure));
}

}  // namespace barista::server
