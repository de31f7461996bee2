#ifndef TESTS_SERVER_HTTPS_CLIENT_H_
#define TESTS_SERVER_HTTPS_CLIENT_H_

#include <memory>
#include <string>

#include "tests/server/certificates.h"
#include "tests/server/server_fixture.h"

namespace barista::server {

// One TLS connection to an HTTP listener, kept open between requests. Trusts `root` alone, and
// shows `client` if it has a certificate.
class HttpsClient {
 public:
  HttpsClient(const std::string& address, const std::string& root, const PemPair& client = {});
  ~HttpsClient();

  // Status 0: the connection, its handshake included, has failed.
  HttpResult Get(const std::string& target, const std::string& token = "");

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace barista::server

#endif  // TESTS_SERVER_HTTPS_CLIENT_H_
