// barista send

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/message.h"
#include "barista/trace_context.h"
#include "client/cli/line_sender.h"
#include "client/cli/message_format.h"
#include "client/cli/parse.h"
#include "client/cli/session.h"

namespace barista::cli {
namespace {

struct SendFlags {
  std::string queue;
  std::optional<std::string> body;
  bool lines = false;
  std::optional<absl::Duration> delay;
  std::vector<std::string> attributes;
  std::optional<std::string> group_id, dedup_id;
  std::optional<std::string> traceparent, tracestate;
};

// Puts one header of a trace context into the message, as OpenTelemetry does it.
absl::Status AddTraceHeader(const char* name, const std::string& value,
                            v1::SendMessageEntry& entry) {
  v1::MessageAttributeValue attribute;
  attribute.set_data_type("String");
  attribute.set_string_value(value);
  if (entry.mutable_attributes()->insert({name, attribute}).second) return absl::OkStatus();
  return WrongUsage(absl::StrCat("--", name, " and the attribute ", name, " are both given"));
}

// The message without its body.
absl::StatusOr<v1::SendMessageEntry> ToEntry(const SendFlags& flags) {
  v1::SendMessageEntry entry;
  for (const std::string& text : flags.attributes) {
    auto attribute = ParseMessageAttribute(text);
    if (!attribute.ok()) {
      return WrongUsage(absl::StrCat("--attribute: ", attribute.status().message()));
    }
    v1::MessageAttributeValue value;
    value.set_data_type(attribute->second.data_type);
    if (attribute->second.is_binary()) {
      value.set_binary_value(attribute->second.value);
    } else {
      value.set_string_value(attribute->second.value);
    }
    if (!entry.mutable_attributes()->insert({attribute->first, value}).second) {
      return WrongUsage(absl::StrCat("the attribute ", attribute->first, " is given twice"));
    }
  }
  if (flags.tracestate.has_value() && !flags.traceparent.has_value()) {
    return WrongUsage("--tracestate goes with --traceparent");
  }
  if (flags.traceparent.has_value()) {
    absl::Status added = AddTraceHeader(kTraceparent, *flags.traceparent, entry);
    if (!added.ok()) return added;
  }
  if (flags.tracestate.has_value()) {
    absl::Status added = AddTraceHeader(kTracestate, *flags.tracestate, entry);
    if (!added.ok()) return added;
  }
  if (flags.delay.has_value()) {
    absl::Duration rest = *flags.delay;
    entry.mutable_delay()->set_seconds(absl::IDivDuration(rest, absl::Seconds(1), &rest));
    entry.mutable_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  }
  if (flags.group_id.has_value()) entry.set_group_id(*flags.group_id);
  if (flags.dedup_id.has_value()) entry.set_dedup_id(*flags.dedup_id);
  return entry;
}

// For who sees nothing happen.
void NoteTerminal(Session& session) {
  if (isatty(STDIN_FILENO) == 1) {
    session.output().Note("reading standard input; Ctrl-D ends it");
  }
}

// All of standard input; stops reading one byte past the largest message, which the broker will
// refuse.
absl::StatusOr<std::string> ReadBody() {
  std::string body(kMaxMessageBytes + 1, '\0');
  size_t used = 0;
  while (used < body.size()) {
    const ssize_t got = read(STDIN_FILENO, body.data() + used, body.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::UnknownError(
          absl::StrCat("standard input cannot be read: ", std::strerror(errno)));
    }
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  body.resize(used);
  return body;
}

int SendLines(Session& session, const SendFlags& flags, v1::SendMessageEntry entry) {
  const absl::Time started = absl::Now();
  NoteTerminal(session);
  LineReader input(STDIN_FILENO, kMaxMessageBytes + 1);
  // Lines of one group are to be received in their order.
  LineSender sender(session.client(), session.output(), flags.queue, std::move(entry),
                    flags.group_id.has_value());
  const absl::Status status = sender.Run(input);
  const LineSender::Counts& counts = sender.counts();
  if (session.output().json()) {
    session.output().Json({{"sent", counts.sent},
                           {"skipped_empty", counts.skipped_empty},
                           {"refused", counts.refused}});
  } else {
    session.output().Line(absl::StrCat("sent ", CountAndRate(counts.sent, absl::Now() - started),
                                       ", skipped ", counts.skipped_empty, " empty lines, refused ",
                                       counts.refused));
  }
  const int code = session.Finish(status);
  return code == kDone && counts.refused > 0 ? kRefused : code;
}

int SendOne(Session& session, const SendFlags& flags, v1::SendMessageEntry entry) {
  if (flags.body.has_value() && *flags.body != "-") {
    entry.set_body(*flags.body);
  } else {
    NoteTerminal(session);
    auto body = ReadBody();
    if (!body.ok()) return session.Finish(body.status());
    entry.set_body(*std::move(body));
  }
  v1::SendMessageRequest request;
  request.set_queue(flags.queue);
  *request.add_entries() = std::move(entry);
  auto response = session.client().SendMessage(request);
  if (!response.ok()) return session.Finish(response.status());
  const v1::SendMessageResult& result = response->results(0);
  if (result.has_error()) return session.Finish(client::FromError(result.error()));
  if (session.output().json()) {
    boost::json::object object{{"message_id", result.message_id()}};
    if (result.has_sequence_number()) {
      object["sequence_number"] = result.sequence_number();
    }
    session.output().Json(object);
  } else {
    session.output().Line(result.message_id());
  }
  return session.Finish(absl::OkStatus());
}

int Send(Session& session, const SendFlags& flags) {
  if (flags.lines && flags.body.has_value() && *flags.body != "-") {
    return session.Finish(WrongUsage("--lines reads standard input; BODY cannot be given too"));
  }
  if (flags.lines && flags.dedup_id.has_value()) {
    return session.Finish(WrongUsage("--dedup-id names one message; --lines sends many"));
  }
  auto entry = ToEntry(flags);
  if (!entry.ok()) return session.Finish(entry.status());
  return flags.lines ? SendLines(session, flags, *std::move(entry))
                     : SendOne(session, flags, *std::move(entry));
}

}  // namespace

void AddSendCommand(CLI::App& app, Command& chosen) {
  CLI::App* send = AddCommand(
      app, "send", "Send a message, or each line of standard input as one",
      "  barista send orders 'two espressos'\n"
      "  barista send orders --delay 5m --attribute table=7 --attribute shots:Number=2 < "
      "order.json\n"
      "  tail -F /var/log/syslog | barista send logs --lines\n"
      "Prints the id of the message, with --lines how many were sent, skipped and refused.");
  auto flags = std::make_shared<SendFlags>();
  send->add_option("QUEUE", flags->queue, "The queue to send to")->required();
  send->add_option("BODY", flags->body,
                   "The body, 1 byte to 1 MiB; '-' or nothing: all of standard input");
  send->add_flag(
      "--lines", flags->lines,
      "Send each line of standard input as a message; empty lines are skipped, a refused "
      "line is reported and the rest goes on");
  AddDurationOption(*send, "--delay", flags->delay,
                    "How long the message stays invisible, 0s to 15m (default: the queue's)");
  send->add_option("--attribute", flags->attributes,
                   "A message attribute, up to 10: NAME=TEXT, NAME:Number=5, NAME:Binary=BASE64; "
                   "repeatable")
      ->allow_extra_args(false)
      ->type_name("NAME[:TYPE]=VALUE");
  send->add_option("--group", flags->group_id, "The message group id, 1 to 128 characters")
      ->type_name("ID");
  send->add_option("--dedup-id", flags->dedup_id, "The deduplication id (FIFO queues)")
      ->type_name("ID");
  send->add_option("--traceparent", flags->traceparent,
                   "The trace that the message belongs to, in the form of W3C Trace Context: "
                   "00-TRACEID-SPANID-FLAGS; sent as the attribute traceparent")
      ->check([](const std::string& text) {
        return IsTraceparent(text)
                   ? ""
                   : absl::StrCat("\"", text,
                                  "\" is not 00-TRACEID-SPANID-FLAGS with 32, 16 and 2 ",
                                  "lower-case hexadecimal digits, ids not zero");
      })
      ->type_name("CONTEXT");
  send->add_option("--tracestate", flags->tracestate,
                   "What the tracing systems add to it, 1 to 512 bytes; sent as the attribute "
                   "tracestate")
      ->check([](const std::string& text) {
        return IsTracestate(text) ? ""
                                  : absl::StrCat("it must be 1 to ", kMaxTracestateBytes,
                                                 " bytes of printable ASCII");
      })
      ->type_name("STATE");
  send->callback(
      [&chosen, flags] { chosen = [flags](Session& session) { return Send(session, *flags); }; });
}

}  // namespace barista::cli
