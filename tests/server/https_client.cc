#include "tests/server/https_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace barista::server {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace http = boost::beast::http;

struct HttpsClient::State {
  asio::io_context io;
  ssl::context tls{ssl::context::tls_client};
  std::unique_ptr<ssl::stream<asio::ip::tcp::socket>> stream;
  boost::beast::flat_buffer buffer;
  boost::system::error_code error;  // of the first step that failed
};

HttpsClient::HttpsClient(const std::string& address, const std::string& root, const PemPair& client)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.tls.add_certificate_authority(asio::buffer(root));
  s.tls.set_verify_mode(ssl::verify_peer);
  if (!client.certificate.empty()) {
    s.tls.use_certificate_chain(asio::buffer(client.certificate));
    s.tls.use_private_key(asio::buffer(client.key), ssl::context::pem);
  }
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  s.stream = std::make_unique<ssl::stream<asio::ip::tcp::socket>>(s.io, s.tls);
  s.stream->set_verify_callback(ssl::host_name_verification(host));
  asio::ip::tcp::resolver resolver(s.io);
  asio::connect(s.stream->lowest_layer(), resolver.resolve(host, address.substr(colon + 1)),
                s.error);
  if (!s.error) s.stream->handshake(ssl::stream_base::client, s.error);
}

HttpsClient::~HttpsClient() = default;

HttpResult HttpsClient::Get(const std::string& target, const std::string& token) {
  State& s = *state_;
  HttpResult result;
  http::request<http::empty_body> request(http::verb::get, target, 11);
  if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
  http::response<http::string_body> response;
  if (!s.error) http::write(*s.stream, request, s.error);
  if (!s.error) http::read(*s.stream, s.buffer, response, s.error);
  if (s.error) return result;
  result.status = response.result_int();
  result.body = response.body();
  return result;
}

}  // namespace barista::server
