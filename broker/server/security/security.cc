#include "broker/server/security/security.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "barista/error.h"
#include "broker/server/security/http_tls.h"
#include "broker/server/security/token_table.h"

namespace barista::server {
namespace {

absl::StatusOr<std::shared_ptr<const TokenTable>> ReadTokens(const std::string& file) {
  auto tokens = TokenTable::Load(file);
  if (tokens.ok()) return tokens;
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("token_file: ", tokens.status().message()),
                   {.reason = "InvalidParameterValue", .field = "token_file", .value = file});
}

// Handshakes go by the machine's clock, whatever clock the broker has.
absl::StatusOr<TlsIdentitySource::Snapshot> ReadIdentity(const TlsFiles& files) {
  absl::StatusOr<TlsIdentity> identity = LoadTlsIdentity(files, absl::Now());
  if (!identity.ok()) return identity.status();
  // What OpenSSL does not take for other reasons, such as a key that is too short, shows here.
  const auto usable = MakeHttpTls(*identity);
  if (!usable.ok()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("tls_cert: ", files.certificate, ": ", usable.status().message()),
        {.reason = "InvalidParameterValue", .field = "tls_cert", .value = files.certificate});
  }
  spdlog::info("TLS certificate {} is valid until {}", files.certificate,
               absl::FormatTime(identity->expires_at, absl::UTCTimeZone()));
  return std::make_shared<const TlsIdentity>(*std::move(identity));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Security>> Security::Open(const SecurityOptions& options,
                                                         const Clock* clock) {
  std::shared_ptr<const TokenTable> tokens;
  if (!options.token_file.empty()) {
    auto read = ReadTokens(options.token_file);
    if (!read.ok()) return read.status();
    tokens = *std::move(read);
  }
  std::unique_ptr<TlsIdentitySource> tls;
  if (options.tls.any()) {
    auto read = ReadIdentity(options.tls);
    if (!read.ok()) return read.status();
    tls = std::make_unique<TlsIdentitySource>(*std::move(read));
  }
  return std::unique_ptr<Security>(new Security(options, clock, std::move(tokens), std::move(tls)));
}

Security::Security(const SecurityOptions& options, const Clock* clock,
                   std::shared_ptr<const TokenTable> tokens, std::unique_ptr<TlsIdentitySource> tls)
    : options_(options),
      access_(std::move(tokens), LimitsOf(options), clock),
      tls_(std::move(tls)) {}

absl::Status Security::Reload() {
  absl::Status failed;
  if (access_.has_tokens()) {
    auto read = ReadTokens(options_.token_file);
    if (read.ok()) {
      access_.Replace(*std::move(read));
    } else {
      failed = read.status();
    }
  }
  if (tls_ != nullptr) {
    auto read = ReadIdentity(options_.tls);
    if (read.ok()) {
      tls_->Replace(*std::move(read));
    } else if (failed.ok()) {
      failed = read.status();
    } else {
      failed =
          absl::InvalidArgumentError(absl::StrCat(failed.message(), "; ", read.status().message()));
    }
  }
  return failed;
}

}  // namespace barista::server
