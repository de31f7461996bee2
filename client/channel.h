#ifndef BARISTA_CLIENT_CHANNEL_H_
#define BARISTA_CLIENT_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace barista::v1 {
class Error;
}

namespace barista::client {

inline constexpr absl::string_view kDefaultServer = "127.0.0.1:9326";

// The gRPC target for `server`, which is "HOST:PORT" ("[::1]:9326" for IPv6) or "unix:PATH".
// kInvalidArgument: neither; the message says what is wrong.
absl::StatusOr<std::string> GrpcTarget(absl::string_view server);

// Where a broker is and how to get in.
struct ChannelOptions {
  std::string server = std::string(kDefaultServer);  // as GrpcTarget

  // PEM file: the roots of the broker's certificate, which must be for the host in `server`. Empty:
  // no TLS.
  std::string tls_ca = "";
  // PEM files: our certificate and its key, for a broker that asks for them. Both or none.
  std::string tls_certificate = "", tls_key = "";

  // Goes with every call, as `authorization: Bearer TOKEN`: one word of at most 512 characters of
  // ASCII. Empty: none.
  std::string token = "";

  // A connection of its own; else channels with the same options share one.
  bool own_connection = false;
};

// The token in `file`, without the space around it. kInvalidArgument: it cannot be read, or is
// empty.
absl::StatusOr<std::string> ReadTokenFile(const std::string& file);

// A channel to a broker. Nothing is connected before the first call. The connection is
// re-established with pauses of 50 ms to 1 s; an attempt may take 10 s. Reads the files once.
// kInvalidArgument as GrpcTarget, with its name a file that cannot be read, one that needs another
// beside it, and a token that is none; no error quotes it.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ChannelOptions& options);

// `status` with the ErrorInfo that the broker put into it (barista/error.h). A status without one
// did not come from a broker but from the transport: its ErrorInfo is empty.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The same of a call to the broker at `server`, with a text for people where no broker answered
// within `timeout`.
absl::Status FromCallStatus(const grpc::Status& status, absl::string_view server,
                            absl::Duration timeout);

// The error of one entry of a call or a stream, with its ErrorInfo.
absl::Status FromError(const v1::Error& error);

}  // namespace barista::client

#endif  // BARISTA_CLIENT_CHANNEL_H_
