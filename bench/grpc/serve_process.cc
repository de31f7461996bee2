#include "bench/grpc/serve_process.h"

#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "barista/v1/queue.pb.h"

namespace barista::bench {
namespace {

// The value of `key` in a ready file; empty if there is none.
std::string AddressOf(const std::string& key, const std::string& ready) {
  const std::string before = absl::StrCat("\"", key, "\":\"");
  const size_t start = ready.find(before);
  if (start == std::string::npos) return "";
  const size_t end = ready.find('"', start + before.size());
  return ready.substr(start + before.size(), end - start - before.size());
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
      const std::string ready{std::istreambuf_iterator<char>(file), {}};
      process.grpc_address_ = AddressOf("grpc", ready);
      process.admin_address_ = AddressOf("admin", ready);
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

double ScrapeOf(const std::string& address, const std::string& name) {
  using boost::asio::ip::tcp;
  const std::pair<std::string, std::string> parts = absl::StrSplit(address, ':');
  tcp::iostream stream(parts.first, parts.second);
  stream << "GET /metrics HTTP/1.0\r\n\r\n" << std::flush;
  const std::string prefix = absl::StrCat(name, " ");
  for (std::string line; std::getline(stream, line);) {
    double value = 0;
    if (absl::StartsWith(line, prefix) &&
        absl::SimpleAtod(absl::StripAsciiWhitespace(line.substr(prefix.size())), &value)) {
      return value;
    }
  }
  return -1;
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
