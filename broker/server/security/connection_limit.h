#ifndef BROKER_SERVER_SECURITY_CONNECTION_LIMIT_H_
#define BROKER_SERVER_SECURITY_CONNECTION_LIMIT_H_

#include <cstddef>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace barista::server {

// How many connections a listener has, in all and of one client address. Thread-safe; outlives its
// slots.
class ConnectionLimit {
 public:
  struct Limits {
    size_t total = 10'000;
    size_t per_client = 1'000;
  };

  // The place of one connection; given back when destroyed.
  class Slot {
   public:
    Slot(Slot&& other) noexcept;
    Slot& operator=(Slot&&) = delete;
    ~Slot();

   private:
    friend class ConnectionLimit;
    Slot(ConnectionLimit* limit, std::string client);
    ConnectionLimit* limit_;  // null: moved away
    std::string client_;
  };

  explicit ConnectionLimit(const Limits& limits) : limits_(limits) {}
  ConnectionLimit(const ConnectionLimit&) = delete;
  ConnectionLimit& operator=(const ConnectionLimit&) = delete;

  // kResourceExhausted/TooManyConnections: one of the limits is reached; the text says which.
  absl::StatusOr<Slot> Take(absl::string_view client);

  size_t open() const;

  // From now on; connections that are open stay, also beyond it.
  void SetLimits(const Limits& limits);

 private:
  void GiveBack(const std::string& client);

  mutable std::mutex mutex_;
  Limits limits_;                                     // guarded by mutex_
  size_t open_ = 0;                                   // guarded by mutex_
  absl::flat_hash_map<std::string, size_t> clients_;  // guarded by mutex_; none has 0
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_CONNECTION_LIMIT_H_
