#ifndef BROKER_SERVER_SECURITY_TLS_IDENTITY_H_
#define BROKER_SERVER_SECURITY_TLS_IDENTITY_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace barista::server {

// The files with which listeners speak TLS; all empty: they do not.
struct TlsFiles {
  std::string certificate;  // PEM: our certificate, then those between it and its root
  std::string key;          // PEM: its private key, without a passphrase
  std::string client_ca;    // PEM: the roots of client certificates; empty: none are asked for

  bool any() const { return !certificate.empty() || !key.empty() || !client_ca.empty(); }
};

// What the files hold. A value.
struct TlsIdentity {
  std::string certificate_pem, key_pem, client_ca_pem;
  absl::Time expires_at;  // the first of our certificates to expire

  bool asks_for_client_certificates() const { return !client_ca_pem.empty(); }
};

// Reads and checks `files` as a whole. Blocks. kInvalidArgument, with the setting (tls_cert,
// tls_key, tls_client_ca) and the file: one without the others that it needs, not readable, not
// PEM, a key with a passphrase or of another certificate, a certificate that at `now` is not valid
// yet or not any more. No error quotes the key.
absl::StatusOr<TlsIdentity> LoadTlsIdentity(const TlsFiles& files, absl::Time now);

// The identity that new connections get; those that are open keep theirs. Thread-safe.
class TlsIdentitySource {
 public:
  using Snapshot = std::shared_ptr<const TlsIdentity>;

  explicit TlsIdentitySource(Snapshot first) : current_(std::move(first)) {}

  Snapshot Current() const { return current_.load(std::memory_order_acquire); }
  void Replace(Snapshot next) { current_.store(std::move(next), std::memory_order_release); }

 private:
  // Replace stores it, each handshake loads it: release and acquire, so that who sees an identity
  // sees what is in it.
  std::atomic<Snapshot> current_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_TLS_IDENTITY_H_
