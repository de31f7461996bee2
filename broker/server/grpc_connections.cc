#include "broker/server/grpc_connections.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <boost/json.hpp>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace barista::server {
namespace {

constexpr intptr_t kPageSockets = 1000;

// The array `key` of what channelz answered, and whether nothing follows it.
struct Answer {
  boost::json::array array;
  bool end = true;
};

Answer Read(char* json, absl::string_view key) {
  Answer answer;
  if (json == nullptr) return answer;  // there is no such server any more
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(json, error);
  gpr_free(json);
  if (error || !value.is_object()) return answer;
  const boost::json::object& object = value.get_object();
  if (const auto* array = object.if_contains({key.data(), key.size()});
      array != nullptr && array->is_array()) {
    answer.array = array->get_array();
  }
  // As in the JSON form of protobuf: false is left out.
  const auto* end = object.if_contains("end");
  answer.end = end != nullptr && end->is_bool() && end->get_bool();
  answer.end |= answer.array.empty();
  return answer;
}

// 0 if there is none.
intptr_t Id(const boost::json::value& reference, absl::string_view key) {
  const auto* object = reference.if_object();
  const auto* id = object == nullptr ? nullptr : object->if_contains({key.data(), key.size()});
  int64_t number = 0;
  const bool valid = id != nullptr && id->is_string() &&
                     absl::SimpleAtoi(absl::string_view(id->get_string().c_str()), &number);
  return valid ? static_cast<intptr_t>(number) : 0;
}

int64_t CountSockets(intptr_t server) {
  int64_t sockets = 0;
  for (intptr_t from = 0; sockets < kMaxCountedConnections;) {
    const Answer page =
        Read(grpc_channelz_get_server_sockets(server, from, kPageSockets), "socketRef");
    sockets += static_cast<int64_t>(page.array.size());
    if (page.end) break;
    from = Id(page.array.back(), "socketId") + 1;
  }
  return sockets;
}

}  // namespace

int64_t CountGrpcConnections() {
  int64_t connections = 0;
  for (intptr_t from = 0;;) {
    const Answer servers = Read(grpc_channelz_get_servers(from), "server");
    for (const boost::json::value& server : servers.array) {
      const auto* object = server.if_object();
      const auto* reference = object == nullptr ? nullptr : object->if_contains("ref");
      const intptr_t id = reference == nullptr ? 0 : Id(*reference, "serverId");
      if (id != 0) connections += CountSockets(id);
      from = id + 1;
    }
    if (servers.end) return connections;
  }
}

}  // namespace barista::server
