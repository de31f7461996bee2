#ifndef BROKER_SERVER_SECURITY_GRPC_CREDENTIALS_H_
#define BROKER_SERVER_SECURITY_GRPC_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "broker/server/security/tls_identity.h"

namespace barista::server {

// Credentials of a gRPC server that speaks TLS 1.2 or 1.3 as `source` says at each handshake:
// connections that are open go on with what they have, new ones get the new identity. An identity
// that gRPC does not take leaves the one before it. Whether client certificates are asked for is
// settled by the first identity. `source` outlives the server.
//
// These are gRPC's SSL credentials with a fetcher, which its C++ interface does not offer. Its
// other way, a certificate provider, either cannot be reloaded or watches files by itself, checks
// nothing, and cannot be told when. gRPC 1.51 swaps what it fetched without a lock against other
// handshakes: they must begin one after the other, which GrpcAcceptor sees to.
std::shared_ptr<grpc::ServerCredentials> MakeGrpcCredentials(const TlsIdentitySource* source);

}  // namespace barista::server

#endif  // BROKER_SERVER_SECURITY_GRPC_CREDENTIALS_H_
