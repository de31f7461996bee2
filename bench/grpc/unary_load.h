#ifndef BARISTA_BENCH_GRPC_UNARY_LOAD_H_
#define BARISTA_BENCH_GRPC_UNARY_LOAD_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/common/child.h"
#include "bench/grpc/raw_client.h"

namespace barista::bench {

// A closed loop of one unary call: `in_flight` calls are always under way.
struct UnaryLoad {
  std::string method;
  grpc::ByteBuffer request;
  // Says whether a reply means success.
  std::function<bool(grpc::ByteBuffer&)> accept;
  int in_flight = 256;
  absl::Duration warm_up = absl::Milliseconds(300);
  absl::Duration measured = absl::Seconds(1);
};

struct UnaryLoadResult {
  double calls_per_second = 0;
  double server_us_per_call = 0;  // CPU of the server process
  double client_us_per_call = 0;  // CPU of this process
};

// Runs `load` against the server process `server_pid`. kInternal: a call failed or was not
// accepted.
absl::StatusOr<UnaryLoadResult> RunUnaryLoad(RawClient& client, pid_t server_pid,
                                             const UnaryLoad& load);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_GRPC_UNARY_LOAD_H_
