#ifndef BROKER_SERVER_HEARTBEAT_H_
#define BROKER_SERVER_HEARTBEAT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace barista::server {

// Whether the parts for which everything else waits still go round: each is asked something that it
// answers when its turn comes, so a timer that only ticks proves nothing. Thread-compatible;
// answers may come on any thread, also late or when this is gone.
class Heartbeat {
 public:
  // Asks a part, without blocking: `answered` is called once, when its turn comes. False: it could
  // not even be asked, and `answered` is dropped.
  using Probe = std::function<bool(std::function<void()> answered)>;

  void Add(std::string part, Probe probe);

  // The parts that have not answered since the call before this one, and those that cannot be
  // asked. Then asks all the others again.
  std::vector<std::string> Beat();

 private:
  struct Part {
    std::string name;
    Probe probe;
    // Set before the question, cleared by the answer, which publishes nothing else: relaxed. Shared
    // with an answer that may never come.
    std::shared_ptr<std::atomic<bool>> waiting;
  };

  std::vector<Part> parts_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_HEARTBEAT_H_
