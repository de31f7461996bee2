#include "broker/server/http_connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/version.h"
#include "broker/server/log.h"
#include "broker/server/request_ids.h"

namespace barista::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

// Of what a client has sent, in the log.
constexpr size_t kMaxQuotedBytes = 128;

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

void BeginStream(beast::tcp_stream&, const std::function<void(error_code)>& done) { done({}); }

void BeginStream(TlsStream& stream, std::function<void(error_code)> done) {
  stream.async_handshake(ssl::stream_base::server, std::move(done));
}

void EndStream(beast::tcp_stream& stream, const std::function<void(error_code)>&) {
  error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

void EndStream(TlsStream& stream, std::function<void(error_code)> done) {
  stream.async_shutdown(std::move(done));
}

// Stream: beast::tcp_stream or TlsStream.
template <typename Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
 public:
  template <typename... StreamArguments>
  Connection(std::shared_ptr<ssl::context> tls, const HttpConnectionOptions* options,
             ClientLimit::Share slot, tcp::socket socket, StreamArguments&... arguments)
      : tls_(std::move(tls)),
        options_(*options),
        slot_(std::move(slot)),
        client_(AddressOf(socket)),
        stream_(std::move(socket), arguments...) {}

  void Start() {
    ExpireLater();
    BeginStream(stream_, [self = this->shared_from_this()](error_code error) {
      if (!error) self->Read();
    });
  }

 private:
  static std::string AddressOf(const tcp::socket& socket) {
    error_code error;
    const tcp::endpoint endpoint = socket.remote_endpoint(error);
    return error ? "" : endpoint.address().to_string();
  }

  void ExpireLater() {
    beast::get_lowest_layer(stream_).expires_after(absl::ToChronoMilliseconds(options_.idle));
  }

  void Read() {
    parser_.emplace();
    parser_->header_limit(HttpServer::kMaxHeaderBytes);
    parser_->body_limit(HttpServer::kMaxBodyBytes);
    ExpireLater();
    http::async_read(
        stream_, buffer_, *parser_,
        [self = this->shared_from_this()](error_code error, size_t) { self->OnRead(error); });
  }

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
    Begin(options_.ids->Next(), "request");
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
    request.authorization = std::string(message[http::field::authorization]);
    request.client = client_;
    const auto given = message[kRequestIdName];
    const absl::string_view id(given.data(), given.size());
    request.request_id = RequestIds::IsSane(id) ? std::string(id) : options_.ids->Next();
    const bool well_formed =
        ParseTarget(absl::string_view(message.target().data(), message.target().size()), request);
    // Without the query, of which nobody knows what it holds.
    Begin(request.request_id,
          absl::CHexEscape(absl::StrCat(request.method.substr(0, kMaxQuotedBytes), " ",
                                        request.path.substr(0, kMaxQuotedBytes))));
    if (!well_formed) {
      return Write(
          HttpError(400, "MalformedRequest", "the request target is not a valid URL path"));
    }
    // The reply gives its reference away, so that the connection also ends on the server's thread.
    options_.handler(
        std::move(request), [self = this->shared_from_this()](HttpResponse response) mutable {
          const auto executor = self->stream_.get_executor();
          asio::post(executor, [self = std::move(self), response = std::move(response)]() mutable {
            self->Write(std::move(response));
          });
        });
  }

  // A request has come that will be answered.
  void Begin(std::string id, std::string what) {
    request_id_ = std::move(id);
    what_ = std::move(what);
    begun_ = std::chrono::steady_clock::now();
  }

  void LogFailure(int status) const {
    const auto level = status == 500 ? spdlog::level::info : spdlog::level::debug;
    if (!LogsAt(level)) return;
    const double took_ms =
        absl::ToDoubleMilliseconds(absl::FromChrono(std::chrono::steady_clock::now() - begun_));
    Log(level,
        absl::StrCat(what_, " from ", client_, " failed: ", status, "; request ", request_id_, ", ",
                     took_ms, " ms"),
        {{"request_id", request_id_},
         {"method", what_},
         {"client", client_},
         {"status", int64_t{status}},
         {"duration_ms", took_ms}});
  }

  void Write(HttpResponse response) {
    if (response.body.size() > HttpServer::kSmallReplyBytes) {
      absl::StatusOr<ClientLimit::Share> room =
          options_.replies->Take(client_, response.body.size());
      if (room.ok()) {
        room_.emplace(*std::move(room));
      } else {
        response = HttpError(room.status());
      }
    }
    if (response.status >= 400) LogFailure(response.status);
    response_.emplace(static_cast<http::status>(response.status), version_);
    response_->set(http::field::server, "barista/" BARISTA_VERSION);
    response_->set(http::field::content_type, response.content_type);
    response_->set(http::field::cache_control, "no-store");
    response_->set(kRequestIdName, request_id_);
    if (!response.allow.empty()) response_->set(http::field::allow, response.allow);
    if (response.status == 401) response_->set(http::field::www_authenticate, "Bearer");
    response_->keep_alive(keep_alive_);
    response_->content_length(response.body.size());
    if (!head_) response_->body() = std::move(response.body);
    ExpireLater();
    http::async_write(stream_, *response_,
                      [self = this->shared_from_this()](error_code error, size_t) {
                        if (error) return;
                        self->response_.reset();
                        self->room_.reset();
                        if (self->keep_alive_) return self->Read();
                        EndStream(self->stream_, [self](error_code) {});
                      });
  }

  const std::shared_ptr<ssl::context> tls_;  // null: none; outlives stream_
  const HttpConnectionOptions& options_;
  const ClientLimit::Share slot_;
  const std::string client_;
  Stream stream_;
  // Of the request that is being answered.
  std::string request_id_, what_;
  std::chrono::steady_clock::time_point begun_;
  beast::flat_buffer buffer_{HttpServer::kMaxHeaderBytes + HttpServer::kMaxBodyBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<ClientLimit::Share> room_;  // of response_
  bool keep_alive_ = false;
  bool head_ = false;
  unsigned version_ = 11;
};

}  // namespace

void ServeHttpConnection(tcp::socket socket, std::shared_ptr<ssl::context> tls,
                         const HttpConnectionOptions* options, ClientLimit::Share slot) {
  if (tls == nullptr) {
    std::make_shared<Connection<beast::tcp_stream>>(nullptr, options, std::move(slot),
                                                    std::move(socket))
        ->Start();
    return;
  }
  ssl::context& context = *tls;
  std::make_shared<Connection<TlsStream>>(std::move(tls), options, std::move(slot),
                                          std::move(socket), context)
      ->Start();
}

}  // namespace barista::server
