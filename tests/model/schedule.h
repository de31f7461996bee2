#ifndef BARISTA_TESTS_MODEL_SCHEDULE_H_
#define BARISTA_TESTS_MODEL_SCHEDULE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

// Which executions of a case are run: the decisions on the way to each, and which of them have to
// be taken otherwise. Private to the checker (model.h); thread-compatible.
//
// Two steps depend on each other if they touch the same location and one writes, or both are
// seq_cst. Executions that differ only in the order of independent steps are one trace. Three
// things keep the number of executions near that of the traces, and below it:
//
//   - Source sets (Abdulla, Aronis, Jonsson, Sagonas: Optimal Dynamic Partial Order Reduction, POPL
//   2014). At first one thread is tried at each decision. Another is added only when a step turns
//   out to race with a later one, so that the later could have come first.
//   - Sleep sets. A thread that has been tried at a decision is not tried again below the
//   decision's other branches until a step has come that depends on its own. A compare-exchange
//   that only met reads since sleeps as far as it fails.
//   - Of the traces that leave everybody the same values, one. A load that returns another store
//   than the one executed last could as well have come before that one, unless the thread knows of
//   it (it happened before, by a chain of steps that depend on each other); and a store that takes
//   its place in front of the one executed last could as well have been executed before it. Such
//   choices are not offered. To swap the two makes fewer pairs of stores executed against their
//   modification order, or as many of them and fewer pairs of a store and a later load of another:
//   so it ends, and a trace in which nothing can be swapped is run. No limit of the checker stands
//   against the swap: loads return stale stores less often than before. (Two seq_cst operations are
//   not swapped: that changes what the later may return.)
//
// What a step may return or where it takes its place is a choice at the step; all choices of a
// thread belong to the same decision for the thread. A thread that waits goes on behind the first
// newer store of the location that it loaded last: that step depends on this store.
namespace barista::model::internal {

inline constexpr int kMaxThreads = 5;  // of a case; number 0 sets up, and looks at the end
inline constexpr int kMaxLocations = 96;

// A place in the modification order of a location.
using Place = uint32_t;

enum class Kind : uint8_t {
  kLoad,
  kStore,
  kModify,
  kCompare,  // a load if it fails
};

struct Operation {
  int location = -1;
  Kind kind = Kind::kLoad;
  bool seq_cst = false;  // or may be
};

// What an operation has become.
struct Step {
  int location;
  bool writes;
  bool seq_cst;
  Place place = 0;  // of the store that it made
};

// A set of threads.
using Threads = uint32_t;
constexpr Threads Only(int thread) { return Threads{1} << thread; }

class Schedule {
 public:
  // Without `reduce` every thread is tried at every decision, and every choice is offered.
  explicit Schedule(bool reduce) : reduce_(reduce) {}

  // ---- One execution ----
  void Begin();
  void NewLocation(int location) { traces_[static_cast<size_t>(location)].clear(); }
  // What `thread` does when it is chosen the next time.
  void Reach(int thread, Operation next) { next_[static_cast<size_t>(thread)] = next; }
  // One of `ready`.
  int ChooseThread(Threads ready);

  // For the step of the thread that was chosen last, before it is done.
  // Set: the place of the store of `location` that was executed last, and the thread does not know
  // of it: a load returns it, and a store comes behind it.
  std::optional<Place> Unknown(int location, bool seq_cst) const;
  // A compare-exchange that fails would repeat an execution.
  bool FailureSleeps() const { return failure_sleeps_; }
  // Which of `count` choices.
  size_t Choose(size_t count);
  // Nothing can be offered.
  void Refuse(const Step& step);
  void Done(const Step& step);
  // What was done last lets `thread` go on.
  void Wakes(int thread);

  // The execution repeats another; the rest of it is of no interest.
  bool redundant() const { return redundant_; }

  // ---- Between executions ----
  // Makes the next one another; false if there is none.
  bool Advance();

 private:
  using Clock = std::array<uint16_t, kMaxThreads>;

  struct Decision {
    // Which choice, if it is not which thread.
    uint32_t count = 0;
    uint32_t at = 0;
    // Which thread.
    int thread = 0;
    Threads ready = 0;
    Threads asleep = 0;           // when the decision was first reached
    Threads failures_asleep = 0;  // the same
    Threads wanted = 0;           // to be tried
    Threads tried = 0;
  };

  struct Event {
    Step step;
    int thread;
    uint16_t number;  // among those of the thread
    size_t decision;
    Clock clock;  // how much of each thread it depends on, itself included
  };

  static bool Before(const Event& event, const Clock& clock) {
    return event.number <= clock[static_cast<size_t>(event.thread)];
  }
  static bool Depend(const Step& a, const Step& b) {
    return a.writes || b.writes || (a.seq_cst && b.seq_cst);
  }

  // Appends the event to events_, and wants what could come before it to be tried.
  void Add(const Step& step);
  // `event` and the last one depend on each other, with nothing between them.
  void Reverse(size_t event);
  // Who sleeps wakes if what it wants to do depends on `step`.
  void Wake(const Step& step);

  const bool reduce_;
  std::vector<Decision> decisions_;

  // Of the execution that runs.
  size_t depth_ = 0;     // decisions taken
  size_t repeated_ = 0;  // decisions that were there when it began
  size_t decision_ = 0;  // for the thread that was chosen last
  int thread_ = 0;       // chosen last
  bool failure_sleeps_ = false;
  bool redundant_ = false;
  Threads asleep_ = 0;
  Threads failures_asleep_ = 0;
  std::array<Operation, kMaxThreads> next_;
  std::array<Clock, kMaxThreads> clocks_;
  std::vector<Event> events_;
  // Of each location the last store, and the loads behind it.
  std::array<std::vector<size_t>, kMaxLocations> traces_;
};

}  // namespace barista::model::internal

#endif  // BARISTA_TESTS_MODEL_SCHEDULE_H_
