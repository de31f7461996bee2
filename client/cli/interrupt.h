#ifndef BARISTA_CLIENT_CLI_INTERRUPT_H_
#define BARISTA_CLIENT_CLI_INTERRUPT_H_

#include <csignal>
#include <functional>
#include <thread>

namespace barista::cli {

// While it lives, the first SIGINT or SIGTERM of the process calls `on_signal` instead of ending
// the process; a second one ends it as usual. For a command that has something to finish. One at a
// time in a process.
class Interrupt {
 public:
  // `on_signal` runs on a thread of its own, at most once.
  explicit Interrupt(std::function<void()> on_signal);
  // Waits for `on_signal` if it runs.
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  void Watch();

  const std::function<void()> on_signal_;
  struct sigaction interrupt_before_;
  struct sigaction terminate_before_;
  std::thread thread_;
};

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_INTERRUPT_H_
