#include "broker/server/admin/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/version.h"
#include "broker/server/admin/metric_family.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Adds families of one metric each.
class Singles {
 public:
  explicit Singles(std::vector<MetricFamily>* families) : families_(*families) {}

  template <typename T>
  void Counter(const char* name, const char* help, T value) {
    families_.push_back(SingleCounter(name, help, static_cast<double>(value)));
  }
  template <typename T>
  void Gauge(const char* name, const char* help, T value) {
    families_.push_back(SingleGauge(name, help, static_cast<double>(value)));
  }
  void Histogram(const char* name, const char* help, const HistogramStats& stats) {
    families_.push_back(SingleHistogram(name, help, stats));
  }

 private:
  std::vector<MetricFamily>& families_;
};

void AddBroker(const BrokerStats& stats, Singles add) {
  add.Counter("barista_messages_sent_total", "Messages accepted.", stats.messages_sent);
  add.Counter("barista_messages_received_total", "Messages handed to receivers.",
              stats.messages_received);
  add.Counter("barista_messages_deleted_total", "Messages deleted by consumers.",
              stats.messages_deleted);
  add.Counter("barista_messages_expired_total", "Messages removed by retention.",
              stats.messages_expired);
  add.Counter("barista_messages_dead_lettered_total", "Messages moved to a dead-letter queue.",
              stats.messages_dead_lettered);
  add.Counter("barista_sent_bytes_total", "Bytes of the messages accepted.", stats.bytes_sent);
  add.Histogram("barista_receive_latency_seconds",
                "Time from a message's send to its first receive.", stats.receive_latency);
  add.Counter("barista_commits_total", "Batches written to the log.", stats.commits);
  add.Counter("barista_commit_operations_total", "Operations in those batches.",
              stats.commit_operations);
  add.Histogram("barista_commit_duration_seconds",
                "Time to write a batch, and to sync it if it has to be.", stats.commit_latency);
  add.Histogram("barista_commit_batch_operations", "Operations of a batch.",
                stats.commit_batch_operations);
  add.Histogram("barista_commit_batch_bytes", "Estimated bytes of a batch.",
                stats.commit_batch_bytes);
  add.Counter("barista_syncs_total", "Syncs of the log.", stats.syncs);
  add.Histogram("barista_sync_duration_seconds", "Time of a sync of the log.", stats.sync_latency);
  add.Gauge("barista_queues", "Queues.", stats.queues);
  add.Gauge("barista_parked_receives", "Receives that wait for a message.", stats.parked_receives);
  add.Gauge("barista_resident_messages", "Messages in memory.", stats.resident_messages);
  add.Gauge("barista_resident_bytes", "Bytes of the messages in memory.", stats.resident_bytes);
  add.Gauge("barista_refusing_writes", "1 after a failed write or sync: restart the broker.",
            stats.refusing_writes ? 1 : 0);
  add.Gauge("barista_refusing_sends", "1 while the disk is below its floor of free space.",
            stats.refusing_sends ? 1 : 0);
}

void AddTotals(const MessageCounts& total, Singles add) {
  add.Gauge("barista_messages_visible", "Messages of all queues that can be received.",
            total.visible);
  add.Gauge("barista_messages_in_flight", "Messages of all queues received and not deleted.",
            total.in_flight);
  add.Gauge("barista_messages_delayed", "Messages of all queues not yet due.", total.delayed);
  add.Gauge("barista_oldest_message_age_seconds",
            "Age of the oldest message of all queues, looked at once a minute.",
            absl::ToDoubleSeconds(total.oldest_message_age));
}

void AddStorage(const StorageStats& stats, Singles add) {
  add.Gauge("barista_storage_disk_bytes", "Bytes of the database's files.", stats.disk_bytes);
  add.Gauge("barista_storage_log_bytes", "Of these: the write-ahead log.", stats.log_bytes);
  add.Gauge("barista_storage_table_bytes", "Of these: table files.", stats.table_bytes);
  add.Gauge("barista_storage_blob_bytes", "Of these: blob files.", stats.blob_bytes);
  add.Gauge("barista_storage_live_bytes", "Estimate of what living records take on disk.",
            stats.live_bytes);
  add.Gauge("barista_storage_free_bytes", "Free bytes of the file system.", stats.free_bytes);
  add.Gauge("barista_storage_memtable_bytes", "Bytes of write buffers.", stats.memtable_bytes);
  add.Gauge("barista_storage_block_cache_bytes", "Bytes of the block cache.",
            stats.block_cache_bytes);
  add.Gauge("barista_storage_pending_compaction_bytes",
            "Estimate of what compaction has yet to rewrite.", stats.pending_compaction_bytes);
  add.Gauge("barista_storage_running_compactions", "Compactions that run.",
            stats.running_compactions);
  add.Gauge("barista_storage_running_flushes", "Flushes that run.", stats.running_flushes);
  add.Gauge("barista_storage_write_stalled", "1 while RocksDB stops or slows down writes.",
            stats.write_stalled ? 1 : 0);
  add.Counter("barista_storage_write_stops_total", "Times that RocksDB stopped writes.",
              stats.write_stops);
  add.Counter("barista_storage_write_slowdowns_total", "Times that RocksDB slowed down writes.",
              stats.write_slowdowns);
  add.Counter("barista_storage_write_stall_seconds_total",
              "Time that writes waited for RocksDB's stops and slowdowns.",
              absl::ToDoubleSeconds(stats.write_stall_time));
}

void AddQueues(const QueueSurvey& survey, std::vector<MetricFamily>* families) {
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
  MetricFamily age = Family("barista_queue_oldest_message_age_seconds",
                            "Age of the oldest message, looked at once a minute "
                            "(ApproximateAgeOfOldestMessage).",
                            MetricType::Gauge);
  for (const QueueSurvey::Entry& entry : survey.deepest) {
    const MetricLabels labels = {{"queue", ToUtf8(entry.queue)}};
    AddGauge(labels, static_cast<double>(entry.counts.visible), &visible);
    AddGauge(labels, static_cast<double>(entry.counts.in_flight), &in_flight);
    AddGauge(labels, static_cast<double>(entry.counts.delayed), &delayed);
    AddGauge(labels, absl::ToDoubleSeconds(entry.counts.oldest_message_age), &age);
  }
  for (MetricFamily* family : {&visible, &in_flight, &delayed, &age}) {
    if (!family->metric.empty()) families->push_back(std::move(*family));
  }
  families->push_back(SingleGauge(
      "barista_metrics_queues_omitted", "Queues without metrics of their own: less deep ones.",
      static_cast<double>(survey.queues - static_cast<int64_t>(survey.deepest.size()))));
}

// A survey of one queue.
absl::StatusOr<QueueSurvey> SurveyOf(const absl::StatusOr<QueueDescription>& described) {
  if (!described.ok()) return described.status();
  const QueueDescription& queue = *described;
  QueueSurvey survey;
  survey.queues = 1;
  survey.total = {queue.visible, queue.in_flight, queue.delayed, queue.oldest_message_age};
  survey.deepest.push_back({queue.name, survey.total});
  return survey;
}

std::string Serialize(const std::vector<MetricFamily>& families) {
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace

Metrics::Metrics(Broker* broker, const CallMetrics* calls, const HttpServer* http,
                 const ClientLimit* grpc, int queues)
    : broker_(broker), calls_(calls), http_(http), grpc_(grpc), queues_(queues) {}

std::string Metrics::Format() const {
  std::vector<MetricFamily> families;
  families.push_back(Family("barista_build_info", "1, with the version.", MetricType::Gauge));
  AddGauge({{"version", BARISTA_VERSION}}, 1, &families.back());
  Singles add(&families);
  AddBroker(broker_->Stats(), add);
  // (Neither fails but after Close, when nobody can ask for them.)
  if (const auto survey =
          broker_->SurveyQueues({.max_queues = queues_.load(std::memory_order_relaxed)});
      survey.ok()) {
    AddTotals(survey->total, add);
    AddQueues(*survey, &families);
  }
  if (const auto storage = broker_->StatStorage(); storage.ok()) AddStorage(*storage, add);
  for (MetricFamily& family : calls_->Collect()) families.push_back(std::move(family));
  add.Gauge("barista_grpc_connections", "Connections of gRPC clients.", grpc_->taken());
  add.Gauge("barista_http_connections", "Connections to the HTTP and administration ports.",
            http_->connections());
  return Serialize(families);
}

absl::StatusOr<std::string> Metrics::FormatQueues(
    const std::map<std::string, std::string>& query) const {
  const auto& [key, value] = *query.begin();
  absl::StatusOr<QueueSurvey> survey;
  if (query.size() == 1 && key == "queue") {
    absl::StatusOr<Queue> queue = broker_->GetQueue(value);
    if (!queue.ok()) return queue.status();
    survey = SurveyOf(queue->Describe());
  } else if (query.size() == 1 && key == "prefix") {
    survey = broker_->SurveyQueues({.prefix = value, .max_queues = kMaxSurveyedQueues});
  } else {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat(key, "=", value, ": expected queue=NAME or prefix=PREFIX, alone"),
                     {.reason = "InvalidParameterValue",
                      .field = key,
                      .value = value,
                      .limit = "queue=NAME or prefix=PREFIX"});
  }
  if (!survey.ok()) return survey.status();
  std::vector<MetricFamily> families;
  AddQueues(*survey, &families);
  return Serialize(families);
}

}  // namespace barista::server
