#ifndef BARISTA_CLIENT_LOAD_REPORT_H_
#define BARISTA_CLIENT_LOAD_REPORT_H_

#include <boost/json/object.hpp>
#include <string>

#include "client/load/load_generator.h"

namespace barista::load {

// What a run was like and what it measured: for people, in lines and a table; and for programs.
// Both name target, durability, bodies, batches, queues, producers, consumers and depth; the second
// also the machine of this process, where `dir` is on the broker's disk (or empty).
std::string ReportText(const LoadReport& report);
// {"target","durability","body_bytes" (as BodySizes::ToString),"send_batch","receive_batch",
// "queues","producers","consumers","in_flight","rate" (0: closed loop),"delay_s","measured_s",
// "ended_early","sent_per_s","completed_per_s","cpu_us_per_message",
// "send_latency","end_to_end_latency","delete_latency":
//   {"count","p50_us","p90_us","p99_us","p999_us","max_us"},
// "delivery": {"exact" (null without consumers),"acknowledged","delivered","lost","duplicates",
// "foreign"},"errors":{"send","receive","delete","first"},"machine":{…}}, and of an embedded broker
// that committed "mean_commit_operations","commits_per_s","messages_per_sync".
boost::json::object ReportJson(const LoadReport& report, const std::string& dir);

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_REPORT_H_
