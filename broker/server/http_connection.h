#ifndef BROKER_SERVER_HTTP_CONNECTION_H_
#define BROKER_SERVER_HTTP_CONNECTION_H_

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "broker/server/http_server.h"
#include "broker/server/request_ids.h"
#include "broker/server/security/connection_limit.h"

namespace barista::server {

// Serves one HTTP/1.1 connection, over TLS if `tls` is set, until either side ends it. Everything
// runs on the thread of the socket's executor; what is under way keeps the connection alive.
// `handler`, `ids` and the limit of `slot` outlive the executor's context.
void ServeHttpConnection(boost::asio::ip::tcp::socket socket,
                         std::shared_ptr<boost::asio::ssl::context> tls, const HttpHandler* handler,
                         RequestIds* ids, ConnectionLimit::Slot slot);

}  // namespace barista::server

#endif  // BROKER_SERVER_HTTP_CONNECTION_H_
