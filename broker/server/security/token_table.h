#ifndef BROKER_SERVER_SECURITY_TOKEN_TABLE_H_
#define BROKER_SERVER_SECURITY_TOKEN_TABLE_H_

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace barista::server {

// Some of the queues there are or will be: all, or names and prefixes of names. A value type.
class QueueSet {
 public:
  // Every queue, and what is of no queue.
  void AddAll() { all_ = true; }
  void AddName(std::string name) { names_.push_back(std::move(name)); }
  void AddPrefix(std::string prefix) { prefixes_.push_back(std::move(prefix)); }

  // O(names and prefixes).
  bool Covers(absl::string_view queue) const;
  // Whether every queue whose name begins with `prefix` is covered.
  bool CoversPrefix(absl::string_view prefix) const;

 private:
  bool all_ = false;
  std::vector<std::string> names_;
  std::vector<std::string> prefixes_;
};

using TokenDigest = std::array<unsigned char, 32>;  // SHA-256

// One bearer of rights. What `admin` covers may also be sent to and received from.
struct Token {
  std::string name;  // for logs, errors and limits; tells nothing about the secret
  TokenDigest digest = {};
  QueueSet admin, send, receive;
};

// The tokens of a token file. Immutable, so thread-safe.
//
// The file is YAML, as the file of --config is: people know it, it has comments, and errors have
// lines. It holds the SHA-256 of each token and not the token, so that neither a backup nor a
// glance gives a token away:
//
//   tokens:
//     - name: kitchen
//       sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
//       receive: [orders]               # names of queues
//       send: [shipments, "audit-*"]    # a last * makes a prefix
//     - name: operator
//       sha256: 486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7
//       admin: all                      # every queue, and the broker itself
//     - name: prometheus                  # no role: may read metrics, and nothing else
//       sha256: 5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5
class TokenTable {
 public:
  static constexpr size_t kMaxFileBytes = 4 << 20;
  static constexpr size_t kMaxTokens = 10'000;
  static constexpr size_t kMaxQueuesPerRole = 100;
  static constexpr size_t kMaxNameBytes = 80;
  // A longer token is unknown without a look.
  static constexpr size_t kMaxTokenBytes = 512;

  // Reads the file at `path`, which only its owner may read or write. Blocks.
  // kInvalidArgument, with the path and, where there is one, the line: it cannot be read, others
  // may read it, it is malformed, or two tokens share a name or a digest. No error quotes a digest,
  // nor what stands in its place.
  static absl::StatusOr<std::shared_ptr<const TokenTable>> Load(const std::string& path);
  // The same for `text`; errors call it `path`.
  static absl::StatusOr<std::shared_ptr<const TokenTable>> Parse(const std::string& text,
                                                                 const std::string& path);

  // The token whose secret is `secret`, or null; valid while the table is. Its time depends on the
  // digest of `secret` alone, of which who guesses controls nothing. A few hundred nanoseconds.
  const Token* Find(absl::string_view secret) const;

  size_t size() const { return tokens_.size(); }

 private:
  using Hash = std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)>;

  TokenTable();
  std::optional<TokenDigest> DigestOf(absl::string_view secret) const;

  const Hash sha256_;  // fetched once: a fetch takes locks
  std::vector<Token> tokens_;
  absl::flat_hash_map<uint64_t, size_t> by_digest_;  // the first 8 bytes of the digest → tokens_
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_TOKEN_TABLE_H_
