#include "broker/server/security/client_limit.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::server {

ClientLimit::Share::Share(ClientLimit* limit, std::string client, size_t amount)
    : limit_(limit), client_(std::move(client)), amount_(amount) {}

ClientLimit::Share::Share(Share&& other) noexcept
    : limit_(std::exchange(other.limit_, nullptr)),
      client_(std::move(other.client_)),
      amount_(other.amount_) {}

ClientLimit::Share::~Share() {
  if (limit_ != nullptr) limit_->GiveBack(client_, amount_);
}

absl::StatusOr<ClientLimit::Share> ClientLimit::Take(absl::string_view client, size_t amount) {
  const auto refuse = [&](const char* field, absl::string_view whose, size_t taken, size_t limit) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     absl::StrCat(whose, " has ", taken, " ", thing_.plural, " and wants ", amount,
                                  " more; limit ", limit),
                     {.reason = thing_.reason,
                      .field = field,
                      .value = absl::StrCat(taken + amount),
                      .limit = absl::StrCat(limit)});
  };
  const std::lock_guard<std::mutex> lock(mutex_);
  if (taken_ + amount > limits_.total) {
    return refuse(thing_.total_field, thing_.owner, taken_, limits_.total);
  }
  const auto found = clients_.find(client);
  const size_t taken = found == clients_.end() ? 0 : found->second;
  if (taken + amount > limits_.per_client) {
    return refuse(thing_.client_field, client, taken, limits_.per_client);
  }
  if (found == clients_.end()) {
    clients_.emplace(std::string(client), amount);
  } else {
    found->second += amount;
  }
  taken_ += amount;
  return Share(this, std::string(client), amount);
}

void ClientLimit::GiveBack(const std::string& client, size_t amount) {
  const std::lock_guard<std::mutex> lock(mutex_);
  taken_ -= amount;
  const auto found = clients_.find(client);
  found->second -= amount;
  if (found->second == 0) clients_.erase(found);
}

void ClientLimit::SetLimits(const Limits& limits) {
  const std::lock_guard<std::mutex> lock(mutex_);
  limits_ = limits;
}

size_t ClientLimit::taken() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return taken_;
}

}  // namespace barista::server
