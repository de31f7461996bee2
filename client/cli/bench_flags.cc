#include "client/cli/bench_flags.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/output.h"
#include "client/cli/parse.h"
#include "client/cli/session.h"
#include "client/load/grpc/connections.h"

namespace barista::cli {
namespace {

using load::BodySizes;
using load::Connections;
using load::LoadOptions;

// `barista serve --max-streams` of a connection, unless it was changed.
constexpr int kStreamsOfConnection = 10'000;

void AddNumber(CLI::App& app, const std::string& name, int& value, int least, int most,
               const std::string& help, const std::string& group) {
  app.add_option(name, value,
                 absl::StrCat(help, ", ", least, " to ", most, " (default ", value, ")"))
      ->check(InRange(least, most))
      ->type_name("N")
      ->group(group);
}

void AddWhere(CLI::App& app, BenchFlags& flags) {
  const std::string group = "Where";
  CLI::Option* embedded =
      app.add_flag("--embedded", flags.embedded,
                   "Against a broker in this process instead of the one of --server")
          ->group(group);
  app.add_option("--data-dir", flags.data_dir,
                 "Its data directory, created if missing (default: a temporary one below TMPDIR, "
                 "which is removed; what is measured is the disk that it is on)")
      ->type_name("DIR")
      ->needs(embedded)
      ->group(group);
  app.add_flag("--streams", flags.streams,
               "By streams: each producer has a SendStream, each consumer a ConsumeStream of each "
               "of its queues (default: unary calls)")
      ->excludes(embedded)
      ->group(group);
  app.add_option("--connections", flags.connections,
                 absl::StrCat("Connections to the broker, 1 to ", Connections::kMost, " (default ",
                              flags.connections, ")"))
      ->check(InRange(1, Connections::kMost))
      ->type_name("N")
      ->excludes(embedded)
      ->group(group);
}

void AddWhat(CLI::App& app, BenchFlags& flags) {
  const std::string group = "What";
  AddNumber(app, "--queues", flags.load.queues, 1, LoadOptions::kMaxQueues,
            "Queues, sent to in turn", group);
  app.add_option("--durability", flags.durability,
                 "Theirs: when a send is acknowledged (default fsync)")
      ->check(OneOf({"fsync", "os", "memory"}))
      ->type_name("fsync|os|memory")
      ->group(group);
  app.add_option("--body", flags.body,
                 "Size of the bodies, 48 to 1MiB (default 1KiB); several in turn: 100,1KiB,64KiB; "
                 "all in between, evenly: 100-64KiB")
      ->type_name("SIZE[,SIZE...|-SIZE]")
      ->group(group);
  AddDurationOption(app, "--delay", flags.delay,
                    "How long each message stays invisible, 0s to 15m (default 0s)")
      ->group(group);
}

void AddHow(CLI::App& app, BenchFlags& flags) {
  const std::string group = "How";
  LoadOptions& load = flags.load;
  AddNumber(app, "--producers", load.producers, 1, LoadOptions::kMaxThreads, "Sending threads",
            group);
  AddNumber(app, "--consumers", load.consumers, 0, LoadOptions::kMaxThreads,
            "Receiving threads, each at its share of the queues; 0: only send", group);
  AddNumber(app, "--send-batch", load.send_batch, 1, 1000,
            "Messages per send, together at most 4MiB", group);
  AddNumber(app, "--receive-batch", load.receive_batch, 1, 1000,
            "Most messages per receive and per delete", group);
  app.add_option(
         "--in-flight", flags.in_flight,
         absl::StrCat("Messages between the start of their send and the end of their delete, ",
                      "at least a batch for each producer, at most ", LoadOptions::kMaxInFlight,
                      " (default 1000, or two batches for each producer)"))
      ->check(InRange(1, LoadOptions::kMaxInFlight))
      ->type_name("N")
      ->group(group);
  app.add_option("--rate", load.rate,
                 "Open loop: so many messages a second are due, whatever the broker does, up to "
                 "100000000, and latencies count from when they were due; 0: closed loop, as many "
                 "as go with --in-flight (default 0)")
      ->type_name("N")
      ->group(group);
  AddDurationOption(app, "--duration", flags.duration,
                    "How long to measure, 1ms to 24h (default 10s)")
      ->group(group);
  AddDurationOption(app, "--warm-up", flags.warm_up,
                    "How long to run before that, 0s to 1h (default 1s)")
      ->group(group);
  AddDurationOption(app, "--drain", flags.drain,
                    "How long to wait for the last messages; what has not come then is lost, 0s to "
                    "1h (default 30s)")
      ->group(group);
  app.add_flag("--keep", flags.keep, "Leave the queues, with what is in them")->group(group);
}

}  // namespace

void AddBenchFlags(CLI::App& app, BenchFlags& flags) {
  AddWhere(app, flags);
  AddWhat(app, flags);
  AddHow(app, flags);
}

absl::StatusOr<BodySizes> ParseBodySizes(absl::string_view text) {
  const bool range = text.find('-') != absl::string_view::npos;
  std::vector<size_t> sizes;
  for (const absl::string_view part : absl::StrSplit(text, range ? '-' : ',')) {
    auto size = ParseSize(part);
    if (!size.ok()) return size.status();
    sizes.push_back(static_cast<size_t>(*size));
  }
  if (!range) return BodySizes::InTurn(std::move(sizes));
  if (sizes.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a range of sizes; write 100-64KiB"));
  }
  return BodySizes::Between(sizes[0], sizes[1]);
}

absl::StatusOr<LoadOptions> ToLoadOptions(const BenchFlags& flags) {
  LoadOptions options = flags.load;
  auto body = ParseBodySizes(flags.body);
  if (!body.ok()) return WrongUsage(absl::StrCat("--body: ", body.status().message()));
  options.body = *body;
  const auto durability = ParseDurability(flags.durability);
  if (!durability.ok()) return WrongUsage(durability.status().message());
  options.durability = *durability;
  options.in_flight =
      flags.in_flight.value_or(std::max(1000, 2 * options.producers * options.send_batch));
  options.delay = flags.delay.value_or(absl::ZeroDuration());
  options.warm_up = flags.warm_up.value_or(absl::Seconds(1));
  options.measured = flags.duration.value_or(absl::Seconds(10));
  options.drain = flags.drain.value_or(absl::Seconds(30));
  if (absl::Status status = load::CheckLoadOptions(options); !status.ok()) {
    return WrongUsage(absl::StrCat("--", status.message()));
  }
  if (absl::Trunc(options.delay, absl::Milliseconds(1)) != options.delay) {
    return WrongUsage(absl::StrCat("--delay is ", absl::FormatDuration(options.delay),
                                   "; it must be whole milliseconds"));
  }
  const int streams = std::max(options.queues, options.consumers) + options.producers;
  if (flags.streams && streams > kStreamsOfConnection * flags.connections) {
    return WrongUsage(absl::StrCat("--streams: ", streams, " streams over ", flags.connections,
                                   " connections; limit ", kStreamsOfConnection,
                                   " each; give more --connections"));
  }
  return options;
}

}  // namespace barista::cli
