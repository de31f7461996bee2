#include "broker/server/http_server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/version.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// Undoes percent-encoding; nullopt if it is malformed.
std::optional<std::string> PercentDecode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const std::optional<int> high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    decoded.push_back(static_cast<char>(*high * 16 + *low));
    i += 2;
  }
  return decoded;
}

// Splits a request target into path and query. False: malformed.
bool ParseTarget(absl::string_view target, HttpRequest& request) {
  const size_t mark = target.find('?');
  const std::optional<std::string> path = PercentDecode(target.substr(0, mark));
  if (!path) return false;
  request.path = *path;
  absl::string_view rest = mark == absl::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const absl::string_view pair = rest.substr(0, end);
    const size_t equals = pair.find('=');
    const std::optional<std::string> key = PercentDecode(pair.substr(0, equals));
    const std::optional<std::string> value = PercentDecode(
        equals == absl::string_view::npos ? absl::string_view() : pair.substr(equals + 1));
    if (!key || !value) return false;
    request.query[*key] = *value;
    rest = end == absl::string_view::npos ? "" : rest.substr(end + 1);
  }
  return true;
}

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
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

// One connection. Everything runs on the server's one thread; what is under way keeps it alive.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const HttpHandler* handler, std::atomic<size_t>* connections)
      : stream_(std::move(socket)), handler_(handler), connections_(connections) {
    connections_->fetch_add(1, std::memory_order_relaxed);
  }
  ~Connection() { connections_->fetch_sub(1, std::memory_order_relaxed); }

  void Read() {
    parser_.emplace();
    parser_->header_limit(HttpServer::kMaxHeaderBytes);
    parser_->body_limit(HttpServer::kMaxBodyBytes);
    stream_.expires_after(std::chrono::seconds(HttpServer::kIdleSeconds));
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) { self->OnRead(error); });
  }

 private:
  void OnRead(error_code error) {
    if (!error) return Dispatch();
    static const auto& of_http = http::make_error_code(http::error::end_of_stream).category();
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error.category() != of_http) {
      return;  // gone, idle for too long, or stopping
    }
    keep_alive_ = false;
    head_ = false;
    version_ = 11;
    if (error == http::error::body_limit) {
      return Write(
          HttpError(413, "RequestTooLarge",
                    absl::StrCat("the body has more than ", HttpServer::kMaxBodyBytes, " bytes")));
    }
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return Write(HttpError(
          431, "RequestTooLarge",
          absl::StrCat("the header has more than ", HttpServer::kMaxHeaderBytes, " bytes")));
    }
    return Write(HttpError(400, "MalformedRequest", error.message()));
  }

  void Dispatch() {
    http::request<http::string_body> message = parser_->release();
    keep_alive_ = message.keep_alive();
    version_ = message.version();
    head_ = message.method() == http::verb::head;
    HttpRequest request;
    request.method = head_ ? "GET" : std::string(message.method_string());
    request.body = std::move(message.body());
    if (!ParseTarget(absl::string_view(message.target().data(), message.target().size()),
                     request)) {
      return Write(
          HttpError(400, "MalformedRequest", "the request target is not a valid URL path"));
    }
    // The reply gives its reference away, so that the connection also ends on the server's thread.
    (*handler_)(std::move(request), [self = shared_from_this()](HttpResponse response) mutable {
      const auto executor = self->stream_.get_executor();
      asio::post(executor, [self = std::move(self), response = std::move(response)]() mutable {
        self->Write(std::move(response));
      });
    });
  }

  void Write(HttpResponse response) {
    response_.emplace(static_cast<http::status>(response.status), version_);
    response_->set(http::field::server, "barista/" BARISTA_VERSION);
    response_->set(http::field::content_type, response.content_type);
    response_->set(http::field::cache_control, "no-store");
    if (!response.allow.empty()) response_->set(http::field::allow, response.allow);
    response_->keep_alive(keep_alive_);
    response_->content_length(response.body.size());
    if (!head_) response_->body() = std::move(response.body);
    stream_.expires_after(std::chrono::seconds(HttpServer::kIdleSeconds));
    http::async_write(stream_, *response_, [self = shared_from_this()](error_code error, size_t) {
      if (error) return;
      if (self->keep_alive_) return self->Read();
      error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  const HttpHandler* const handler_;
  std::atomic<size_t>* const connections_;
  beast::flat_buffer buffer_{HttpServer::kMaxHeaderBytes + HttpServer::kMaxBodyBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  bool keep_alive_ = false;
  bool head_ = false;
  unsigned version_ = 11;
};

struct Listener {
  tcp::acceptor acceptor;
  HttpHandler handler;
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
  return {.status = HttpStatusOf(status.code()),
          .body = boost::json::serialize(boost::json::object{{"error", std::move(error)}}) + "\n"};
}

struct HttpServer::State {
  // Before io: connections that are destroyed with it count down here. Written by the io thread,
  // and read by it and by connections(); it publishes nothing: relaxed.
  std::atomic<size_t> connections{0};
  asio::io_context io{1};
  std::vector<std::unique_ptr<Listener>> listeners;
  std::thread thread;

  void Accept(Listener* listener) {
    listener->acceptor.async_accept([this, listener](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !listener->acceptor.is_open()) return;
      if (!error && connections.load(std::memory_order_relaxed) < kMaxConnections) {
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        std::make_shared<Connection>(std::move(socket), &listener->handler, &connections)->Read();
      }
      Accept(listener);
    });
  }
};

HttpServer::HttpServer() : state_(std::make_unique<State>()) {}

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
  state_->listeners.push_back(
      std::make_unique<Listener>(Listener{std::move(acceptor), std::move(handler)}));
  return bound;
}

void HttpServer::Start() {
  for (const auto& listener : state_->listeners) state_->Accept(listener.get());
  state_->thread = std::thread([this] { state_->io.run(); });
}

size_t HttpServer::connections() const {
  return state_->connections.load(std::memory_order_relaxed);
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
