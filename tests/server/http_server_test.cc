// HTTP connections of clients that are slow, or broken on purpose. Real time, with a short
// patience.
#include "broker/server/http_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

class HttpServerTest : public ::testing::Test {
 protected:
  static constexpr size_t kReply = 8 << 20;

  explicit HttpServerTest(absl::Duration idle = absl::Milliseconds(300))
      : server_({.total = 100, .per_client = 100}, nullptr, idle) {
    ListenAddress address;
    address.host = "127.0.0.1";
    const auto bound = server_.Listen(address, [this](HttpRequest, const HttpReply& reply) {
      reply({.status = 200, .body = std::string(kReply, 'r'), .content_type = "text/plain"});
      ++handled_;
    });
    EXPECT_TRUE(bound.ok()) << bound.status();
    port_ = bound->port;
    server_.Start();
  }
  ~HttpServerTest() override {
    for (const int fd : open_) ::close(fd);
  }

  // A connection that takes little at a time, if it reads at all.
  int Connect() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int bytes = 4096;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    open_.push_back(fd);
    return fd;
  }
  static bool Send(int fd, const std::string& bytes) {
    return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // All that comes until the other side closes.
  static std::string ReadAll(int fd) {
    std::string all;
    char buffer[65536];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;) all.append(buffer, n);
    return all;
  }

  std::atomic<size_t> handled_{0};
  HttpServer server_;
  uint16_t port_ = 0;
  std::vector<int> open_;
};

TEST_F(HttpServerTest, RequestThatTricklesIsClosedInTime) {
  const int fd = Connect();
  ASSERT_TRUE(Send(fd, "GET / HTTP/1.1\r\nHost: x\r\nX-Endless: "));
  const absl::Time begun = absl::Now();
  bool closed = false;
  while (!closed && absl::Now() < begun + kPatience) {
    pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
    closed = ::poll(&waiting, 1, 20) > 0 || !Send(fd, "x");
  }
  EXPECT_TRUE(closed);
  EXPECT_TRUE(Eventually([&] { return server_.connections() == 0; }));
  EXPECT_EQ(handled_, 0u);
}

TEST_F(HttpServerTest, SilentConnectionsAreClosed) {
  for (int i = 0; i < 50; ++i) Connect();
  EXPECT_TRUE(Eventually([&] { return server_.connections() == 50; }));
  EXPECT_TRUE(Eventually([&] { return server_.connections() == 0; }));
}

TEST_F(HttpServerTest, ReplyThatNobodyReadsIsGivenUp) {
  ASSERT_TRUE(Send(Connect(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  ASSERT_TRUE(Eventually([&] { return handled_ == 1; }));
  EXPECT_TRUE(Eventually([&] { return server_.connections() == 0; }));
}

TEST_F(HttpServerTest, HalfClosedConnectionGetsItsReplyAndEnds) {
  const int whole = Connect();
  ASSERT_TRUE(Send(whole, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  ::shutdown(whole, SHUT_WR);
  EXPECT_GT(ReadAll(whole).size(), kReply);
  const int half = Connect();
  ASSERT_TRUE(Send(half, "GET / HTTP/1.1\r\nHo"));
  ::shutdown(half, SHUT_WR);
  EXPECT_EQ(ReadAll(half), "");
  const int silent = Connect();
  ::shutdown(silent, SHUT_WR);
  EXPECT_EQ(ReadAll(silent), "");
  EXPECT_TRUE(Eventually([&] { return server_.connections() == 0; }));
}

class PatientHttpServerTest : public HttpServerTest {
 protected:
  PatientHttpServerTest() : HttpServerTest(HttpServer::kIdle) {}
};

TEST_F(PatientHttpServerTest, RepliesThatNobodyReadsAreBounded) {
  constexpr size_t kFull = HttpServer::kMaxClientReplyBytes / kReply;
  std::vector<int> readers;
  for (size_t i = 0; i < kFull + 3; ++i) {
    readers.push_back(Connect());
    ASSERT_TRUE(Send(readers.back(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    ASSERT_TRUE(Eventually([&] { return handled_ == i + 1; }));
  }
  for (size_t i = kFull; i < readers.size(); ++i) {
    const std::string reply = ReadAll(readers[i]);
    EXPECT_EQ(reply.substr(0, 12), "HTTP/1.1 503");
    EXPECT_NE(reply.find("TooManyReplyBytes"), std::string::npos) << reply;
  }
}

}  // namespace
}  // namespace barista::server
