#ifndef BARISTA_TESTS_MODEL_MODEL_H_
#define BARISTA_TESTS_MODEL_MODEL_H_

#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

// A model checker for code that is templated on its atomics. It runs a small case (two to four
// threads, a few operations each) through every schedule, and lets each load return every value
// that the C++ memory model permits, so that a missing release or acquire is seen even on a machine
// that never shows it.
//
//   const Outcome outcome = Explore({}, [](Case& c) {
//     auto lane = std::make_shared<BasicLane<ModelAtomics>>(...);
//     c.Thread([lane] { lane->Push(...); });
//     c.Thread([lane] { Check(lane->Pop(...) <= 1, "popped more than was pushed"); });
//     c.Finally([lane] { ... });  // everything that happened is visible here
//   });
//
// What is modelled: relaxed, acquire, release and seq_cst loads, stores and read-modify-writes with
// release sequences, as views (each thread knows the oldest store of each location that it may
// still read); stores that come earlier in modification order than one made before them. Data that
// is not atomic goes into a Plain: two accesses without an order between them are reported. Not
// modelled: loads that read from the future (no hardware does that past an acquire);
// read-modify-writes that come earlier in modification order than a store made before them;
// consume, fences. A thread reads the same stale store of a location twice at most, and after a
// Pause the newest of the next: else loops that wait would never end. Pause is for a loop that
// waits for a newer store of the location that it loaded last: it goes on when that has come, and
// not before. (A loop that waits for one of several is reported as waiting for what nobody will
// do.)
//
// Of the executions that leave every thread the same values about one is run (schedule.h), and none
// of what they can end in is left out: reduction_test.cc compares. Cases must be deterministic. Not
// thread-safe: one exploration at a time in a process. README.md tells how to write a case, and how
// to read a failure.
namespace barista::model {

// Where an operation stands in the code.
struct Site {
  const char* file;
  int line;
  const char* operation;

  friend bool operator<(const Site& a, const Site& b) {
    if (a.line != b.line) return a.line < b.line;
    if (const int order = std::strcmp(a.file, b.file); order != 0) return order < 0;
    return std::strcmp(a.operation, b.operation) < 0;
  }
  std::string ToString() const;
};

// One ordering made weaker than the code says: what a case must notice.
struct Weakening {
  Site site;
  std::memory_order from;
  std::memory_order to;
};
std::string OrderName(std::memory_order order);

struct Options {
  int64_t max_executions = 50'000'000;
  int max_steps = 2000;  // of one execution; more means that it does not end
  const Weakening* weakening = nullptr;
  bool reduce = true;  // false: also executions that can find nothing new, to judge the reduction
};

struct Outcome {
  int64_t executions = 0;
  int64_t redundant = 0;  // of them: repeat another but for the order of independent steps
  bool complete = false;  // every schedule was run; else nothing is proven
  std::string failure;    // empty: none. Else what failed first, and how it came to that
  // The orders that the code asked for, by site.
  std::map<Site, std::memory_order> sites;

  bool ok() const { return complete && failure.empty(); }
};

// One execution, while it is set up.
class Case {
 public:
  virtual ~Case() = default;
  virtual void Thread(std::function<void()> body) = 0;
  // After all threads have ended.
  virtual void Finally(std::function<void()> body) = 0;
};

Outcome Explore(const Options& options, const std::function<void(Case&)>& set_up);

// All weakenings by one step of each site that a run of the code has shown.
std::vector<Weakening> Weakenings(const std::map<Site, std::memory_order>& sites);

// Fails the execution unless `condition`.
void Check(bool condition, const char* what);

// ---- What the code under test uses ----

namespace internal {

// Returns the value stored last, or another that may be read; see model.cc.
int NewLocation(uint64_t value);
uint64_t Load(int location, std::memory_order order, Site site);
void Store(int location, uint64_t value, std::memory_order order, Site site);
// Reads the newest value; stores `change(value)` unless it returns false. `failure` is the order of
// the load if it does.
uint64_t Modify(int location, std::memory_order order, std::memory_order failure, Site site,
                const std::function<bool(uint64_t*)>& change);
void Pause();
int NewPlain();
void Read(int plain);
void Write(int plain);

template <typename T>
uint64_t ToBits(T value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <typename T>
T FromBits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace internal

// Stands for std::atomic<T>.
template <typename T>
class Atomic {
 public:
  Atomic() : Atomic(T{}) {}
  explicit Atomic(T value) : location_(internal::NewLocation(internal::ToBits(value))) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order order = std::memory_order_seq_cst, const char* file = __builtin_FILE(),
         int line = __builtin_LINE()) const {
    return internal::FromBits<T>(internal::Load(location_, order, {file, line, "load"}));
  }
  void store(T value, std::memory_order order = std::memory_order_seq_cst,
             const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    internal::Store(location_, internal::ToBits(value), order, {file, line, "store"});
  }
  T exchange(T value, std::memory_order order = std::memory_order_seq_cst,
             const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return Modify(order, {file, line, "exchange"}, [&](T) { return value; });
  }
  T fetch_add(T value, std::memory_order order = std::memory_order_seq_cst,
              const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return Modify(order, {file, line, "fetch_add"},
                  [&](T old) { return static_cast<T>(old + value); });
  }
  T fetch_sub(T value, std::memory_order order = std::memory_order_seq_cst,
              const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return Modify(order, {file, line, "fetch_sub"},
                  [&](T old) { return static_cast<T>(old - value); });
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                               std::memory_order failure, const char* file = __builtin_FILE(),
                               int line = __builtin_LINE()) {
    bool won = false;
    const uint64_t old = internal::Modify(location_, success, failure,
                                          {file, line, "compare_exchange"}, [&](uint64_t* bits) {
                                            won = *bits == internal::ToBits(expected);
                                            if (won) *bits = internal::ToBits(desired);
                                            return won;
                                          });
    if (!won) expected = internal::FromBits<T>(old);
    return won;
  }
  // (Never fails without a reason here: the loops around it would only turn once more.)
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure, const char* file = __builtin_FILE(),
                             int line = __builtin_LINE()) {
    return compare_exchange_strong(expected, desired, success, failure, file, line);
  }

 private:
  template <typename F>
  T Modify(std::memory_order order, Site site, F change) {
    return internal::FromBits<T>(
        internal::Modify(location_, order, order, site, [&](uint64_t* bits) {
          *bits = internal::ToBits<T>(change(internal::FromBits<T>(*bits)));
          return true;
        }));
  }

  const int location_;
};

// Data that is not atomic. Accesses that race fail the execution.
template <typename T>
class Plain {
 public:
  Plain() : plain_(internal::NewPlain()) {}
  T Get() const {
    internal::Read(plain_);
    return value_;
  }
  void Set(T value) {
    internal::Write(plain_);
    value_ = value;
  }

 private:
  const int plain_;
  T value_{};
};

class Mutex {
 public:
  void Lock() {
    for (;;) {
      int free = 0;
      if (taken_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
        return;
      }
      internal::Pause();
    }
  }
  void Unlock() { taken_.store(0, std::memory_order_release); }

 private:
  Atomic<int> taken_{0};
};

class MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) : mutex_(mutex) { mutex->Lock(); }
  ~MutexLock() { mutex_->Unlock(); }

 private:
  Mutex* const mutex_;
};

// Stands for core::StdAtomics.
struct ModelAtomics {
  template <typename T>
  using Atomic = model::Atomic<T>;
  using Mutex = model::Mutex;
  using MutexLock = model::MutexLock;
  static void Relies(bool condition) { Check(condition, "relied on what is not so"); }
  // In a loop that waits for another thread.
  static void Pause(int /*turns*/) { internal::Pause(); }
};

}  // namespace barista::model

#endif  // BARISTA_TESTS_MODEL_MODEL_H_
