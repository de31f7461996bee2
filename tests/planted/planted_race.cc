// Two data races, planted. Thread sanitizer must report both under the options of the tsan preset.
//
//   counter   two threads add to a plain integer
//   body      one thread rewrites a body while another sends it: the read happens inside the
//   engine,
//             which shows that the engine is instrumented
#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "barista/broker.h"

namespace {

// The two threads meet for certain: one begins when the other runs, which goes on until the first
// is done. A relaxed flag orders nothing, so it hides no race.
using Flag = std::atomic<bool>;

void WaitFor(const Flag& flag) {
  while (!flag.load(std::memory_order_relaxed)) std::this_thread::yield();
}

void RaceOnCounter() {
  int counter = 0;
  Flag started{false};
  Flag done{false};
  std::thread other([&] {
    started.store(true, std::memory_order_relaxed);
    while (!done.load(std::memory_order_relaxed)) ++counter;
  });
  WaitFor(started);
  for (int i = 0; i < 100'000; ++i) ++counter;
  done.store(true, std::memory_order_relaxed);
  other.join();
}

void RaceOnBody() {
  auto broker = barista::Broker::Open();
  if (!broker.ok()) return;
  auto queue = (*broker)->CreateQueue("planted");
  if (!queue.ok()) return;
  std::string body(64, 'a');
  Flag started{false};
  Flag done{false};
  std::thread other([&] {
    started.store(true, std::memory_order_relaxed);
    while (!done.load(std::memory_order_relaxed)) body[0] = body[0] == 'a' ? 'b' : 'a';
  });
  WaitFor(started);
  for (int i = 0; i < 10'000; ++i) queue->Send({.body = body}).IgnoreError();
  done.store(true, std::memory_order_relaxed);
  other.join();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (std::strcmp(argv[1], "counter") == 0) RaceOnCounter();
  if (std::strcmp(argv[1], "body") == 0) RaceOnBody();
  return 0;
}
