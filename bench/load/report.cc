#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/common/machine.h"
#include "bench/common/summary.h"
#include "bench/load/load_generator.h"

namespace barista::bench {
namespace {

constexpr double kPercentiles[] = {50, 90, 99, 99.9};

std::string Microseconds(uint64_t ns) {
  return absl::StrFormat("%.1f", static_cast<double>(ns) / 1e3);
}

std::string LatencyText(const char* name, const Histogram& histogram) {
  if (histogram.count() == 0) return "";
  std::string text = absl::StrFormat("  %-12s", name);
  for (const double percent : kPercentiles) {
    absl::StrAppend(&text, " p", percent, " ", Microseconds(histogram.Percentile(percent)));
  }
  return absl::StrCat(text, " max ", Microseconds(histogram.max()), " us\n");
}

std::string LatencyJson(const Histogram& histogram) {
  std::string json = "{";
  for (const double percent : kPercentiles) {
    absl::StrAppend(&json, "\"p", percent, "_us\":", Microseconds(histogram.Percentile(percent)),
                    ",");
  }
  return absl::StrCat(json, "\"max_us\":", Microseconds(histogram.max()),
                      ",\"count\":", histogram.count(), "}");
}

}  // namespace

std::string ReportText(const LoadReport& report, const std::string& dir) {
  const LoadOptions& options = report.options;
  std::string text = absl::StrFormat(
      "%s %s, body %d B, batches %d/%d, %d queue(s), %d producer(s), %d consumer(s), %s\n",
      report.target, std::string(DurabilityName(options.durability)), options.body_bytes,
      options.send_batch, options.receive_batch, options.queues, options.producers,
      options.consumers,
      options.rate > 0 ? absl::StrFormat("open loop of %g messages/s", options.rate)
                       : absl::StrFormat("closed loop with %d in flight", options.in_flight));
  for (const auto& [name, value] : DescribeMachine(dir)) {
    absl::StrAppend(&text, "  ", name, ": ", value, "\n");
  }
  absl::StrAppendFormat(&text, "  %s messages/s completed, %s sent, %.1f us CPU per message\n",
                        Compact(report.completed_per_second), Compact(report.sent_per_second),
                        report.cpu_us_per_message);
  if (report.mean_commit_operations.has_value()) {
    absl::StrAppendFormat(&text, "  %s commits/s of %.1f operations\n",
                          Compact(*report.commits_per_second), *report.mean_commit_operations);
  }
  if (report.messages_per_sync.has_value()) {
    absl::StrAppendFormat(&text, "  %.1f sends and deletes per sync\n", *report.messages_per_sync);
  }
  absl::StrAppend(&text, LatencyText("send", report.send_latency),
                  LatencyText("end to end", report.end_to_end_latency),
                  LatencyText("delete", report.delete_latency));
  const Ledger::Verdict& verdict = report.verdict;
  if (options.consumers > 0) {
    absl::StrAppendFormat(
        &text, "  delivery %s: %d acknowledged, %d delivered, %d lost, %d duplicates, %d foreign\n",
        verdict.exact() ? "exact" : "NOT EXACT", verdict.acknowledged, verdict.delivered,
        verdict.lost, verdict.duplicates, verdict.foreign);
  }
  if (!report.first_error.empty()) {
    absl::StrAppendFormat(&text, "  errors: %d send, %d receive, %d delete; the first: %s\n",
                          report.send_errors, report.receive_errors, report.delete_errors,
                          report.first_error);
  }
  return text;
}

std::string ReportJson(const LoadReport& report, const std::string& dir) {
  const LoadOptions& options = report.options;
  const Ledger::Verdict& verdict = report.verdict;
  std::string json = absl::StrFormat(
      R"({"target":%s,"durability":%s,"body_bytes":%d,"send_batch":%d,"receive_batch":%d,"queues":%d,)"
      R"("producers":%d,"consumers":%d,"in_flight":%d,"rate":%g,"measured_s":%g,)"
      R"("completed_per_s":%.1f,"sent_per_s":%.1f,"cpu_us_per_message":%.2f,)",
      JsonString(report.target), JsonString(DurabilityName(options.durability)), options.body_bytes,
      options.send_batch, options.receive_batch, options.queues, options.producers,
      options.consumers, options.in_flight, options.rate, absl::ToDoubleSeconds(options.measured),
      report.completed_per_second, report.sent_per_second, report.cpu_us_per_message);
  if (report.mean_commit_operations.has_value()) {
    absl::StrAppendFormat(&json, R"("mean_commit_operations":%.2f,"commits_per_s":%.1f,)",
                          *report.mean_commit_operations, *report.commits_per_second);
  }
  if (report.messages_per_sync.has_value()) {
    absl::StrAppendFormat(&json, R"("messages_per_sync":%.2f,)", *report.messages_per_sync);
  }
  absl::StrAppend(&json, R"("send_latency":)", LatencyJson(report.send_latency),
                  R"(,"end_to_end_latency":)", LatencyJson(report.end_to_end_latency),
                  R"(,"delete_latency":)", LatencyJson(report.delete_latency));
  absl::StrAppendFormat(
      &json,
      R"(,"delivery":{"exact":%s,"acknowledged":%d,"delivered":%d,"lost":%d,"duplicates":%d,"foreign":%d},)"
      R"("errors":{"send":%d,"receive":%d,"delete":%d,"first":%s},"machine":{)",
      options.consumers == 0 ? "null"
      : verdict.exact()      ? "true"
                             : "false",
      verdict.acknowledged, verdict.delivered, verdict.lost, verdict.duplicates, verdict.foreign,
      report.send_errors, report.receive_errors, report.delete_errors,
      JsonString(report.first_error));
  const char* comma = "";
  for (const auto& [name, value] : DescribeMachine(dir)) {
    absl::StrAppend(&json, comma, JsonString(name), ":", JsonString(value));
    comma = ",";
  }
  return absl::StrCat(json, "}}");
}

}  // namespace barista::bench
