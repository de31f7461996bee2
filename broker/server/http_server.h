#ifndef BROKER_SERVER_HTTP_SERVER_H_
#define BROKER_SERVER_HTTP_SERVER_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "broker/server/listen_address.h"
#include "broker/server/security/client_limit.h"
#include "broker/server/security/tls_identity.h"

namespace barista::server {

struct HttpRequest {
  std::string method;  // "GET"; HEAD arrives as GET
  std::string path;    // decoded, without the query
  std::map<std::string, std::string> query;
  std::string body;
  std::string authorization = "";  // the header of that name; a secret, never logged
  std::string request_id = "";     // what the client gave, if that is sane, or one of ours
  std::string client = "";         // the address of the other side, without the port
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string allow = "";  // the header Allow of a 405
};

// {"error":{"reason","message"}} with `status`.
HttpResponse HttpError(int status, absl::string_view reason, absl::string_view message);
// The same for an error of the engine, with its field, value and limit.
HttpResponse HttpError(const absl::Status& status);

// Must be called exactly once, from any thread, while the server lives.
using HttpReply = std::function<void(HttpResponse)>;
// Runs on the server's thread and must not block.
using HttpHandler = std::function<void(HttpRequest, HttpReply)>;

// Small HTTP/1.1 listeners: one thread for all of them, asynchronous, with keep-alive. For
// administration and light traffic. Each response has the header x-request-id, and each that is an
// error is in the log with it. Thread-safe but for Listen, which comes before Start.
class HttpServer {
 public:
  // Of a listener, if its limits do not say less; further ones are closed at once.
  static constexpr size_t kMaxConnections = 512;
  static constexpr size_t kMaxHeaderBytes = 16 << 10;
  static constexpr size_t kMaxBodyBytes = 2 << 20;
  // Of a connection between requests, and of all that one request, or one reply, may take.
  static constexpr absl::Duration kIdle = absl::Seconds(60);
  // Bytes of replies that clients have not read, of all and of one address; a reply that is too
  // much becomes a 503. Small ones do not count.
  static constexpr size_t kMaxReplyBytes = 128 << 20;
  static constexpr size_t kMaxClientReplyBytes = 32 << 20;
  static constexpr size_t kSmallReplyBytes = 64 << 10;

  // `limits` are those of each listener. `identities`: null for plain HTTP; else all listeners
  // speak TLS, each connection as the one that is current when it begins. Outlives the server.
  // A connection that is idle for `idle`, or needs longer for a request or a reply, is closed.
  explicit HttpServer(const ClientLimit::Limits& limits,
                      const TlsIdentitySource* identities = nullptr, absl::Duration idle = kIdle);
  // Stop().
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Binds and listens; the result has the real port. kUnavailable: cannot be listened on.
  absl::StatusOr<ListenAddress> Listen(const ListenAddress& address, HttpHandler handler);
  // Starts to accept.
  void Start();
  // Open ones, of all listeners. From any thread.
  size_t connections() const;
  // The limits of each listener from now on. Thread-safe.
  void SetLimits(const ClientLimit::Limits& limits);
  // Calls `answered` on the thread of the server, soon if that goes round; not after Stop.
  void Ping(std::function<void()> answered);
  // Closes listeners and connections and joins the thread. Replies that come later are dropped.
  void Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_HTTP_SERVER_H_
