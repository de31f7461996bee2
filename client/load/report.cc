#include "client/load/report.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/machine.h"

namespace barista::load {
namespace {

using boost::json::object;

struct Percentile {
  double percent;
  const char* key;
};
constexpr Percentile kPercentiles[] = {
    {50, "p50_us"}, {90, "p90_us"}, {99, "p99_us"}, {99.9, "p999_us"}};

// "870 ns", "12.3 us", "4.56 ms", "1.20 s": three figures.
std::string LatencyText(uint64_t ns) {
  double value = static_cast<double>(ns);
  const char* unit = "ns";
  for (const char* next : {"us", "ms", "s"}) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  const bool whole = value >= 100 || ns < 1000;
  return absl::StrFormat("%.*f %s", whole ? 0 : value >= 10 ? 1 : 2, value, unit);
}

// "1 queue", "3 queues".
std::string Count(int64_t n, const char* what) {
  return absl::StrCat(n, " ", what, n == 1 ? "" : "s");
}

void AppendLatency(const char* name, const Histogram& histogram, std::string& text) {
  if (histogram.count() == 0) return;
  absl::StrAppendFormat(&text, "%-10s %12d", name, histogram.count());
  for (const Percentile& p : kPercentiles) {
    absl::StrAppendFormat(&text, " %9s", LatencyText(histogram.Percentile(p.percent)));
  }
  absl::StrAppendFormat(&text, " %9s\n", LatencyText(histogram.max()));
}

object LatencyJson(const Histogram& histogram) {
  object json{{"count", histogram.count()}};
  for (const Percentile& p : kPercentiles) {
    json[p.key] = static_cast<double>(histogram.Percentile(p.percent)) / 1e3;
  }
  json["max_us"] = static_cast<double>(histogram.max()) / 1e3;
  return json;
}

void AppendConditions(const LoadReport& report, std::string& text) {
  const LoadOptions& options = report.options;
  absl::StrAppend(&text, report.target, ", ", std::string(DurabilityName(options.durability)), ", ",
                  Count(options.queues, "queue"), ", bodies of ", options.body.ToString(),
                  " bytes, ", Count(options.producers, "producer"), " sending by ",
                  options.send_batch, ", ", Count(options.consumers, "consumer"));
  if (options.consumers > 0) absl::StrAppend(&text, " receiving by ", options.receive_batch);
  if (options.rate > 0) {
    absl::StrAppendFormat(&text, ", open loop of %.15g messages/s", options.rate);
  } else {
    absl::StrAppend(&text, ", closed loop with ", options.in_flight, " in flight");
  }
  if (options.delay > absl::ZeroDuration()) {
    absl::StrAppend(&text, ", delayed by ", absl::FormatDuration(options.delay));
  }
  absl::StrAppendFormat(&text, "\nmeasured for %.1f s%s\n\n",
                        absl::ToDoubleSeconds(report.measured),
                        report.ended_early ? " (ended early)" : "");
}

void AppendVerdict(const LoadReport& report, std::string& text) {
  const Ledger::Verdict& verdict = report.verdict;
  if (report.options.consumers > 0) {
    absl::StrAppendFormat(
        &text, "delivery %s: %d acknowledged, %d delivered, %d lost, %d duplicates, %d foreign\n",
        verdict.exact() ? "exact" : "NOT EXACT", verdict.acknowledged, verdict.delivered,
        verdict.lost, verdict.duplicates, verdict.foreign);
  } else {
    absl::StrAppendFormat(&text, "%d acknowledged; nothing was received\n", verdict.acknowledged);
  }
  if (!report.first_error.ok()) {
    absl::StrAppendFormat(&text,
                          "ERRORS: %d of sends, %d of receives, %d of deletes; the first: %s\n",
                          report.send_errors, report.receive_errors, report.delete_errors,
                          std::string(report.first_error.message()));
  }
}

}  // namespace

std::string ReportText(const LoadReport& report) {
  std::string text;
  AppendConditions(report, text);
  absl::StrAppendFormat(&text, "%-10s %12s\n%-10s %12.0f\n", "", "MESSAGES/S", "sent",
                        report.sent_per_second);
  if (report.options.consumers > 0) {
    absl::StrAppendFormat(&text, "%-10s %12.0f\n", "consumed", report.completed_per_second);
  }
  absl::StrAppendFormat(&text, "\n%-10s %12s %9s %9s %9s %9s %9s\n", "LATENCY", "COUNT", "P50",
                        "P90", "P99", "P99.9", "MAX");
  AppendLatency("send", report.send_latency, text);
  AppendLatency("end to end", report.end_to_end_latency, text);
  AppendLatency("delete", report.delete_latency, text);
  absl::StrAppend(&text, "\n");
  AppendVerdict(report, text);
  absl::StrAppendFormat(&text, "%.1f us of processor time of this process per message\n",
                        report.cpu_us_per_message);
  if (report.mean_commit_operations.has_value()) {
    absl::StrAppendFormat(&text, "%.0f commits/s of %.1f operations", *report.commits_per_second,
                          *report.mean_commit_operations);
    if (report.messages_per_sync.has_value()) {
      absl::StrAppendFormat(&text, ", %.1f sends and deletes per sync", *report.messages_per_sync);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

object ReportJson(const LoadReport& report, const std::string& dir) {
  const LoadOptions& options = report.options;
  object json{{"target", report.target},
              {"durability", std::string(DurabilityName(options.durability))},
              {"body_bytes", options.body.ToString()},
              {"send_batch", options.send_batch},
              {"receive_batch", options.receive_batch},
              {"queues", options.queues},
              {"producers", options.producers},
              {"consumers", options.consumers},
              {"in_flight", options.in_flight},
              {"rate", options.rate},
              {"delay_s", absl::ToDoubleSeconds(options.delay)},
              {"measured_s", absl::ToDoubleSeconds(report.measured)},
              {"ended_early", report.ended_early},
              {"sent_per_s", report.sent_per_second},
              {"completed_per_s", report.completed_per_second},
              {"cpu_us_per_message", report.cpu_us_per_message},
              {"send_latency", LatencyJson(report.send_latency)},
              {"end_to_end_latency", LatencyJson(report.end_to_end_latency)},
              {"delete_latency", LatencyJson(report.delete_latency)}};
  if (report.mean_commit_operations.has_value()) {
    json["mean_commit_operations"] = *report.mean_commit_operations;
    json["commits_per_s"] = *report.commits_per_second;
  }
  if (report.messages_per_sync.has_value()) json["messages_per_sync"] = *report.messages_per_sync;
  const Ledger::Verdict& verdict = report.verdict;
  object delivery{{"exact", nullptr},
                  {"acknowledged", verdict.acknowledged},
                  {"delivered", verdict.delivered},
                  {"lost", verdict.lost},
                  {"duplicates", verdict.duplicates},
                  {"foreign", verdict.foreign}};
  if (options.consumers > 0) delivery["exact"] = verdict.exact();
  json["delivery"] = std::move(delivery);
  object errors{{"send", report.send_errors},
                {"receive", report.receive_errors},
                {"delete", report.delete_errors},
                {"first", nullptr}};
  if (!report.first_error.ok()) errors["first"] = std::string(report.first_error.message());
  json["errors"] = std::move(errors);
  object machine;
  for (const auto& [name, value] : DescribeMachine(dir)) machine[name] = value;
  json["machine"] = std::move(machine);
  return json;
}

}  // namespace barista::load
