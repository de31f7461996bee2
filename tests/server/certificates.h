#ifndef TESTS_SERVER_CERTIFICATES_H_
#define TESTS_SERVER_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace barista::server {

// A certificate and its private key, in PEM.
struct PemPair {
  std::string certificate;
  std::string key;
};

// A certificate authority with a key of its own, for the time of a test.
class CertificateAuthority {
 public:
  explicit CertificateAuthority(const std::string& name);

  // What those who trust it trust.
  const std::string& root() const { return root_pem_; }

  // A certificate for 127.0.0.1 and localhost with a new key, as server or as client.
  PemPair Issue(absl::Time not_before = absl::Now() - absl::Hours(1),
                absl::Time not_after = absl::Now() + absl::Hours(1)) const;

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  Certificate Make(const std::string& name, EVP_PKEY* key, bool is_root, absl::Time not_before,
                   absl::Time not_after) const;

  Key key_;
  Certificate root_;
  std::string root_pem_;
};

}  // namespace barista::server

#endif  // TESTS_SERVER_CERTIFICATES_H_
