// Two data races, planted. Thread sanitizer must report both under the options of the tsan preset.
//
//   counter   two threads add to a plain integer
//   body      one thread rewrites a body while another sends it: the read happens inside the
//   engine, which shows that the engine is
//             instrumented
#include <cstring>
#include <string>
#include <thread>

#include "barista/broker.h"

namespace {

void RaceOnCounter() {
  int counter = 0;
  std::thread other([&counter] { ++counter; });
  ++counter;
  other.join();
}

void RaceOnBody() {
  auto broker = barista::Broker::Open();
  if (!broker.ok()) return;
  auto queue = (*broker)->CreateQueue("planted");
  if (!queue.ok()) return;
  std::string body(64, 'a');
  std::thread other([&body] { body[0] = 'b'; });
  queue->Send({.body = body}).IgnoreError();
  other.join();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (std::strcmp(argv[1], "counter") == 0) RaceOnCounter();
  if (std::strcmp(argv[1], "body") == 0) RaceOnBody();
  return 0;
}
