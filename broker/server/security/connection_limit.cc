#include "broker/server/security/connection_limit.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::server {

ConnectionLimit::Slot::Slot(ConnectionLimit* limit, std::string client)
    : limit_(limit), client_(std::move(client)) {}

ConnectionLimit::Slot::Slot(Slot&& other) noexcept
    : limit_(std::exchange(other.limit_, nullptr)), client_(std::move(other.client_)) {}

ConnectionLimit::Slot::~Slot() {
  if (limit_ != nullptr) limit_->GiveBack(client_);
}

absl::StatusOr<ConnectionLimit::Slot> ConnectionLimit::Take(absl::string_view client) {
  const auto refuse = [&](absl::string_view field, absl::string_view whose, size_t limit) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     absl::StrCat(whose, " has ", limit, " connections; limit ", limit),
                     {.reason = "TooManyConnections",
                      .field = std::string(field),
                      .value = std::string(client),
                      .limit = absl::StrCat(limit)});
  };
  const std::lock_guard<std::mutex> lock(mutex_);
  if (open_ >= limits_.total) return refuse("max_connections", "the listener", limits_.total);
  const auto found = clients_.find(client);
  if (found != clients_.end() && found->second >= limits_.per_client) {
    return refuse("max_client_connections", client, limits_.per_client);
  }
  ++clients_[client];
  ++open_;
  return Slot(this, std::string(client));
}

void ConnectionLimit::GiveBack(const std::string& client) {
  const std::lock_guard<std::mutex> lock(mutex_);
  --open_;
  const auto found = clients_.find(client);
  if (--found->second == 0) clients_.erase(found);
}

void ConnectionLimit::SetLimits(const Limits& limits) {
  const std::lock_guard<std::mutex> lock(mutex_);
  limits_ = limits;
}

size_t ConnectionLimit::open() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return open_;
}

}  // namespace barista::server
