#include "broker/server/admin/metric_family.h"

#include <cstddef>
#include <limits>
#include <utility>

namespace barista::server {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void AddCounter(MetricLabels labels, double value, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = value;
  family->metric.push_back(std::move(metric));
}

void AddGauge(MetricLabels labels, double value, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family->metric.push_back(std::move(metric));
}

MetricFamily SingleCounter(const char* name, const char* help, double value) {
  MetricFamily family = Family(name, help, MetricType::Counter);
  AddCounter({}, value, &family);
  return family;
}

MetricFamily SingleGauge(const char* name, const char* help, double value) {
  MetricFamily family = Family(name, help, MetricType::Gauge);
  AddGauge({}, value, &family);
  return family;
}

MetricFamily SingleHistogram(const char* name, const char* help, const HistogramStats& stats) {
  MetricFamily family = Family(name, help, MetricType::Histogram);
  ClientMetric metric;
  uint64_t below = 0;
  for (size_t i = 0; i < stats.counts.size(); ++i) {
    below += stats.counts[i];
    metric.histogram.bucket.push_back({below, i < stats.upper_bounds.size()
                                                  ? stats.upper_bounds[i]
                                                  : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = below;
  metric.histogram.sample_sum = stats.sum;
  family.metric.push_back(std::move(metric));
  return family;
}

}  // namespace barista::server
