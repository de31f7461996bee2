#include "tests/model/model.h"

#include <algorithm>
#include <array>
#include <boost/context/fiber.hpp>
#include <boost/context/stack_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/model/schedule.h"

namespace barista::model {
namespace {

using internal::Kind;
using internal::kMaxLocations;
using internal::kMaxThreads;
using internal::Operation;
using internal::Place;
using internal::Schedule;
using internal::Step;
using internal::Threads;
namespace context = boost::context;

constexpr size_t kStackBytes = 64 << 10;
// A load may return the same stale value so often, to one thread, before the newer one has arrived:
// otherwise a loop that waits for it would never end.
constexpr int kMaxStaleReads = 2;

bool Acquires(std::memory_order order) {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}
bool IsSeqCst(std::memory_order order) { return order == std::memory_order_seq_cst; }
bool Releases(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

// What a thread knows: for each location the oldest store that it may still read, and of each
// thread how far what it did happened before now.
struct View {
  std::array<uint32_t, kMaxLocations> oldest{};
  std::array<uint32_t, kMaxThreads> clock{};

  void Join(const View& other, int locations) {
    for (int i = 0; i < locations; ++i) oldest[i] = std::max(oldest[i], other.oldest[i]);
    for (int i = 0; i < kMaxThreads; ++i) clock[i] = std::max(clock[i], other.clock[i]);
  }
};

// New places in a modification order are this far apart, so that others fit between them.
constexpr Place kApart = 1 << 12;

constexpr int kNothing = -1;

struct StoreEvent {
  uint64_t value;
  Place place = 0;
  bool modifies = false;    // reads the one before it: nothing comes between them
  int released = kNothing;  // the view that an acquire which reads it learns
};

struct Location {
  std::vector<StoreEvent> history;  // in modification order
  Place newest_seq_cst = 0;         // written or read by a seq_cst operation
};

struct PlainState {
  int writer = 0;
  uint32_t written_at = 0;
  std::array<uint32_t, kMaxThreads> read_at{};
};

struct Fiber {
  enum class State { kReady, kPaused, kDone };

  std::function<void()> body;
  context::fiber context;
  State state = State::kReady;
  int last_loaded = -1;         // the location of its last load
  bool last_was_stale = false;  // the same load
  bool wants_newest = false;    // it has waited: the next load finds what it waited for
  bool at_operation = false;    // which it does when it runs again
  View view;
  // The stale store of each location that it read last, and how often.
  std::array<Place, kMaxLocations> stale{};
  std::array<uint8_t, kMaxLocations> stale_reads{};
};

struct TraceLine {
  int thread;
  Site site;
  int location;
  std::string what;
};

struct Abort {};

// What is kept from one execution to the next, so that it need not be allocated again.
struct Memory {
  std::array<Location, kMaxLocations> locations;
  std::vector<View> views;
  std::array<std::unique_ptr<char[]>, kMaxThreads> stacks;
  // Sites by their addresses: what was looked up before.
  std::vector<std::pair<Site, std::memory_order>> known_sites;
};

// Hands a fiber the stack that its predecessor has left.
struct KeptStack {
  char* memory;
  context::stack_context allocate() {
    context::stack_context stack;
    stack.size = kStackBytes;
    stack.sp = memory + kStackBytes;
    return stack;
  }
  void deallocate(context::stack_context&) {}
};

class Execution final : public Case {
 public:
  Execution(const Options& options, Memory* memory, Schedule* schedule,
            std::map<Site, std::memory_order>* sites)
      : options_(options), memory_(*memory), schedule_(*schedule), sites_(*sites) {
    schedule_.Begin();
    memory_.views.clear();
    threads_.reserve(kMaxThreads);
    threads_.emplace_back();
    threads_[0].view.clock[0] = 1;
  }

  void Thread(std::function<void()> body) override {
    if (threads_.size() == kMaxThreads) std::abort();
    threads_.emplace_back().body = std::move(body);
  }
  void Finally(std::function<void()> body) override { finally_ = std::move(body); }

  void Run(const std::function<void(Case&)>& set_up);
  const std::string& failure() const { return failure_; }
  bool tracing = false;

  void Fail(const std::string& what) {
    if (!failure_.empty()) return;
    failure_ = what;
    for (const TraceLine& line : trace_) {
      failure_ += "\n  " + std::string(static_cast<size_t>(line.thread) * 4, ' ') + "thread " +
                  std::to_string(line.thread) + ": " + line.what + "  [" + line.site.ToString() +
                  "]";
    }
  }
  void FailAndStop(const std::string& what) {
    if (stopped_) return;
    Fail(what);
    throw Abort();
  }

  // ---- Operations ----
  int NewLocation(uint64_t value) {
    if (location_count_ == kMaxLocations) std::abort();  // no small case
    Location& location = At(location_count_);
    location.history.clear();
    location.newest_seq_cst = 0;
    location.history.emplace_back().value = value;
    schedule_.NewLocation(location_count_);
    return location_count_++;
  }

  uint64_t Load(int id, std::memory_order order, Site site) {
    order = Order(site, order);
    Reach({id, Kind::kLoad, IsSeqCst(order)});
    return ReadStore(id, ChooseStore(id, order, nullptr), order, site, "reads ");
  }

  void Store(int id, uint64_t value, std::memory_order order, Site site) {
    order = Order(site, order);
    Reach({id, Kind::kStore, IsSeqCst(order)});
    Append(id, value, order, nullptr, site, "stores ");
  }

  uint64_t Modify(int id, std::memory_order order, std::memory_order failure, Site site,
                  const std::function<bool(uint64_t*)>& change) {
    const std::memory_order success_order = Order(site, order);
    Site failure_site = site;
    const bool can_fail = std::strcmp(site.operation, "compare_exchange") == 0;
    if (can_fail) failure_site.operation = "compare_exchange, failing";
    const std::memory_order failure_order = can_fail ? Order(failure_site, failure) : success_order;
    Reach({id, can_fail ? Kind::kCompare : Kind::kModify,
           IsSeqCst(success_order) || IsSeqCst(failure_order)});
    Location& location = At(id);
    const size_t newest = location.history.size() - 1;
    // An exchange that fails is a load: it may read what is not the newest.
    const size_t index = can_fail ? ChooseStore(id, failure_order, &change) : newest;
    uint64_t value = location.history[index].value;
    if (index != newest || !change(&value)) {
      value = location.history[index].value;
      change(&value);  // The caller's own notes are those of this value.
      return ReadStore(id, index, failure_order, failure_site, "fails on ");
    }
    const uint64_t old = TakeStore(id, newest, success_order, site, "finds ");
    const StoreEvent before = location.history[newest];
    Append(id, value, success_order, &before, site, "puts ");
    return old;
  }

  void Pause() {
    if (current_ == 0 || stopped_) return;
    Fiber& thread = threads_[current_];
    thread.wants_newest = true;
    if (thread.last_was_stale) return;  // What it waits for may have been done already.
    thread.state = Fiber::State::kPaused;
    thread.at_operation = false;
    SwitchToScheduler();
  }

  int NewPlain() {
    plains_.emplace_back();
    PlainState& plain = plains_.back();
    plain.writer = current_;
    plain.written_at = threads_[current_].view.clock[current_];
    return static_cast<int>(plains_.size()) - 1;
  }
  void Read(int id) {
    if (stopped_) return;
    PlainState& plain = plains_[id];
    const View& view = threads_[current_].view;
    if (plain.written_at > view.clock[plain.writer]) {
      FailAndStop("data race: thread " + std::to_string(current_) + " reads what thread " +
                  std::to_string(plain.writer) + " wrote, with no order between them");
    }
    plain.read_at[current_] = view.clock[current_];
  }
  void Write(int id) {
    if (stopped_) return;
    PlainState& plain = plains_[id];
    const View& view = threads_[current_].view;
    for (int t = 0; t < kMaxThreads; ++t) {
      if (plain.read_at[t] > view.clock[t]) {
        FailAndStop("data race: thread " + std::to_string(current_) + " writes what thread " +
                    std::to_string(t) + " reads, with no order between them");
      }
    }
    Read(id);
    plain.writer = current_;
    plain.written_at = view.clock[current_];
  }

 private:
  Location& At(int id) { return memory_.locations[static_cast<size_t>(id)]; }
  const Location& At(int id) const { return memory_.locations[static_cast<size_t>(id)]; }

  std::memory_order Order(Site site, std::memory_order order) {
    bool known = false;
    for (const auto& [seen, seen_order] : memory_.known_sites) {
      known = seen.line == site.line && seen.operation == site.operation &&
              seen.file == site.file && seen_order == order;
      if (known) break;
    }
    if (!known) {
      memory_.known_sites.push_back({site, order});
      sites_.insert({site, order});
    }
    const Weakening* const weakening = options_.weakening;
    if (weakening != nullptr && weakening->site.line == site.line && weakening->from == order &&
        !(weakening->site < site) && !(site < weakening->site)) {
      return weakening->to;
    }
    return order;
  }

  // Before each operation: the scheduler decides who goes on.
  void Reach(Operation operation) {
    if (current_ == 0 || stopped_) return;
    threads_[current_].at_operation = true;
    schedule_.Reach(current_, operation);
    SwitchToScheduler();
    ++threads_[current_].view.clock[current_];
    if (++steps_ > options_.max_steps) FailAndStop("the execution does not end");
  }

  void SwitchToScheduler() {
    scheduler_ = std::move(scheduler_).resume();
    if (stopped_) throw Abort();
  }

  // Which store a load reads. `change`: of an exchange, which cannot fail on a value that it would
  // change, and succeeds on the newest.
  size_t ChooseStore(int id, std::memory_order order,
                     const std::function<bool(uint64_t*)>* change) {
    Location& location = At(id);
    const size_t newest = location.history.size() - 1;
    if (current_ == 0 || stopped_ || schedule_.redundant()) return newest;
    Fiber& thread = threads_[current_];
    const bool wants_newest = std::exchange(thread.wants_newest, false);
    const Place oldest = OldestPlace(id, order);
    const std::optional<Place> unknown = schedule_.Unknown(id, IsSeqCst(order));
    options_here_.clear();
    for (size_t i = newest + 1; i-- > 0 && location.history[i].place >= oldest;) {
      const StoreEvent& event = location.history[i];
      bool succeeds = false;
      if (change != nullptr) {
        uint64_t value = event.value;
        succeeds = (*change)(&value);
      }
      if (i != newest) {
        if (wants_newest) break;
        if (succeeds) continue;
        if (thread.stale[id] == event.place && thread.stale_reads[id] >= kMaxStaleReads) continue;
      }
      if (!succeeds && unknown.has_value() && *unknown != event.place) continue;
      if (!succeeds && change != nullptr && schedule_.FailureSleeps()) continue;
      options_here_.push_back(i);
    }
    if (options_here_.empty()) {
      schedule_.Refuse({id, /*writes=*/false, IsSeqCst(order)});
      return newest;
    }
    return options_here_[schedule_.Choose(options_here_.size())];
  }

  // Where the thread's knowledge of a location begins.
  Place OldestPlace(int id, std::memory_order order) const {
    const Place known = threads_[current_].view.oldest[id];
    return IsSeqCst(order) ? std::max(known, At(id).newest_seq_cst) : known;
  }

  // Behind which store a new one comes: the newest, or an earlier one of which the thread knows no
  // successor.
  size_t ChoosePredecessor(int id, std::memory_order order) {
    const Location& location = At(id);
    const size_t newest = location.history.size() - 1;
    if (current_ == 0 || stopped_ || schedule_.redundant()) return newest;
    const Place oldest =
        std::max(OldestPlace(id, order), schedule_.Unknown(id, IsSeqCst(order)).value_or(0));
    options_here_.assign(1, newest);
    for (size_t i = newest; i-- > 0 && location.history[i].place >= oldest;) {
      if (!location.history[i + 1].modifies) options_here_.push_back(i);
    }
    return options_here_[schedule_.Choose(options_here_.size())];
  }

  uint64_t ReadStore(int id, size_t index, std::memory_order order, Site site, const char* verb) {
    const uint64_t value = TakeStore(id, index, order, site, verb);
    Done({id, /*writes=*/false, IsSeqCst(order)});
    return value;
  }

  uint64_t TakeStore(int id, size_t index, std::memory_order order, Site site, const char* verb) {
    Location& location = At(id);
    Fiber& thread = threads_[current_];
    const StoreEvent& event = location.history[index];
    const bool is_newest = index + 1 == location.history.size();
    Note(site, id, verb, event.value, is_newest ? "" : " (stale)");
    thread.view.oldest[id] = std::max(thread.view.oldest[id], event.place);
    thread.last_loaded = id;
    thread.last_was_stale = !is_newest;
    if (!is_newest) {
      thread.stale_reads[id] = thread.stale[id] == event.place
                                   ? static_cast<uint8_t>(thread.stale_reads[id] + 1)
                                   : uint8_t{1};
      thread.stale[id] = event.place;
    }
    if (IsSeqCst(order)) {
      location.newest_seq_cst = std::max(location.newest_seq_cst, event.place);
    }
    if (event.released != kNothing && Acquires(order)) {
      thread.view.Join(memory_.views[static_cast<size_t>(event.released)], location_count_);
    }
    return event.value;
  }

  // `before`: the store that a read-modify-write continues.
  void Append(int id, uint64_t value, std::memory_order order, const StoreEvent* before, Site site,
              const char* verb) {
    Location& location = At(id);
    Fiber& thread = threads_[current_];
    Note(site, id, verb, value, "");
    const size_t after =
        before != nullptr ? location.history.size() - 1 : ChoosePredecessor(id, order);
    StoreEvent event;
    event.value = value;
    event.place = location.history[after].place + kApart;
    if (after + 1 < location.history.size()) {
      event.place = location.history[after].place / 2 + location.history[after + 1].place / 2;
      if (event.place == location.history[after].place) std::abort();  // no small case
    }
    event.modifies = before != nullptr;
    thread.view.oldest[id] = event.place;
    if (Releases(order)) {
      event.released = Keep(thread.view);
      if (before != nullptr && before->released != kNothing) {
        View& view = memory_.views[static_cast<size_t>(event.released)];
        view.Join(memory_.views[static_cast<size_t>(before->released)], location_count_);
      }
    } else if (before != nullptr) {
      event.released = before->released;
    }
    location.history.insert(location.history.begin() + static_cast<std::ptrdiff_t>(after) + 1,
                            event);
    ++thread.view.clock[current_];  // What follows is not part of what was released.
    if (IsSeqCst(order)) location.newest_seq_cst = event.place;
    Done({id, /*writes=*/true, IsSeqCst(order), event.place});
    if (after + 2 != location.history.size()) return;  // A load of the newest does not find it.
    for (size_t t = 1; t < threads_.size(); ++t) {
      Fiber& other = threads_[t];
      if (other.state != Fiber::State::kPaused || other.last_loaded != id) continue;
      other.state = Fiber::State::kReady;
      schedule_.Wakes(static_cast<int>(t));
    }
  }

  void Done(const Step& step) {
    if (current_ != 0 && !stopped_) schedule_.Done(step);
  }

  void Note(Site site, int location, const char* verb, uint64_t value, const char* remark) {
    if (!tracing || current_ == 0) return;
    char text[96];
    std::snprintf(text, sizeof text, "%s%#llx at #%d%s", verb,
                  static_cast<unsigned long long>(value), location, remark);
    trace_.push_back({current_, site, location, text});
  }

  int Keep(const View& view) {
    memory_.views.push_back(view);
    return static_cast<int>(memory_.views.size()) - 1;
  }

  void RunThreads();
  int ChooseThread();

  const Options& options_;
  Memory& memory_;
  Schedule& schedule_;
  std::map<Site, std::memory_order>& sites_;

  std::vector<Fiber> threads_;
  std::function<void()> finally_;
  context::fiber scheduler_;
  int location_count_ = 0;
  std::vector<PlainState> plains_;
  int current_ = 0;
  int steps_ = 0;
  bool stopped_ = false;
  std::vector<size_t> options_here_;  // of the operation that runs
  std::vector<TraceLine> trace_;
  std::string failure_;
};

Execution* execution = nullptr;

int Execution::ChooseThread() {
  Threads ready = 0;
  for (size_t t = 1; t < threads_.size(); ++t) {
    const Fiber& thread = threads_[t];
    if (thread.state != Fiber::State::kReady) continue;
    // Up to its next operation what it does concerns nobody.
    if (!thread.at_operation) return static_cast<int>(t);
    ready |= internal::Only(static_cast<int>(t));
  }
  return ready == 0 ? 0 : schedule_.ChooseThread(ready);
}

void Execution::RunThreads() {
  // Each up to its first operation.
  for (size_t t = 1; t < threads_.size(); ++t) {
    Fiber& thread = threads_[t];
    thread.view = threads_[0].view;
    thread.view.clock[t] = 1;
    std::unique_ptr<char[]>& stack = memory_.stacks[t];
    if (stack == nullptr) stack.reset(new char[kStackBytes]);
    thread.context = context::fiber(std::allocator_arg, KeptStack{stack.get()},
                                    [this, t](context::fiber&& scheduler) {
                                      scheduler_ = std::move(scheduler);
                                      try {
                                        threads_[t].body();
                                      } catch (const Abort&) {
                                        stopped_ = true;
                                      }
                                      threads_[t].state = Fiber::State::kDone;
                                      return std::move(scheduler_);
                                    });
    current_ = static_cast<int>(t);
    thread.context = std::move(thread.context).resume();
    if (stopped_) break;
  }
  while (!stopped_) {
    const int t = ChooseThread();
    if (t == 0) break;
    current_ = t;
    threads_[t].context = std::move(threads_[t].context).resume();
  }
  current_ = 0;
  if (!stopped_) {
    for (size_t t = 1; t < threads_.size(); ++t) {
      if (threads_[t].state != Fiber::State::kDone) {
        Fail("thread " + std::to_string(t) + " waits for what nobody will do");
        stopped_ = true;
      }
    }
  }
  // A thread that was stopped in the middle is let go: its next operation throws.
  stopped_ = stopped_ || !failure_.empty();
  if (stopped_) {
    for (size_t t = 1; t < threads_.size(); ++t) {
      current_ = static_cast<int>(t);
      while (threads_[t].context && threads_[t].state != Fiber::State::kDone)
        threads_[t].context = std::move(threads_[t].context).resume();
    }
    current_ = 0;
  }
}

void Execution::Run(const std::function<void(Case&)>& set_up) {
  execution = this;
  set_up(*this);
  RunThreads();
  if (failure_.empty()) {
    for (size_t t = 1; t < threads_.size(); ++t)
      threads_[0].view.Join(threads_[t].view, location_count_);
    try {
      if (finally_) finally_();
    } catch (const Abort&) {
    }
  }
  stopped_ = true;
  // What the case made goes before we do.
  for (Fiber& thread : threads_) thread.body = nullptr;
  finally_ = nullptr;
  execution = nullptr;
}

}  // namespace

std::string Site::ToString() const {
  const char* const slash = std::strrchr(file, '/');
  return std::string(slash == nullptr ? file : slash + 1) + ":" + std::to_string(line) + " " +
         operation;
}

std::string OrderName(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_consume:
      return "consume";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_seq_cst:
      return "seq_cst";
  }
  return "?";
}

Outcome Explore(const Options& options, const std::function<void(Case&)>& set_up) {
  Outcome outcome;
  Schedule schedule(options.reduce);
  Memory memory;
  const auto run = [&](bool tracing) {
    Execution e(options, &memory, &schedule, &outcome.sites);
    e.tracing = tracing;
    e.Run(set_up);
    return e.failure();
  };
  while (outcome.executions < options.max_executions) {
    ++outcome.executions;
    outcome.failure = run(/*tracing=*/false);
    if (!outcome.failure.empty()) {
      outcome.failure = run(/*tracing=*/true);  // Once more the same, to tell how.
      return outcome;
    }
    if (schedule.redundant()) ++outcome.redundant;
    if (!schedule.Advance()) {
      outcome.complete = true;
      return outcome;
    }
  }
  return outcome;
}

std::vector<Weakening> Weakenings(const std::map<Site, std::memory_order>& sites) {
  std::vector<Weakening> result;
  for (const auto& [site, order] : sites) {
    switch (order) {
      case std::memory_order_seq_cst:
        if (std::strcmp(site.operation, "load") == 0) {
          result.push_back({site, order, std::memory_order_acquire});
        } else if (std::strcmp(site.operation, "store") == 0) {
          result.push_back({site, order, std::memory_order_release});
        } else {
          result.push_back({site, order, std::memory_order_acq_rel});
        }
        break;
      case std::memory_order_acq_rel:
        result.push_back({site, order, std::memory_order_acquire});
        result.push_back({site, order, std::memory_order_release});
        break;
      case std::memory_order_acquire:
      case std::memory_order_release:
        result.push_back({site, order, std::memory_order_relaxed});
        break;
      default:
        break;
    }
  }
  return result;
}

void Check(bool condition, const char* what) {
  if (!condition) execution->FailAndStop(what);
}

namespace internal {

int NewLocation(uint64_t value) { return execution->NewLocation(value); }
uint64_t Load(int location, std::memory_order order, Site site) {
  return execution->Load(location, order, site);
}
void Store(int location, uint64_t value, std::memory_order order, Site site) {
  execution->Store(location, value, order, site);
}
uint64_t Modify(int location, std::memory_order order, std::memory_order failure, Site site,
                const std::function<bool(uint64_t*)>& change) {
  return execution->Modify(location, order, failure, site, change);
}
void Pause() { execution->Pause(); }
int NewPlain() { return execution->NewPlain(); }
void Read(int plain) { execution->Read(plain); }
void Write(int plain) { execution->Write(plain); }

}  // namespace internal
}  // namespace barista::model
