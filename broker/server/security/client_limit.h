#ifndef BROKER_SERVER_SECURITY_CLIENT_LIMIT_H_
#define BROKER_SERVER_SECURITY_CLIENT_LIMIT_H_

#include <cstddef>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace barista::server {

// How much of one thing clients have, each and all together: connections, streams, bytes that wait
// for who does not read. Thread-safe; outlives its shares. Memory follows the clients that have
// something.
class ClientLimit {
 public:
  struct Limits {
    size_t total = 0;
    size_t per_client = 0;
  };
  // What is limited, in the words of its errors.
  struct Thing {
    const char* plural;        // "connections"
    const char* reason;        // "TooManyConnections"
    const char* owner;         // of them all: "the listener"
    const char* total_field;   // "max_connections"
    const char* client_field;  // "max_client_connections"
  };

  // What one client has taken; given back when destroyed.
  class Share {
   public:
    Share(Share&& other) noexcept;
    Share& operator=(Share&&) = delete;
    ~Share();

   private:
    friend class ClientLimit;
    Share(ClientLimit* limit, std::string client, size_t amount);
    ClientLimit* limit_;  // null: moved away
    std::string client_;
    size_t amount_;
  };

  ClientLimit(const Thing& thing, const Limits& limits) : thing_(thing), limits_(limits) {}
  ClientLimit(const ClientLimit&) = delete;
  ClientLimit& operator=(const ClientLimit&) = delete;

  // kResourceExhausted with the thing's reason: `amount` more would be more than one of the limits;
  // the text says which, and whose. Nothing is taken then.
  absl::StatusOr<Share> Take(absl::string_view client, size_t amount = 1);

  // What all together have.
  size_t taken() const;

  // From now on; what has been taken stays, also beyond it.
  void SetLimits(const Limits& limits);

 private:
  void GiveBack(const std::string& client, size_t amount);

  const Thing thing_;
  mutable std::mutex mutex_;
  Limits limits_;                                     // guarded by mutex_
  size_t taken_ = 0;                                  // guarded by mutex_
  absl::flat_hash_map<std::string, size_t> clients_;  // guarded by mutex_; none has 0
};

// Connections of a listener.
inline constexpr ClientLimit::Thing kConnections = {"connections", "TooManyConnections",
                                                    "the listener", "max_connections",
                                                    "max_client_connections"};
// What clients have asked for and do not read.
inline constexpr ClientLimit::Thing kReplies = {
    "bytes of replies that wait to be read", "TooManyReplyBytes", "the broker", "reply", "reply"};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_CLIENT_LIMIT_H_
