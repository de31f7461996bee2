#include "client/cli/interrupt.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace barista::cli {
namespace {

constexpr char kSignal = 's';
constexpr char kEnd = 'e';

// A signal handler can reach nothing but a global. Written before the handlers are installed and
// after they are removed.
int g_pipe[2] = {-1, -1};

void Write(char what) {
  const int error = errno;
  while (write(g_pipe[1], &what, 1) < 0 && errno == EINTR) {
  }
  errno = error;
}

void OnSignal(int) { Write(kSignal); }

char Read() {
  char what = kEnd;
  while (read(g_pipe[0], &what, 1) < 0 && errno == EINTR) {
  }
  return what;
}

}  // namespace

Interrupt::Interrupt(std::function<void()> on_signal) : on_signal_(std::move(on_signal)) {
  if (pipe(g_pipe) != 0) std::abort();  // two descriptors at the start of a command
  thread_ = std::thread([this] { Watch(); });
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  // Who starts the command with a signal ignored, as shells do with SIGINT for background jobs,
  // wants it ignored.
  sigaction(SIGINT, &action, &interrupt_before_);
  if (interrupt_before_.sa_handler == SIG_IGN) sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &action, &terminate_before_);
  if (terminate_before_.sa_handler == SIG_IGN) sigaction(SIGTERM, &terminate_before_, nullptr);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
  Write(kEnd);
  thread_.join();
  close(g_pipe[0]);
  close(g_pipe[1]);
}

void Interrupt::Watch() {
  if (Read() == kEnd) return;
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
  on_signal_();
  while (Read() != kEnd) {
  }
}

}  // namespace barista::cli
