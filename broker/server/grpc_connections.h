#ifndef BROKER_SERVER_GRPC_CONNECTIONS_H_
#define BROKER_SERVER_GRPC_CONNECTIONS_H_

#include <cstdint>

namespace barista::server {

// The connections of clients to the gRPC servers of this process, as gRPC's channelz counts them
// (a server's bound port is not told there, so servers are not told apart), up to
// kMaxCountedConnections for each. O(connections).
inline constexpr int64_t kMaxCountedConnections = 100'000;
int64_t CountGrpcConnections();

}  // namespace barista::server

#endif  // BROKER_SERVER_GRPC_CONNECTIONS_H_
