#include "broker/server/security/grpc_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <string>
#include <utility>

namespace barista::server {
namespace {

class ReloadedCredentials final : public grpc::ServerCredentials {
 public:
  explicit ReloadedCredentials(const TlsIdentitySource* source)
      : source_(source),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                source->Current()->asks_for_client_certificates()
                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                    : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                &Fetch, this))) {}

  ~ReloadedCredentials() override { grpc_server_credentials_release(credentials_); }

  // Tokens are checked by Access, which knows the queue: there is nothing to process here.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // Runs at the start and before each handshake, never twice at once (see the header).
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto* const credentials = static_cast<ReloadedCredentials*>(self);
    TlsIdentitySource::Snapshot current = credentials->source_->Current();
    if (current == credentials->fetched_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {current->key_pem.c_str(),
                                             current->certificate_pem.c_str()};
    // Debian's gRPC is built with assertions, one of which wants roots also where no client is
    // asked for a certificate: then anything that holds a certificate does.
    const std::string& roots =
        current->asks_for_client_certificates() ? current->client_ca_pem : current->certificate_pem;
    *config = grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
    credentials->fetched_ = std::move(current);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const TlsIdentitySource* const source_;
  TlsIdentitySource::Snapshot fetched_;  // Fetch only
  grpc_server_credentials* const credentials_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeGrpcCredentials(const TlsIdentitySource* source) {
  return std::make_shared<ReloadedCredentials>(source);
}

}  // namespace barista::server
