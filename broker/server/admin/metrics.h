#ifndef BROKER_SERVER_ADMIN_METRICS_H_
#define BROKER_SERVER_ADMIN_METRICS_H_

#include <atomic>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "barista/broker.h"
#include "broker/server/call_metrics.h"
#include "broker/server/http_server.h"
#include "broker/server/security/client_limit.h"

namespace barista::server {

// /metrics: what the broker and the server count, in the text format of Prometheus. Names are part
// of the contract with dashboards; the README of broker/server lists them. Thread-safe; blocks:
// O(queues), in steps that hold nobody up.
class Metrics {
 public:
  // `queues`, [0, kMaxSurveyedQueues]: so many of the deepest queues have metrics of their own. The
  // others outlive it.
  Metrics(Broker* broker, const CallMetrics* calls, const HttpServer* http, const ClientLimit* grpc,
          int queues);

  // From now on so many have metrics of their own; in the same range.
  void set_queues(int queues) { queues_.store(queues, std::memory_order_relaxed); }

  // Everything, and the deepest queues.
  std::string Format() const;

  // On demand: only the metrics of queues, of up to kMaxSurveyedQueues of them. `query` has one
  // entry: queue=NAME, or prefix=PREFIX for those whose names begin with it.
  // kInvalidArgument/InvalidParameterValue: another query. kNotFound/QueueDoesNotExist.
  absl::StatusOr<std::string> FormatQueues(const std::map<std::string, std::string>& query) const;

 private:
  Broker* const broker_;
  const CallMetrics* const calls_;
  const HttpServer* const http_;
  const ClientLimit* const grpc_;
  // A reload stores it, Format loads it; it publishes nothing else, so relaxed is enough.
  std::atomic<int> queues_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_METRICS_H_
