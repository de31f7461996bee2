#include "broker/server/grpc_caller.h"

#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace barista::server {

absl::string_view GrpcCaller::Authorization() const {
  const auto& metadata = context_.client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return "";
  return absl::string_view(found->second.data(), found->second.size());
}

std::string GrpcCaller::ClientOfPeer(absl::string_view peer) {
  if (!absl::ConsumePrefix(&peer, "ipv4:") && !absl::ConsumePrefix(&peer, "ipv6:")) return "unix";
  return absl::StrReplaceAll(peer.substr(0, peer.rfind(':')),
                             {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
}

}  // namespace barista::server
