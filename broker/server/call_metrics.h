#ifndef BROKER_SERVER_CALL_METRICS_H_
#define BROKER_SERVER_CALL_METRICS_H_

#include <grpcpp/support/server_interceptor.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace barista::server {

// Counts the calls of a gRPC server, unary ones and streams, by method and code, and how long they
// take: the server tells it of each through an interceptor, the services need not know.
// Thread-safe; outlives the server.
class CallMetrics {
 public:
  // Counts the methods of these services ("barista.v1.QueueService"), whose descriptors are linked
  // in; calls of others (health, reflection) are not counted.
  explicit CallMetrics(const std::vector<std::string>& services);
  ~CallMetrics();

  // For grpc::ServerBuilder, of one server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NewInterceptors();

  // barista_grpc_calls_total{method,code}: ended calls; codes that have occurred, and OK.
  // barista_grpc_call_duration_seconds{method}: from the start of a call to its status, so that of
  // a ReceiveMessage contains its waiting, and that of a stream is its life.
  // barista_grpc_open_calls{method} and barista_grpc_open_streams: those that have not ended.
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  friend class CallInterceptor;
  friend class CallInterceptors;
  class Method;

  Method* Find(absl::string_view path) const;

  std::vector<std::unique_ptr<Method>> methods_;             // by name
  absl::flat_hash_map<absl::string_view, Method*> by_path_;  // "/SERVICE/METHOD"; immutable
};

}  // namespace barista::server

#endif  // BROKER_SERVER_CALL_METRICS_H_
