#include "broker/server/http_server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <deque>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/clock.h"
#include "barista/error.h"
#include "broker/server/http_connection.h"
#include "broker/server/request_ids.h"
#include "broker/server/security/client_limit.h"
#include "broker/server/security/http_tls.h"
#include "broker/server/security/log_gate.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

int HttpStatusOf(absl::StatusCode code, absl::string_view reason) {
  if (reason == "RequestThrottled") return 429;
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return 409;
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

struct Listener {
  tcp::acceptor acceptor;
  HttpConnectionOptions options;
  ClientLimit* connections;
};

}  // namespace

HttpResponse HttpError(int status, absl::string_view reason, absl::string_view message) {
  const boost::json::object error = {{"reason", ToUtf8(reason)}, {"message", ToUtf8(message)}};
  return {.status = status,
          .body = boost::json::serialize(boost::json::object{{"error", error}}) + "\n"};
}

HttpResponse HttpError(const absl::Status& status) {
  const ErrorInfo info = GetErrorInfo(status);
  boost::json::object error;
  error["reason"] =
      info.reason.empty() ? absl::StatusCodeToString(status.code()) : ToUtf8(info.reason);
  error["message"] = ToUtf8(status.message());
  if (!info.field.empty()) error["field"] = ToUtf8(info.field);
  if (!info.value.empty()) error["value"] = ToUtf8(info.value);
  if (!info.limit.empty()) error["limit"] = ToUtf8(info.limit);
  return {.status = HttpStatusOf(status.code(), info.reason),
          .body = boost::json::serialize(boost::json::object{{"error", std::move(error)}}) + "\n"};
}

struct HttpServer::State {
  State(const ClientLimit::Limits& connection_limits, const TlsIdentitySource* identities,
        absl::Duration idle_time)
      : idle(idle_time), limits(Capped(connection_limits)) {
    if (identities != nullptr) tls.emplace(identities);
  }

  static ClientLimit::Limits Capped(const ClientLimit::Limits& limits) {
    return {std::min(limits.total, kMaxConnections), limits.per_client};
  }

  const absl::Duration idle;
  const ClientLimit::Limits limits;  // at the start
  LogGate log_gate;
  RequestIds ids;
  // Before io, as the next: connections that are destroyed with it give back what they have.
  ClientLimit replies{kReplies, {.total = kMaxReplyBytes, .per_client = kMaxClientReplyBytes}};
  // One of each listener.
  std::deque<ClientLimit> connections;
  asio::io_context io{1};
  std::vector<std::unique_ptr<Listener>> listeners;
  std::optional<HttpTls> tls;  // unset: plain HTTP. Io thread only
  std::thread thread;

  void Accept(Listener* listener) {
    listener->acceptor.async_accept([this, listener](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !listener->acceptor.is_open()) return;
      if (!error) Serve(listener, std::move(socket));
      Accept(listener);
    });
  }

  void Serve(Listener* listener, tcp::socket socket) {
    error_code error;
    const tcp::endpoint client = socket.remote_endpoint(error);
    if (error) return;  // gone already
    absl::StatusOr<ClientLimit::Share> slot =
        listener->connections->Take(client.address().to_string());
    if (!slot.ok()) {
      const auto held_back = log_gate.Pass(Clock::System()->Monotonic());
      if (held_back.has_value()) {
        spdlog::warn("HTTP refused a connection: {} ({} before it are not in the log)",
                     std::string(slot.status().message()), *held_back);
      }
      return;
    }
    std::shared_ptr<asio::ssl::context> context;
    if (tls.has_value()) {
      context = tls->ForNewConnection();
      if (context == nullptr) return;
    }
    socket.set_option(tcp::no_delay(true), error);
    ServeHttpConnection(std::move(socket), std::move(context), &listener->options,
                        *std::move(slot));
  }
};

HttpServer::HttpServer(const ClientLimit::Limits& limits, const TlsIdentitySource* identities,
                       absl::Duration idle)
    : state_(std::make_unique<State>(limits, identities, idle)) {}

HttpServer::~HttpServer() { Stop(); }

absl::StatusOr<ListenAddress> HttpServer::Listen(const ListenAddress& address,
                                                 HttpHandler handler) {
  error_code error;
  const auto failed = [&] {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address.ToString(), ": ", error.message()));
  };
  tcp::resolver resolver(state_->io);
  const auto resolved =
      resolver.resolve(address.host, absl::StrCat(address.port), tcp::resolver::passive, error);
  if (error) return failed();
  tcp::acceptor acceptor(state_->io);
  for (const auto& candidate : resolved) {
    acceptor.close(error);
    acceptor.open(candidate.endpoint().protocol(), error);
    if (error) continue;
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor.bind(candidate.endpoint(), error);
    if (error) continue;
    acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) break;
  }
  if (error) return failed();
  ListenAddress bound = address;
  bound.port = acceptor.local_endpoint(error).port();
  if (error) return failed();
  ClientLimit& connections = state_->connections.emplace_back(kConnections, state_->limits);
  state_->listeners.push_back(std::make_unique<Listener>(
      Listener{std::move(acceptor),
               {std::move(handler), &state_->replies, &state_->ids, state_->idle},
               &connections}));
  return bound;
}

void HttpServer::Start() {
  for (const auto& listener : state_->listeners) state_->Accept(listener.get());
  state_->thread = std::thread([this] { state_->io.run(); });
}

size_t HttpServer::connections() const {
  size_t open = 0;
  for (const ClientLimit& limit : state_->connections) open += limit.taken();
  return open;
}

void HttpServer::SetLimits(const ClientLimit::Limits& limits) {
  for (ClientLimit& limit : state_->connections) limit.SetLimits(State::Capped(limits));
}

void HttpServer::Ping(std::function<void()> answered) {
  asio::post(state_->io, std::move(answered));
}

void HttpServer::Stop() {
  state_->io.stop();
  if (state_->thread.joinable()) state_->thread.join();
  for (const auto& listener : state_->listeners) {
    error_code ignored;
    listener->acceptor.close(ignored);
  }
}

}  // namespace barista::server
