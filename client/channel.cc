#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_interceptor.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/rpc/status.pb.h"
#include "barista/v1/error.pb.h"

namespace barista::client {
namespace {

constexpr int kConnectTimeoutMs = 10'000;
// Of what has come and is not read yet, and of a frame of HTTP/2.
constexpr int kWindowBytes = 4 << 20;
constexpr int kHttp2FrameBytes = 1 << 20;
constexpr size_t kMaxTokenBytes = 512;
constexpr char kErrorInfoType[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kErrorDomain[] = "barista";

std::string Take(const google::protobuf::Map<std::string, std::string>& metadata,
                 const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

absl::StatusOr<std::string> ReadFile(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.is_open() || in.bad()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": cannot be read"));
  }
  return text;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(
    const ChannelOptions& options) {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("a TLS certificate and its key go together");
  }
  if (options.tls_ca.empty()) {
    if (options.tls_key.empty()) return grpc::InsecureChannelCredentials();
    return absl::InvalidArgumentError(
        "a TLS certificate needs the CA of the broker's certificate beside it");
  }
  grpc::SslCredentialsOptions tls;
  for (const auto& [file, text] : {std::pair(options.tls_ca, &tls.pem_root_certs),
                                   std::pair(options.tls_certificate, &tls.pem_cert_chain),
                                   std::pair(options.tls_key, &tls.pem_private_key)}) {
    if (file.empty()) continue;
    absl::StatusOr<std::string> read = ReadFile(file);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  return grpc::SslCredentials(tls);
}

// Adds the token to each call. gRPC's own call credentials refuse to go over a channel without TLS,
// which a broker on loopback or behind a proxy has.
class TokenInterceptor final : public grpc::experimental::Interceptor {
 public:
  explicit TokenInterceptor(const std::string& authorization) : authorization_(authorization) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", authorization_);
    }
    methods->Proceed();
  }

 private:
  const std::string& authorization_;  // the factory's, which the channel owns
};

class TokenInterceptorFactory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptorFactory(const std::string& token)
      : authorization_(absl::StrCat("Bearer ", token)) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo*) override {
    return new TokenInterceptor(authorization_);
  }

 private:
  const std::string authorization_;
};

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

absl::StatusOr<std::string> ReadTokenFile(const std::string& file) {
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (!text.ok()) return text.status();
  const absl::string_view token = absl::StripAsciiWhitespace(*text);
  if (token.empty()) return absl::InvalidArgumentError(absl::StrCat(file, ": has no token"));
  return std::string(token);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ChannelOptions& options) {
  auto target = GrpcTarget(options.server);
  if (!target.ok()) return target.status();
  // gRPC ends the process over what does not fit into a header.
  if (options.token.size() > kMaxTokenBytes ||
      !std::all_of(options.token.begin(), options.token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(absl::StrCat("the token is not one word of at most ",
                                                   kMaxTokenBytes, " characters of ASCII"));
  }
  auto credentials = Credentials(options);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // Not a pause, whatever its name: how long an attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // As the broker does, and for its reason: gRPC 1.51's estimate of the window may leave a reply of
  // megabytes standing still for ten seconds.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kHttp2FrameBytes);
  // A broker is a neighbour: proxies of the environment are for the web.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (options.own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (options.token.empty()) return grpc::CreateCustomChannel(*target, *credentials, arguments);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<TokenInterceptorFactory>(options.token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(*target, *credentials, arguments,
                                                                 std::move(interceptors));
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

absl::Status FromError(const v1::Error& error) {
  ErrorInfo info;
  info.reason = error.reason();
  info.field = error.field();
  info.value = error.value();
  info.limit = error.limit();
  return MakeError(static_cast<absl::StatusCode>(error.code()), error.message(), info);
}

}  // namespace barista::client
