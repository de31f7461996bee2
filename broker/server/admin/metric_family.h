#ifndef BROKER_SERVER_ADMIN_METRIC_FAMILY_H_
#define BROKER_SERVER_ADMIN_METRIC_FAMILY_H_

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

#include <vector>

#include "barista/stats.h"

namespace barista::server {

// Metrics as prometheus-cpp writes them. Values of labels are UTF-8.
using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

prometheus::MetricFamily Family(const char* name, const char* help, prometheus::MetricType type);
void AddCounter(MetricLabels labels, double value, prometheus::MetricFamily* family);
void AddGauge(MetricLabels labels, double value, prometheus::MetricFamily* family);

// A family of one metric without labels.
prometheus::MetricFamily SingleCounter(const char* name, const char* help, double value);
prometheus::MetricFamily SingleGauge(const char* name, const char* help, double value);
prometheus::MetricFamily SingleHistogram(const char* name, const char* help,
                                         const HistogramStats& stats);

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_METRIC_FAMILY_H_
