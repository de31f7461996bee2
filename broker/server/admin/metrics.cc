#include "broker/server/admin/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "barista/version.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

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

MetricFamily Single(const char* name, const char* help, MetricType type, double value) {
  MetricFamily family = Family(name, help, type);
  ClientMetric metric;
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
  return family;
}

void AddGauge(MetricFamily& family, const char* label, const std::string& label_value,
              double value) {
  ClientMetric metric;
  metric.label.push_back({label, ToUtf8(label_value)});
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

void AddBrokerMetrics(const BrokerStats& stats, std::vector<MetricFamily>& families) {
  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    families.push_back(Single(name, help, MetricType::Counter, static_cast<double>(value)));
  };
  const auto gauge = [&](const char* name, const char* help, int64_t value) {
    families.push_back(Single(name, help, MetricType::Gauge, static_cast<double>(value)));
  };
  counter("barista_messages_sent_total", "Messages accepted.", stats.messages_sent);
  counter("barista_messages_received_total", "Messages handed to receivers.",
          stats.messages_received);
  counter("barista_messages_deleted_total", "Messages deleted by consumers.",
          stats.messages_deleted);
  counter("barista_messages_expired_total", "Messages removed by retention.",
          stats.messages_expired);
  counter("barista_messages_dead_lettered_total", "Messages moved to a dead-letter queue.",
          stats.messages_dead_lettered);
  counter("barista_sent_bytes_total", "Bytes of the messages accepted.", stats.bytes_sent);
  counter("barista_commits_total", "Batches written to the log.", stats.commits);
  counter("barista_commit_operations_total", "Operations in those batches.",
          stats.commit_operations);
  counter("barista_syncs_total", "Syncs of the log.", stats.syncs);
  gauge("barista_queues", "Queues.", stats.queues);
  gauge("barista_parked_receives", "Receives that wait for a message.", stats.parked_receives);
  gauge("barista_resident_messages", "Messages in memory.", stats.resident_messages);
  gauge("barista_resident_bytes", "Bytes of the messages in memory.", stats.resident_bytes);
  gauge("barista_refusing_writes", "1 after a failed write or sync: restart the broker.",
        stats.refusing_writes ? 1 : 0);
  gauge("barista_refusing_sends", "1 while the disk is below its floor of free space.",
        stats.refusing_sends ? 1 : 0);
}

void AddQueueMetrics(Broker& broker, int64_t queues, std::vector<MetricFamily>& families) {
  MetricFamily visible =
      Family("barista_queue_messages_visible",
             "Messages that can be received (ApproximateNumberOfMessages).", MetricType::Gauge);
  MetricFamily in_flight =
      Family("barista_queue_messages_in_flight",
             "Messages received and not deleted (ApproximateNumberOfMessagesNotVisible).",
             MetricType::Gauge);
  MetricFamily delayed =
      Family("barista_queue_messages_delayed",
             "Messages not yet due (ApproximateNumberOfMessagesDelayed).", MetricType::Gauge);
  const absl::StatusOr<ListQueuesResult> page =
      broker.ListQueues({.max_results = static_cast<int>(kMaxMetricsQueues)});
  int64_t shown = 0;
  if (page.ok()) {
    for (const std::string& name : page->names) {
      absl::StatusOr<Queue> queue = broker.GetQueue(name);
      if (!queue.ok()) continue;  // deleted meanwhile
      const absl::StatusOr<QueueDescription> description = queue->Describe();
      if (!description.ok()) continue;
      ++shown;
      AddGauge(visible, "queue", name, static_cast<double>(description->visible));
      AddGauge(in_flight, "queue", name, static_cast<double>(description->in_flight));
      AddGauge(delayed, "queue", name, static_cast<double>(description->delayed));
    }
  }
  for (MetricFamily* family : {&visible, &in_flight, &delayed}) {
    if (!family->metric.empty()) families.push_back(std::move(*family));
  }
  families.push_back(Single("barista_metrics_queues_omitted",
                            "Queues without metrics of their own, beyond the first 1000.",
                            MetricType::Gauge,
                            static_cast<double>(std::max<int64_t>(0, queues - shown))));
}

}  // namespace

std::string FormatMetrics(Broker& broker) {
  std::vector<MetricFamily> families;
  MetricFamily build = Family("barista_build_info", "1, with the version.", MetricType::Gauge);
  AddGauge(build, "version", BARISTA_VERSION, 1);
  families.push_back(std::move(build));
  const BrokerStats stats = broker.Stats();
  AddBrokerMetrics(stats, families);
  AddQueueMetrics(broker, stats.queues, families);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace barista::server
