#ifndef BARISTA_BENCH_COMMON_CHILD_H_
#define BARISTA_BENCH_COMMON_CHILD_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace barista::bench {

// What a process uses now, from /proc and its CPU clock.
struct ProcessUsage {
  absl::Duration cpu;       // user + system, of all threads, since its start
  int64_t resident_bytes;   // VmRSS
  int64_t peak_bytes;       // VmHWM
  int64_t anonymous_bytes;  // RssAnon: VmRSS without pages of files
};

// Usage of process `pid`, 0 for the calling one; zeros if it is gone.
ProcessUsage UsageOf(pid_t pid);

// A child process whose standard output we read line by line. Killed, if it still runs, and reaped
// by the destructor; it also dies with its parent. Thread-compatible.
class Child {
 public:
  // Starts `argv`; argv[0] is a path ("/proc/self/exe" for another role of the same benchmark).
  static absl::StatusOr<Child> Spawn(const std::vector<std::string>& argv);

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  // The next line of the child's standard output, without its end. kUnavailable: the child closed
  // it (it died).
  absl::StatusOr<std::string> ReadLine();
  ProcessUsage usage() const { return UsageOf(pid_); }

  bool running() const;

  // Sends `signal` and waits for the end.
  void Stop(int signal);

 private:
  Child(pid_t pid, int out) : pid_(pid), out_(out) {}

  pid_t pid_ = -1;
  int out_ = -1;
  std::string unread_;
};

}  // namespace barista::bench

#endif  // BARISTA_BENCH_COMMON_CHILD_H_
