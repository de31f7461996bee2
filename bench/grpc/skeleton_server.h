#ifndef BARISTA_BENCH_GRPC_SKELETON_SERVER_H_
#define BARISTA_BENCH_GRPC_SKELETON_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace barista::bench {

// The floor of a durable send over gRPC: a unary call hands its messages to one writer thread, the
// writer puts all that has gathered into one RocksDB batch (the engine's options, one row per
// message), writes it with a sync, and answers the calls. Streams the same. No queues, no checks,
// nothing to receive.
class SkeletonServer {
 public:
  // Callback API: what `barista serve` uses.
  static absl::StatusOr<std::unique_ptr<SkeletonServer>> Start(const std::string& dir);
  virtual ~SkeletonServer() = default;
  // On 127.0.0.1.
  virtual int port() const = 0;

 protected:
  SkeletonServer() = default;
};

}  // namespace barista::bench

#endif  // BARISTA_BENCH_GRPC_SKELETON_SERVER_H_
