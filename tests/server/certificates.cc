#include "tests/server/certificates.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <cstdlib>

namespace barista::server {
namespace {

void Must(bool done) {
  if (!done) std::abort();
}

template <typename Write>
std::string ToPem(const Write& write) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), &BIO_free_all);
  Must(write(bio.get()) == 1);
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(bio.get(), &data);  // NOLINT(google-runtime-int)
  return std::string(data, static_cast<size_t>(bytes));
}

void AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  Must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

}  // namespace

CertificateAuthority::CertificateAuthority(const std::string& name)
    : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free), root_(nullptr, &X509_free) {
  root_ = Make(name, key_.get(), true, absl::Now() - absl::Hours(24 * 365),
               absl::Now() + absl::Hours(24 * 365));
  root_pem_ = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, root_.get()); });
}

CertificateAuthority::Certificate CertificateAuthority::Make(const std::string& name, EVP_PKEY* key,
                                                             bool is_root, absl::Time not_before,
                                                             absl::Time not_after) const {
  Certificate certificate(X509_new(), &X509_free);
  X509* const raw = certificate.get();
  Must(X509_set_version(raw, 2) == 1);
  uint64_t serial = 0;
  Must(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(raw), serial >> 1);
  ASN1_TIME_set(X509_getm_notBefore(raw), absl::ToTimeT(not_before));
  ASN1_TIME_set(X509_getm_notAfter(raw), absl::ToTimeT(not_after));
  Must(X509_set_pubkey(raw, key) == 1);
  X509_NAME* const subject = X509_get_subject_name(raw);
  Must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                  reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                  0) == 1);
  X509* const issuer = is_root ? raw : root_.get();
  Must(X509_set_issuer_name(raw, X509_get_subject_name(issuer)) == 1);
  AddExtension(raw, issuer, NID_basic_constraints, is_root ? "critical,CA:TRUE" : "CA:FALSE");
  if (!is_root) AddExtension(raw, issuer, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
  Must(X509_sign(raw, key_.get(), EVP_sha256()) > 0);
  return certificate;
}

PemPair CertificateAuthority::Issue(absl::Time not_before, absl::Time not_after) const {
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Certificate certificate = Make("localhost", key.get(), false, not_before, not_after);
  return {
      .certificate = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }),
      .key = ToPem([&](BIO* bio) {
        return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
      })};
}

}  // namespace barista::server
