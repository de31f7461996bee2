#include "broker/server/security/tls_identity.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/server/security/private_file.h"

namespace barista::server {
namespace {

constexpr size_t kMaxPemBytes = 1 << 20;

template <typename T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using Certificate = std::unique_ptr<X509, Freer<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;

absl::Status Wrong(absl::string_view field, const std::string& file, absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, absl::StrCat(field, ": ", file, ": ", why),
                   {.reason = "InvalidParameterValue", .field = std::string(field), .value = file});
}

absl::StatusOr<std::string> ReadPem(absl::string_view field, const std::string& file) {
  absl::StatusOr<std::string> text = ReadSmallFile(file, kMaxPemBytes, Privacy::kAnyone);
  if (text.ok()) return text;
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat(field, ": ", text.status().message()),
                   {.reason = "InvalidParameterValue", .field = std::string(field), .value = file});
}

Bio OpenPem(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Never asks at the terminal for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

// The certificates of `text` in order; empty if one of them cannot be read.
std::vector<Certificate> ReadCertificates(const std::string& text) {
  const Bio bio = OpenPem(text);
  std::vector<Certificate> certificates;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, &NoPassphrase, nullptr)) {
    certificates.emplace_back(next);
  }
  const unsigned long error = ERR_peek_last_error();  // NOLINT(google-runtime-int)
  const bool at_end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) certificates.clear();
  return certificates;
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

// Checks that each of `certificates` is valid at `now`, and gives the end of the first to expire.
absl::StatusOr<absl::Time> CheckValidity(absl::string_view field, const std::string& file,
                                         const std::vector<Certificate>& certificates,
                                         absl::Time now) {
  absl::Time expires_at = absl::InfiniteFuture();
  for (const Certificate& certificate : certificates) {
    const absl::Time begin = TimeOf(X509_get0_notBefore(certificate.get()));
    const absl::Time end = TimeOf(X509_get0_notAfter(certificate.get()));
    if (now < begin) {
      return Wrong(field, file,
                   absl::StrCat("the certificate is not valid before ",
                                absl::FormatTime(begin, absl::UTCTimeZone())));
    }
    if (now > end) {
      return Wrong(field, file,
                   absl::StrCat("the certificate has expired on ",
                                absl::FormatTime(end, absl::UTCTimeZone())));
    }
    expires_at = std::min(expires_at, end);
  }
  return expires_at;
}

absl::Status CheckTogether(const TlsFiles& files) {
  const auto alone = [](absl::string_view field, const std::string& file, absl::string_view other) {
    return Wrong(field, file, absl::StrCat("needs ", other, " beside it"));
  };
  if (files.key.empty() != files.certificate.empty()) {
    return files.key.empty() ? alone("tls_cert", files.certificate, "tls_key")
                             : alone("tls_key", files.key, "tls_cert");
  }
  if (files.certificate.empty()) {
    return alone("tls_client_ca", files.client_ca, "tls_cert and tls_key");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsIdentity> LoadTlsIdentity(const TlsFiles& files, absl::Time now) {
  if (absl::Status together = CheckTogether(files); !together.ok()) return together;
  TlsIdentity identity;
  absl::StatusOr<std::string> text = ReadPem("tls_cert", files.certificate);
  if (!text.ok()) return text.status();
  identity.certificate_pem = *std::move(text);
  const std::vector<Certificate> chain = ReadCertificates(identity.certificate_pem);
  if (chain.empty()) return Wrong("tls_cert", files.certificate, "has no certificate in PEM");
  const absl::StatusOr<absl::Time> expires_at =
      CheckValidity("tls_cert", files.certificate, chain, now);
  if (!expires_at.ok()) return expires_at.status();
  identity.expires_at = *expires_at;

  text = ReadPem("tls_key", files.key);
  if (!text.ok()) return text.status();
  identity.key_pem = *std::move(text);
  const Bio bio = OpenPem(identity.key_pem);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassphrase, nullptr));
  const bool matches =
      key != nullptr && X509_check_private_key(chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return Wrong("tls_key", files.key, "has no private key in PEM without a passphrase");
  }
  if (!matches) {
    return Wrong("tls_key", files.key,
                 absl::StrCat("is not the key of the certificate in ", files.certificate));
  }

  if (!files.client_ca.empty()) {
    text = ReadPem("tls_client_ca", files.client_ca);
    if (!text.ok()) return text.status();
    identity.client_ca_pem = *std::move(text);
    if (ReadCertificates(identity.client_ca_pem).empty()) {
      return Wrong("tls_client_ca", files.client_ca, "has no certificate in PEM");
    }
  }
  return identity;
}

}  // namespace barista::server
