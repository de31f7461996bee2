#ifndef BROKER_SERVER_SECURITY_SECURITY_H_
#define BROKER_SERVER_SECURITY_SECURITY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "barista/clock.h"
#include "broker/server/access.h"
#include "broker/server/security/client_limit.h"
#include "broker/server/security/tls_identity.h"

namespace barista::server {

struct SecurityOptions {
  // All listeners speak TLS if there is a certificate.
  TlsFiles tls = {};
  // Calls need a token of this file (token_table.h); empty: there are no tokens.
  std::string token_file = "";

  // Of each listener; HTTP has HttpServer::kMaxConnections at most.
  ClientLimit::Limits connections = {.total = 10'000, .per_client = 1'000};
  // Calls that one gRPC connection may have under way; further ones wait in the client.
  int max_streams = 10'000;
  // Streams and waiting receives of each client, that is token, or address where there is none.
  size_t max_client_streams = 10'000;
  // Of each client; 0: no limit.
  int64_t max_requests_per_second = 0;

  // Whether nobody comes in without a certificate or a token.
  bool authenticates() const { return !token_file.empty() || !tls.client_ca.empty(); }
};

// Who comes in and what they may do: the certificates and tokens of a server, read from files now
// and again when it is told. Thread-safe.
class Security {
 public:
  // Reads the files. Blocks. Errors of LoadTlsIdentity and, with the setting token_file,
  // TokenTable::Load: kInvalidArgument/InvalidParameterValue. `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<Security>> Open(const SecurityOptions& options,
                                                        const Clock* clock);

  // Reads the files again. What cannot be read or is wrong keeps its old state, and the status says
  // why; the other file is taken all the same. Blocks.
  absl::Status Reload();

  // From now on clients have the limits of `options`; of connections the listeners take care.
  void SetLimits(const SecurityOptions& options) { access_.SetLimits(LimitsOf(options)); }

  Access& access() { return access_; }
  // Null: no TLS.
  const TlsIdentitySource* tls() const { return tls_.get(); }

 private:
  static Access::Limits LimitsOf(const SecurityOptions& options) {
    return {.requests_per_second = options.max_requests_per_second,
            .streams_per_client = options.max_client_streams};
  }
  Security(const SecurityOptions& options, const Clock* clock,
           std::shared_ptr<const TokenTable> tokens, std::unique_ptr<TlsIdentitySource> tls);

  const SecurityOptions options_;
  Access access_;
  const std::unique_ptr<TlsIdentitySource> tls_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_SECURITY_H_
