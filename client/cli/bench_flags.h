#ifndef BARISTA_CLIENT_CLI_BENCH_FLAGS_H_
#define BARISTA_CLIENT_CLI_BENCH_FLAGS_H_

#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/load/load_generator.h"

namespace barista::cli {

// The options of `barista bench`, as they were given.
struct BenchFlags {
  bool embedded = false, streams = false, keep = false;
  std::string data_dir;
  int connections = 2;
  std::string durability = "fsync";
  std::string body = "1KiB";
  std::optional<int> in_flight;
  std::optional<absl::Duration> delay, duration, warm_up, drain;
  load::LoadOptions load;  // what is a number there
};

void AddBenchFlags(CLI::App& app, BenchFlags& flags);

// "1KiB"; several in turn: "100,1KiB,64KiB"; any in between: "100-64KiB". kInvalidArgument: none of
// these, or a size out of the range of bodies.
absl::StatusOr<load::BodySizes> ParseBodySizes(absl::string_view text);

// What `flags` ask for. WrongUsage names the option, its value and the range.
absl::StatusOr<load::LoadOptions> ToLoadOptions(const BenchFlags& flags);

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_BENCH_FLAGS_H_
