#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/rpc/status.pb.h"

namespace barista::client {
namespace {

constexpr char kErrorInfoType[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kErrorDomain[] = "barista";

std::string Take(const google::protobuf::Map<std::string, std::string>& metadata,
                 const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

}  // namespace

absl::StatusOr<std::string> GrpcTarget(absl::string_view server) {
  const absl::string_view unix_prefix = "unix:";
  if (absl::StartsWith(server, unix_prefix)) {
    if (server.size() == unix_prefix.size()) {
      return absl::InvalidArgumentError("server 'unix:' has no path; write unix:PATH");
    }
    return std::string(server);
  }
  const size_t colon = server.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(server.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("server '", server, "' is neither HOST:PORT (port 1 to 65535) nor unix:PATH"));
  }
  const absl::string_view host = server.substr(0, colon);
  if (host.find(':') != absl::string_view::npos && host.front() != '[') {
    return absl::InvalidArgumentError(absl::StrCat(
        "server '", server, "': write an IPv6 address in brackets: [", host, "]:", port));
  }
  return absl::StrCat("dns:///", server);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(absl::string_view server) {
  auto target = GrpcTarget(server);
  if (!target.ok()) return target.status();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A broker is a neighbour: proxies of the environment are for the web.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(*target, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  barista::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : details.details()) {
      barista::rpc::ErrorInfo wire;
      if (any.type_url() != kErrorInfoType || !wire.ParseFromString(any.value())) continue;
      if (wire.domain() != kErrorDomain) continue;
      ErrorInfo info;
      info.reason = wire.reason();
      info.field = Take(wire.metadata(), "field");
      info.value = Take(wire.metadata(), "value");
      info.limit = Take(wire.metadata(), "limit");
      return MakeError(code, status.error_message(), info);
    }
  }
  return absl::Status(code, status.error_message());
}

absl::Status FromCallStatus(const grpc::Status& status, absl::string_view server,
                            absl::Duration timeout) {
  absl::Status result = FromGrpcStatus(status);
  if (!GetErrorInfo(result).reason.empty()) return result;
  if (absl::IsUnavailable(result)) {
    return absl::UnavailableError(
        absl::StrCat("the broker at ", server, " cannot be reached: ", result.message()));
  }
  if (absl::IsDeadlineExceeded(result)) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the broker at ", server, " did not answer within ", absl::FormatDuration(timeout)));
  }
  return result;
}

}  // namespace barista::client
