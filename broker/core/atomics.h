#ifndef BARISTA_BROKER_CORE_ATOMICS_H_
#define BARISTA_BROKER_CORE_ATOMICS_H_

#include <atomic>
#include <thread>

#include "broker/base/mutex.h"

namespace barista::core {

// The atomics that the structures of this room are made of. They take them as a template parameter,
// so that a model checker can run the same code through every schedule (tests/model).
struct StdAtomics {
  template <typename T>
  using Atomic = std::atomic<T>;
  using Mutex = barista::Mutex;
  using MutexLock = barista::MutexLock;

  // What the code relies on, for the checker to see.
  static void Relies(bool) {}

  // In a loop that waits for another thread to do a few instructions; `turns` so far. Soon lets it
  // have the processor: it may have lost its own in the middle of them.
  static void Pause(int turns) {
    if (turns >= 64) return std::this_thread::yield();
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_ATOMICS_H_
