#ifndef TESTS_SERVER_RELAY_H_
#define TESTS_SERVER_RELAY_H_

#include <string>
#include <thread>

namespace barista::server {

// Passes the bytes of one TCP connection on to a server, both ways, until it is cut: a network that
// breaks.
class Relay {
 public:
  // `target` is A.B.C.D:PORT.
  explicit Relay(const std::string& target);
  // Cut().
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Where to connect, once.
  const std::string& address() const { return address_; }
  // Breaks the connection and accepts no other.
  void Cut();

 private:
  void Run(const std::string& target);

  int listener_ = -1;
  int wake_[2] = {-1, -1};  // a pipe: closing its end wakes Run
  std::string address_;
  std::thread thread_;
};

}  // namespace barista::server

#endif  // TESTS_SERVER_RELAY_H_
