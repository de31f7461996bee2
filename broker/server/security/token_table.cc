#include "broker/server/security/token_table.h"

#include <openssl/crypto.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "broker/server/security/private_file.h"

namespace barista::server {
namespace {

// The key under which by_digest_ holds a digest.
uint64_t KeyOf(const TokenDigest& digest) {
  uint64_t key = 0;
  std::memcpy(&key, digest.data(), sizeof(key));
  return key;
}

// Reads the nodes of one file; errors say where.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  absl::Status Wrong(const YAML::Node& node, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", node.Mark().line + 1, ": ", what));
  }

  absl::StatusOr<Token> ReadToken(const YAML::Node& node) const {
    if (!node.IsMap()) return Wrong(node, "expected a token: name, sha256 and roles");
    Token token;
    absl::flat_hash_set<std::string> seen;
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      if (!seen.insert(key).second) return Wrong(entry.first, absl::StrCat(key, ": given twice"));
      absl::Status status;
      if (key == "name") {
        status = ReadName(entry.second, token.name);
      } else if (key == "sha256") {
        status = ReadDigest(entry.second, token.digest);
      } else if (key == "admin") {
        status = ReadQueues(key, entry.second, token.admin);
      } else if (key == "send") {
        status = ReadQueues(key, entry.second, token.send);
      } else if (key == "receive") {
        status = ReadQueues(key, entry.second, token.receive);
      } else {
        status = Wrong(entry.first, absl::StrCat("unknown key \"", absl::CHexEscape(key),
                                                 "\"; known: name sha256 admin send receive"));
      }
      if (!status.ok()) return status;
    }
    for (const char* key : {"name", "sha256"}) {
      if (!seen.contains(key)) return Wrong(node, absl::StrCat("the token has no ", key));
    }
    return token;
  }

 private:
  absl::Status ReadName(const YAML::Node& node, std::string& name) const {
    name = node.IsScalar() ? node.Scalar() : "";
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' || c == '@';
    });
    if (name.empty() || name.size() > TokenTable::kMaxNameBytes || !plain) {
      return Wrong(node, absl::StrCat("name: expected 1 to ", TokenTable::kMaxNameBytes,
                                      " of A-Z a-z 0-9 - _ . @"));
    }
    return absl::OkStatus();
  }

  // Quotes nothing: the token itself may stand there by mistake.
  absl::Status ReadDigest(const YAML::Node& node, TokenDigest& digest) const {
    const std::string text = node.IsScalar() ? node.Scalar() : "";
    const bool hex = std::all_of(text.begin(), text.end(), absl::ascii_isxdigit);
    if (text.size() != 2 * digest.size() || !hex) {
      return Wrong(node, absl::StrCat("sha256: expected 64 hexadecimal digits, there are ",
                                      text.size(), " characters"));
    }
    const std::string bytes = absl::HexStringToBytes(text);
    std::copy(bytes.begin(), bytes.end(), digest.begin());
    return absl::OkStatus();
  }

  absl::Status ReadQueues(absl::string_view role, const YAML::Node& node, QueueSet& queues) const {
    if (node.IsScalar() && node.Scalar() == "all") {
      queues.AddAll();
      return absl::OkStatus();
    }
    if (!node.IsSequence()) {
      return Wrong(node,
                   absl::StrCat(role, ": expected all, or a list like [orders, \"audit-*\"]"));
    }
    if (node.size() > TokenTable::kMaxQueuesPerRole) {
      return Wrong(node, absl::StrCat(role, ": ", node.size(), " queues; limit ",
                                      TokenTable::kMaxQueuesPerRole));
    }
    for (const auto& entry : node) {
      const std::string text = entry.IsScalar() ? entry.Scalar() : "";
      absl::string_view name = text;
      const bool prefix = absl::ConsumeSuffix(&name, "*");
      if (name.empty() || absl::StrContains(name, '*')) {
        return Wrong(entry, absl::StrCat(role, ": \"", absl::CHexEscape(text),
                                         "\" is neither the name of a queue nor a prefix with one "
                                         "* at its end; every queue is \"",
                                         role, ": all\""));
      }
      prefix ? queues.AddPrefix(std::string(name)) : queues.AddName(std::string(name));
    }
    return absl::OkStatus();
  }

  const std::string& path_;
};

}  // namespace

bool QueueSet::Covers(absl::string_view queue) const {
  if (all_) return true;
  if (queue.empty()) return false;
  return std::any_of(names_.begin(), names_.end(),
                     [&](const auto& name) { return queue == name; }) ||
         CoversPrefix(queue);
}

bool QueueSet::CoversPrefix(absl::string_view prefix) const {
  return all_ || std::any_of(prefixes_.begin(), prefixes_.end(), [&](const auto& covered) {
           return absl::StartsWith(prefix, covered);
         });
}

TokenTable::TokenTable() : sha256_(EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free) {}

absl::StatusOr<std::shared_ptr<const TokenTable>> TokenTable::Load(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxFileBytes, Privacy::kOwnerOnly);
  if (!text.ok()) return text.status();
  return Parse(*text, path);
}

absl::StatusOr<std::shared_ptr<const TokenTable>> TokenTable::Parse(const std::string& text,
                                                                    const std::string& path) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
  }
  const Reader reader(path);
  if (!root.IsMap() || root.size() != 1 || !root["tokens"] || !root["tokens"].IsSequence()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1: expected one key, \"tokens:\", with a list of tokens"));
  }
  const YAML::Node list = root["tokens"];
  if (list.size() > kMaxTokens) {
    return reader.Wrong(list, absl::StrCat(list.size(), " tokens; limit ", kMaxTokens));
  }
  const std::shared_ptr<TokenTable> table(new TokenTable);
  absl::flat_hash_set<std::string> names;
  for (const auto& node : list) {
    absl::StatusOr<Token> token = reader.ReadToken(node);
    if (!token.ok()) return token.status();
    if (!names.insert(token->name).second) {
      return reader.Wrong(node, absl::StrCat("there are two tokens with the name ", token->name));
    }
    if (!table->by_digest_.emplace(KeyOf(token->digest), table->tokens_.size()).second) {
      return reader.Wrong(node, absl::StrCat(token->name, " has the sha256 of another token"));
    }
    table->tokens_.push_back(*std::move(token));
  }
  return std::shared_ptr<const TokenTable>(table);
}

std::optional<TokenDigest> TokenTable::DigestOf(absl::string_view secret) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  TokenDigest digest;
  if (context == nullptr || EVP_DigestInit_ex2(context.get(), sha256_.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), secret.data(), secret.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    return std::nullopt;
  }
  return digest;
}

const Token* TokenTable::Find(absl::string_view secret) const {
  if (secret.size() > kMaxTokenBytes) return nullptr;
  const std::optional<TokenDigest> digest = DigestOf(secret);
  if (!digest.has_value()) return nullptr;
  const auto found = by_digest_.find(KeyOf(*digest));
  if (found == by_digest_.end()) return nullptr;
  const Token& token = tokens_[found->second];
  const bool same = CRYPTO_memcmp(token.digest.data(), digest->data(), digest->size()) == 0;
  return same ? &token : nullptr;
}

}  // namespace barista::server
