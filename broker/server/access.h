#ifndef BROKER_SERVER_ACCESS_H_
#define BROKER_SERVER_ACCESS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "barista/clock.h"
#include "broker/server/security/client_limit.h"
#include "broker/server/security/log_gate.h"
#include "broker/server/security/request_rate.h"
#include "broker/server/security/token_table.h"

namespace barista::server {

// What an action needs. What the table in access.cc does not name needs kAdmin.
enum class Need {
  kNothing,  // open to everybody
  kToken,    // any token
  kRole,     // any role on the queue
  kList,     // any role on every queue whose name begins with what is given as the queue
  kSend,     // the role of that name on the queue, or admin
  kReceive,
  kAdmin,
};
Need NeedOf(absl::string_view action);

// Who asks. Looked at only as far as it matters.
class Caller {
 public:
  virtual ~Caller() = default;
  // The value of the header or metadata entry `authorization`; empty: there is none.
  virtual absl::string_view Authorization() const = 0;
  // The address without the port: "10.1.2.3", "::1", "unix".
  virtual std::string Client() const = 0;
};

// Who may do what, how often, and how much at once. Thread-safe; checks of different clients share
// no lock.
//
// A client is a token, or an address where there is none.
//
// Without tokens everybody may do everything: then the listener's address or client certificates
// decide who comes in.
class Access {
 public:
  struct Limits {
    int64_t requests_per_second = 0;  // of a client; 0: no limit
    size_t streams_per_client = 10'000;
  };
  // Bytes of replies that clients have not read: of all, and of one. Fixed, since who reads its
  // replies never has so many.
  static constexpr size_t kMaxReplyBytes = 256 << 20;
  static constexpr size_t kMaxClientReplyBytes = 64 << 20;
  // Smaller replies do not count.
  static constexpr size_t kSmallReplyBytes = 64 << 10;

  // `tokens` null: there are none, and there never will be. `clock` outlives it.
  Access(std::shared_ptr<const TokenTable> tokens, const Limits& limits, const Clock* clock);

  // Whether `caller` may do `action` on `queue` now. `action` is the name of the RPC, or the path
  // of an administration request; `queue` is empty for what is of no queue, which needs a role on
  // all. Well below a microsecond.
  //
  // Each check of what needs anything counts as one request. A stream is checked once per queue
  // that it names; it then goes on until it ends, also when its token is taken away meanwhile.
  //
  // kUnauthenticated/MissingAuthenticationToken: no bearer token. kUnauthenticated/
  // InvalidClientTokenId: no token of the table. kPermissionDenied/AccessDenied: the token has no
  // role for this; the text names action and queue. kResourceExhausted/RequestThrottled: too many
  // requests of this client; repeat later. No error says anything about the secret. Refusals are
  // logged, at most one in LogGate::kInterval.
  absl::Status Check(const Caller& caller, absl::string_view action, absl::string_view queue);

  // The place of a stream, or of a receive that waits, among those of its client.
  // kResourceExhausted/TooManyStreams: it has its number already.
  absl::StatusOr<ClientLimit::Share> TakeStream(const Caller& caller);
  // Room for a reply whose bodies have so many bytes until it has left; nothing to take for a small
  // one. kResourceExhausted/TooManyReplyBytes: the client does not read those before, or many do
  // not.
  absl::StatusOr<std::optional<ClientLimit::Share>> TakeReply(const Caller& caller, size_t bytes);

  // Whether any check can refuse anything.
  bool active() const { return has_tokens_ || rate_.per_second() > 0; }
  bool has_tokens() const { return has_tokens_; }

  // From now on checks go by `tokens`. Only where there were tokens before.
  void Replace(std::shared_ptr<const TokenTable> tokens);
  // From now on. What clients have stays, also beyond it.
  void SetLimits(const Limits& limits);

 private:
  static ClientLimit::Limits StreamLimits(const Limits& limits);
  absl::Status Decide(const Caller& caller, absl::string_view action, Need need,
                      absl::string_view queue);
  void LogRefusal(const Caller& caller, absl::string_view action, absl::string_view queue,
                  const absl::Status& status);
  // `token NAME`, or the address of who shows no token that is known.
  std::string ClientOf(const Caller& caller) const;

  const bool has_tokens_;
  RequestRate rate_;
  const Clock* const clock_;
  // Replace stores it, each check loads it: release and acquire, so that who sees a table sees what
  // is in it. A check goes on with the table it has loaded.
  std::atomic<std::shared_ptr<const TokenTable>> tokens_;
  ClientLimit streams_, replies_;
  LogGate log_gate_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_ACCESS_H_
