#ifndef BROKER_SERVER_SECURITY_GRPC_ACCEPTOR_H_
#define BROKER_SERVER_SECURITY_GRPC_ACCEPTOR_H_

#include <grpcpp/server_builder.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/server/listen_address.h"
#include "broker/server/security/client_limit.h"
#include "broker/server/security/log_gate.h"

namespace barista::server {

// Listens for a gRPC server, which cannot limit its connections itself: accepts on one thread,
// closes what is beyond the limits, and hands the rest over. Handshakes begin on that thread, one
// after the other, as the reload of certificates needs (grpc_credentials.h).
//
// Of each connection it keeps a second descriptor, on which it waits for the end and nothing else.
// Thread-compatible; Listen, Start, Stop come in this order.
class GrpcAcceptor {
 public:
  explicit GrpcAcceptor(const ClientLimit::Limits& limits);
  // Stop().
  ~GrpcAcceptor();
  GrpcAcceptor(const GrpcAcceptor&) = delete;
  GrpcAcceptor& operator=(const GrpcAcceptor&) = delete;

  // Binds and listens: on every address that a host name has and this machine too, with one port.
  // The result has the real port. Connections wait until Start. A Unix socket that nobody answers
  // is taken over. kUnavailable: cannot be listened on; the text names the address and says why.
  absl::StatusOr<ListenAddress> Listen(const ListenAddress& address);

  // Hands connections to `server`, which has been started and ends after Stop().
  void Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server);

  // Closes the listeners, not the connections, and joins the thread. Idempotent.
  void Stop();

  const ClientLimit& connections() const { return limit_; }
  // From now on. Thread-safe.
  void SetLimits(const ClientLimit::Limits& limits) { limit_.SetLimits(limits); }

 private:
  // Closes what it holds.
  class Descriptor {
   public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept;
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();
    int get() const { return fd_; }
    // Gives it away.
    int Release() { return std::exchange(fd_, -1); }

   private:
    int fd_;
  };
  struct Connection {
    Descriptor watched;
    ClientLimit::Share slot;
  };

  absl::Status ListenUnix(const std::string& path);
  absl::StatusOr<uint16_t> ListenTcp(const ListenAddress& address);
  bool Watch(int fd, uint32_t events) const;
  void Unwatch(int fd) const;
  void Run();
  // False: the process has no descriptor left.
  bool AcceptAll(int listener);
  void HandOver(Descriptor accepted);
  void LogRefusal(absl::string_view why);

  ClientLimit limit_;
  LogGate log_gate_;
  Descriptor epoll_, wake_;
  std::vector<Descriptor> listeners_;
  std::string unix_path_;           // to be removed; empty: none
  std::map<int, Connection> open_;  // by the watched descriptor; the thread only, then Stop
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server_;
  std::thread thread_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_GRPC_ACCEPTOR_H_
