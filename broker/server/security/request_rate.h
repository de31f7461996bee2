#ifndef BROKER_SERVER_SECURITY_REQUEST_RATE_H_
#define BROKER_SERVER_SECURITY_REQUEST_RATE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/base/optimization.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/clock.h"

namespace barista::server {

// How many requests each client may make: a bucket per client that holds the requests of one
// second and fills at `per_second`. Thread-safe; clients of different shards do not meet.
//
// Memory is bounded: a bucket that is full again is forgotten when room is needed, and clients
// beyond kMaxClients within one second share the bucket of their shard.
class RequestRate {
 public:
  static constexpr size_t kMaxClients = 65'536;
  static constexpr int64_t kMaxPerSecond = 1'000'000;

  // `per_second` in [0, kMaxPerSecond]; 0: no limit. `clock` outlives it.
  RequestRate(int64_t per_second, const Clock* clock);

  // Takes one request out of `client`'s bucket; false: it is empty.
  bool Admit(absl::string_view client);

  int64_t per_second() const { return per_second_.load(std::memory_order_relaxed); }
  // From now on; what clients have taken counts on.
  void set_per_second(int64_t per_second) {
    per_second_.store(per_second, std::memory_order_relaxed);
  }
  size_t clients() const;  // those with a bucket of their own

 private:
  static constexpr size_t kShards = 16;

  struct alignas(ABSL_CACHELINE_SIZE) Shard {
    mutable std::mutex mutex;
    // When the bucket of each client is full again. Guarded by mutex, as the two below.
    absl::flat_hash_map<std::string, absl::Duration> full_at;
    absl::Duration shared_full_at = absl::ZeroDuration();
    absl::Duration swept_at = -absl::InfiniteDuration();
  };

  // The place of `client`'s bucket. Under the shard's mutex.
  absl::Duration& BucketOf(Shard& shard, absl::string_view client, absl::Duration now) const;

  // A reload stores it, each request loads it once. It publishes nothing else, so relaxed is
  // enough.
  std::atomic<int64_t> per_second_;
  const Clock* const clock_;
  std::array<Shard, kShards> shards_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_REQUEST_RATE_H_
