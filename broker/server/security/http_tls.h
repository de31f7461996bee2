#ifndef BROKER_SERVER_SECURITY_HTTP_TLS_H_
#define BROKER_SERVER_SECURITY_HTTP_TLS_H_

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "broker/server/security/tls_identity.h"

namespace barista::server {

// What an HTTP connection needs to speak TLS 1.2 or 1.3 as `identity`; asks for a client
// certificate, and insists on it, where the identity has roots for them. kInvalidArgument: OpenSSL
// does not take the identity.
absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> MakeHttpTls(const TlsIdentity& identity);

// The same for a listener, made again when the identity has changed. One thread.
class HttpTls {
 public:
  // `source` outlives it.
  explicit HttpTls(const TlsIdentitySource* source) : source_(source) {}

  // For a new connection. An identity that OpenSSL does not take leaves the one before it; null if
  // there was none.
  std::shared_ptr<boost::asio::ssl::context> ForNewConnection();

 private:
  const TlsIdentitySource* const source_;
  TlsIdentitySource::Snapshot seen_;
  std::shared_ptr<boost::asio::ssl::context> context_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_HTTP_TLS_H_
