#include "broker/server/security/request_rate.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace barista::server {

RequestRate::RequestRate(int64_t per_second, const Clock* clock)
    : per_second_(per_second), clock_(clock) {}

bool RequestRate::Admit(absl::string_view client) {
  const int64_t per_second = this->per_second();
  if (per_second == 0) return true;
  const absl::Duration interval = absl::Seconds(1) / per_second;  // in which one flows in
  Shard& shard = shards_[absl::Hash<absl::string_view>()(client) % kShards];
  const std::lock_guard<std::mutex> lock(shard.mutex);
  // Under the lock: times only go on for a bucket.
  const absl::Duration now = clock_->Monotonic();
  absl::Duration& full_at = BucketOf(shard, client, now);
  const absl::Duration next = std::max(full_at, now) + interval;
  if (next - now > interval * per_second) return false;
  full_at = next;
  return true;
}

absl::Duration& RequestRate::BucketOf(Shard& shard, absl::string_view client,
                                      absl::Duration now) const {
  const auto found = shard.full_at.find(client);
  if (found != shard.full_at.end()) return found->second;
  // A bucket is full after a second: looking for such ones more often would find few.
  if (shard.full_at.size() >= kMaxClients / kShards && now - shard.swept_at >= absl::Seconds(1)) {
    absl::erase_if(shard.full_at, [&](const auto& bucket) { return bucket.second <= now; });
    shard.swept_at = now;
  }
  if (shard.full_at.size() >= kMaxClients / kShards) return shard.shared_full_at;
  return shard.full_at[client];
}

size_t RequestRate::clients() const {
  size_t count = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    count += shard.full_at.size();
  }
  return count;
}

}  // namespace barista::server
