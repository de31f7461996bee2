#ifndef BROKER_SERVER_HTTP_CONNECTION_H_
#define BROKER_SERVER_HTTP_CONNECTION_H_

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "absl/time/time.h"
#include "broker/server/http_server.h"
#include "broker/server/request_ids.h"
#include "broker/server/security/client_limit.h"

namespace barista::server {

// What the connections of a listener share.
struct HttpConnectionOptions {
  HttpHandler handler;
  ClientLimit* replies;
  RequestIds* ids;
  absl::Duration idle;
};

// Serves one HTTP/1.1 connection, over TLS if `tls` is set, until either side ends it. Everything
// runs on the thread of the socket's executor; what is under way keeps the connection alive.
// `options` and the limits outlive the executor's context. A reply of more than
// HttpServer::kSmallReplyBytes takes its bytes of `replies` until it has left; where there is no
// room it becomes a 503.
void ServeHttpConnection(boost::asio::ip::tcp::socket socket,
                         std::shared_ptr<boost::asio::ssl::context> tls,
                         const HttpConnectionOptions* options, ClientLimit::Share slot);

}  // namespace barista::server

#endif  // BROKER_SERVER_HTTP_CONNECTION_H_
