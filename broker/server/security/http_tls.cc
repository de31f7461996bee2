#include "broker/server/security/http_tls.h"

#include <openssl/ssl.h>
#include <spdlog/spdlog.h>

#include <boost/asio/buffer.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace barista::server {

namespace ssl = boost::asio::ssl;

absl::StatusOr<std::shared_ptr<ssl::context>> MakeHttpTls(const TlsIdentity& identity) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  const auto failed = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.message()));
  };
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Nothing is resumed: a session would outlive the certificates that it was made with.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets(native, 0);
  context->use_certificate_chain(boost::asio::buffer(identity.certificate_pem), error);
  if (error) return failed("certificate");
  context->use_private_key(boost::asio::buffer(identity.key_pem), ssl::context::pem, error);
  if (error) return failed("key");
  if (identity.asks_for_client_certificates()) {
    context->add_certificate_authority(boost::asio::buffer(identity.client_ca_pem), error);
    if (error) return failed("client CA");
    context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
    if (error) return failed("client CA");
  }
  return context;
}

std::shared_ptr<ssl::context> HttpTls::ForNewConnection() {
  TlsIdentitySource::Snapshot current = source_->Current();
  if (current != seen_) {
    auto made = MakeHttpTls(*current);
    if (made.ok()) {
      context_ = *std::move(made);
    } else {
      spdlog::error("TLS of HTTP: {}", std::string(made.status().message()));
    }
    seen_ = std::move(current);
  }
  return context_;
}

}  // namespace barista::server
