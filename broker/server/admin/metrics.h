#ifndef BROKER_SERVER_ADMIN_METRICS_H_
#define BROKER_SERVER_ADMIN_METRICS_H_

#include <cstddef>
#include <string>

#include "barista/broker.h"

namespace barista::server {

// Queues with metrics of their own; those after them by name are counted in barista_queues only,
// and barista_metrics_queues_omitted says how many.
inline constexpr size_t kMaxMetricsQueues = 1000;

// The broker's counts and the depth of its queues in the text format of Prometheus. Names are part
// of the contract with dashboards; see the README of this folder. Blocks: O(queues).
std::string FormatMetrics(Broker& broker);

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_METRICS_H_
