#ifndef BARISTA_BENCH_LOAD_GRPC_TARGET_H_
#define BARISTA_BENCH_LOAD_GRPC_TARGET_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/load/load_target.h"

namespace barista::bench {

// A `barista serve` at `address` (HOST:PORT or unix:PATH), over `channels` connections, by unary
// calls. kUnavailable: no connection within 10 s.
absl::StatusOr<std::unique_ptr<LoadTarget>> NewGrpcTarget(const std::string& address, int channels);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_LOAD_GRPC_TARGET_H_
