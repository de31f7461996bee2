// Certificates and keys that do not go together, or not now, are refused before anybody sees them.
#include "broker/server/security/tls_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "barista/error.h"
#include "tests/server/certificates.h"
#include "tests/server/server_fixture.h"
#include "tests/server/token_file.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TlsIdentityTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& text) {
    WritePrivateFile(directory_ / name, text);
    return directory_ / name;
  }

  // Refused for the setting `field`, in a text that has `what`.
  static void ExpectRefused(const TlsFiles& files, const std::string& field,
                            const std::string& what, absl::Time now = absl::Now()) {
    const absl::Status status = LoadTlsIdentity(files, now).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(GetErrorInfo(status).field, field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(what));
  }

  const TemporaryDirectory directory_;
  const CertificateAuthority authority_{"test root"};
  const PemPair pair_ = authority_.Issue();
  const std::string certificate_ = File("cert.pem", pair_.certificate);
  const std::string key_ = File("key.pem", pair_.key);
  const std::string root_ = File("ca.pem", authority_.root());
};

TEST_F(TlsIdentityTest, TakesWhatGoesTogether) {
  const auto plain = LoadTlsIdentity({certificate_, key_, ""}, absl::Now());
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_FALSE(plain->asks_for_client_certificates());
  EXPECT_EQ(plain->certificate_pem, pair_.certificate);
  const auto mutual = LoadTlsIdentity({certificate_, key_, root_}, absl::Now());
  ASSERT_TRUE(mutual.ok()) << mutual.status();
  EXPECT_TRUE(mutual->asks_for_client_certificates());
}

TEST_F(TlsIdentityTest, OneFileNeedsTheOthers) {
  ExpectRefused({certificate_, "", ""}, "tls_cert", "needs tls_key beside it");
  ExpectRefused({"", key_, ""}, "tls_key", "needs tls_cert beside it");
  ExpectRefused({"", "", root_}, "tls_client_ca", "needs tls_cert and tls_key beside it");
}

TEST_F(TlsIdentityTest, WhatCannotBeReadIsNamed) {
  const std::string none = directory_ / "none";
  const std::string junk = File("junk.pem", "espresso");
  const std::string broken =
      File("broken.pem", pair_.certificate + "-----BEGIN CERTIFICATE-----\n!\n");
  ExpectRefused({none, key_, ""}, "tls_cert", none);
  ExpectRefused({certificate_, none, ""}, "tls_key", none);
  ExpectRefused({certificate_, key_, none}, "tls_client_ca", none);
  ExpectRefused({junk, key_, ""}, "tls_cert", "has no certificate in PEM");
  ExpectRefused({broken, key_, ""}, "tls_cert", "has no certificate in PEM");
  ExpectRefused({certificate_, junk, ""}, "tls_key", "has no private key");
  ExpectRefused({certificate_, key_, junk}, "tls_client_ca", "has no certificate in PEM");
  ExpectRefused({key_, key_, ""}, "tls_cert", "has no certificate in PEM");
}

TEST_F(TlsIdentityTest, KeyOfAnotherCertificateIsRefusedAndNotQuoted) {
  const PemPair other = authority_.Issue();
  const TlsFiles files = {certificate_, File("other.pem", other.key), ""};
  ExpectRefused(files, "tls_key", "is not the key of the certificate in " + certificate_);
  EXPECT_THAT(std::string(LoadTlsIdentity(files, absl::Now()).status().message()),
              Not(HasSubstr(other.key.substr(40, 20))));
}

TEST_F(TlsIdentityTest, CertificateIsValidFromItsFirstToItsLastSecond) {
  const absl::Time begin = absl::FromUnixSeconds(1'800'000'000);
  const absl::Time end = begin + absl::Hours(1);
  const PemPair pair = authority_.Issue(begin, end);
  const TlsFiles files = {File("c.pem", pair.certificate), File("k.pem", pair.key), ""};
  EXPECT_TRUE(LoadTlsIdentity(files, begin).ok());
  const auto identity = LoadTlsIdentity(files, end);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->expires_at, end);
  ExpectRefused(files, "tls_cert", "is not valid before 2027-01-15T08:00:00",
                begin - absl::Seconds(1));
  ExpectRefused(files, "tls_cert", "has expired on 2027-01-15T09:00:00", end + absl::Seconds(1));
}

TEST_F(TlsIdentityTest, EveryCertificateOfTheChainMustBeValid) {
  const CertificateAuthority other("another root");
  const PemPair old = other.Issue(absl::Now() - absl::Hours(2), absl::Now() - absl::Hours(1));
  ExpectRefused({File("chain.pem", pair_.certificate + old.certificate), key_, ""}, "tls_cert",
                "has expired");
}

}  // namespace
}  // namespace barista::server
