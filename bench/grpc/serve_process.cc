#include "bench/grpc/serve_process.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/v1/queue.pb.h"

namespace barista::bench {
namespace {

// The value of "grpc" in a ready file; empty if there is none.
std::string GrpcAddress(const std::string& ready) {
  constexpr absl::string_view kKey = "\"grpc\":\"";
  const size_t start = ready.find(kKey.data());
  if (start == std::string::npos) return "";
  const size_t end = ready.find('"', start + kKey.size());
  return ready.substr(start + kKey.size(), end - start - kKey.size());
}

}  // namespace

absl::StatusOr<ServeProcess> ServeProcess::Start(const std::string& barista, const std::string& dir,
                                                 const std::vector<std::string>& more_flags,
                                                 absl::Duration patience) {
  const std::string ready_file = dir + "/ready";
  std::filesystem::remove(ready_file);
  std::vector<std::string> command = {
      barista,          "serve",         "--data-dir",  dir + "/data",   "--ready-file",
      ready_file,       "--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0",
      "--admin-listen", "127.0.0.1:0",   "--log-level", "warn"};
  command.insert(command.end(), more_flags.begin(), more_flags.end());
  auto child = Child::Spawn(command);
  if (!child.ok()) return child.status();
  ServeProcess process(*std::move(child));
  for (const absl::Time deadline = absl::Now() + patience; absl::Now() < deadline;) {
    // The file appears whole (it is renamed into its place).
    if (std::ifstream file(ready_file); file) {
      process.grpc_address_ = GrpcAddress({std::istreambuf_iterator<char>(file), {}});
      return process;
    }
    if (!process.child_.running()) {
      return absl::UnavailableError(absl::StrCat(barista, " serve ended before it was ready"));
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  return absl::DeadlineExceededError(
      absl::StrCat("no ready file after ", absl::FormatDuration(patience)));
}

absl::Status CreateQueue(RawClient& client, const std::string& name,
                         const std::map<std::string, std::string>& attributes) {
  v1::CreateQueueRequest request;
  request.set_queue(name);
  request.mutable_attributes()->insert(attributes.begin(), attributes.end());
  v1::CreateQueueResponse response;
  return CallQueueService(client, "CreateQueue", request, &response);
}

}  // namespace barista::bench
