// Parked waiters under every schedule of small cases, and with each memory order weakened.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "broker/core/waiters.h"
#include "tests/model/weakenings.h"

namespace barista::core {
namespace {

using model::Case;
using model::Check;
using model::ModelAtomics;

// The number of a waiter, 0 for nobody. Two who touch the same reference with no order between them
// are reported.
class Ref {
 public:
  Ref() = default;
  explicit Ref(int number) { number_.Set(number); }
  Ref(Ref&& other) { number_.Set(other.Take()); }
  Ref& operator=(Ref&& other) {
    number_.Set(other.Take());
    return *this;
  }
  explicit operator bool() const { return number_.Get() != 0; }
  int number() const { return number_.Get(); }

 private:
  int Take() {
    const int number = number_.Get();
    number_.Set(0);
    return number;
  }
  model::Plain<int> number_;
};

// Which lanes a case uses; the others have no steps. And whether the first slots of WeakLanes are
// reserved by a push that is unfinished: it is the first one after `finishes` was set.
constexpr int kWoken = 1;
constexpr int kFresh = 2;
constexpr int kTogether = 4;
struct UsedLanes {
  UsedLanes(int used, bool unfinished_push) : left(used), unfinished(unfinished_push) {}
  bool Next() { return std::exchange(left, left / 2) % 2 != 0; }
  int left;
  const bool unfinished;
  bool finishes = false;
};

// A lane of which a push and a pop are one step each.
class OneStepLane {
 public:
  using Pool = UsedLanes;

  explicit OneStepLane(Pool* pool) : used_(pool->Next()) {}
  void Push(absl::Span<const WaiterId> ids) {
    Check(used_, "another lane than the case says");
    if (ids.empty()) return;
    steps_.fetch_add(1, std::memory_order_acq_rel);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }
  size_t Pop(absl::Span<WaiterId> ids) {
    if (!used_) return 0;
    steps_.fetch_add(1, std::memory_order_acq_rel);
    const size_t popped = std::min(ids.size(), ids_.size());
    std::copy_n(ids_.begin(), popped, ids.begin());
    ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(popped));
    return popped;
  }
  size_t ApproximateSize() const { return ids_.size(); }
  void Release() {}

 private:
  const bool used_;
  std::vector<WaiterId> ids_;
  model::Atomic<uint32_t> steps_{0};
};

// No stronger than a lane's contract: each id is popped once, and hands over what came before its
// push; a pop finds nothing while an earlier push is unfinished.
class WeakLane {
 public:
  using Pool = UsedLanes;

  explicit WeakLane(Pool* pool) : pool_(*pool), used_(pool->Next()), tail_(pool->unfinished) {}
  void Push(absl::Span<const WaiterId> ids) {
    Check(used_, "another lane than the case says");
    for (const WaiterId id : ids) {
      const uint32_t slot =
          std::exchange(pool_.finishes, false) ? 0 : tail_.fetch_add(1, std::memory_order_relaxed);
      Check(slot < ids_.size(), "too few slots for this case");
      ids_[slot].store(id.bits, std::memory_order_release);
      ++pushed_;
    }
  }
  size_t Pop(absl::Span<WaiterId> ids) {
    if (!used_) return 0;
    size_t popped = 0;
    uint32_t head = head_.load(std::memory_order_relaxed);
    while (popped < ids.size() && head < ids_.size()) {
      const uint64_t bits = ids_[head].load(std::memory_order_acquire);
      if (bits == 0) break;
      if (!head_.compare_exchange_strong(head, head + 1, std::memory_order_relaxed,
                                         std::memory_order_relaxed)) {
        continue;
      }
      ids[popped++].bits = bits;
      --pushed_;
      ++head;
    }
    return popped;
  }
  size_t ApproximateSize() const { return pushed_; }
  void Release() {}

 private:
  Pool& pool_;
  const bool used_;
  size_t pushed_ = 0;
  std::array<model::Atomic<uint64_t>, 4> ids_;
  model::Atomic<uint32_t> head_{0};
  model::Atomic<uint32_t> tail_;
};

// A pool of which each operation is one step; none if no cell is used twice in the case.
template <typename Cell, size_t kCells>
class SimplePool {
 public:
  explicit SimplePool(bool reused) : reused_(reused) {}
  bool Allocate(absl::Span<uint32_t> cells) {
    if (reused_) steps_.fetch_add(1, std::memory_order_acquire);
    if (free_.empty()) {
      Check(used_ < kCells, "too few cells for this case");
      free_.push_back(used_++);
    }
    cells[0] = free_.back();
    free_.pop_back();
    return true;
  }
  void Free(absl::Span<const uint32_t> cells) {
    if (!reused_) return;
    steps_.fetch_add(1, std::memory_order_release);
    free_.push_back(cells[0]);
  }
  Cell& At(uint32_t cell) { return cells_[cell]; }

 private:
  const bool reused_;
  std::array<Cell, kCells> cells_;
  uint32_t used_ = 0;
  std::vector<uint32_t> free_;
  model::Atomic<uint32_t> steps_{0};
};

struct Setting {
  int begun = 0;
  int parked = 0;
  int lanes = kFresh;
  bool reused = false;      // cells
  bool unfinished = false;  // those who park in the threads began before those who are parked
  Waits waits = Waits::kInTurn;
};

constexpr uint32_t kTimedOut = 1;
constexpr uint32_t kCancelled = 2;

// Waiters 1 to 3, messages of which each serves one, and an end for all: what a queue does with its
// receives.
template <typename L>
struct World {
  using Cells = SimplePool<WaiterCell<Ref, ModelAtomics>, 3>;

  explicit World(const Setting& s)
      : segments(s.lanes, s.unfinished),
        waiters(std::make_shared<Cells>(s.reused), &segments),
        waits(s.waits) {
    for (int n = 1; n <= s.begun; ++n) Begin(n);
    for (int n = 1; n <= s.parked; ++n) Park(n);
    segments.finishes = s.unfinished;
  }

  void Begin(int n) {
    ids[n] = waiters.Begin();
    content[n].Set(0);
  }
  // By its owner.
  void Park(int n) {
    content[n].Set(content[n].Get() + 1);
    if (!waiters.Park(ids[n], Ref(n), waits)) Finish(n);
  }
  void Finish(int n) {
    content[n].Set(content[n].Get() + 1);
    Check(++ended[n] == 1, "ended twice");
    requests[n] = waiters.Finish(ids[n]);
  }
  void ParkAndLook(int n) {
    Park(n);
    Look();
  }
  // After a Park or a Trim, for all.
  void Look() {
    if (closes && closed.load(std::memory_order_relaxed) != 0) EndAll();
    if (messages.load(std::memory_order_relaxed) > 0) WakeWaiters();
  }

  void Publish(int number) {
    messages.fetch_add(number, std::memory_order_relaxed);
    WakeWaiters();
  }
  bool TakeMessage() {
    int left = messages.load(std::memory_order_relaxed);
    while (left > 0) {
      if (messages.compare_exchange_weak(left, left - 1, std::memory_order_relaxed,
                                         std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  void WakeWaiters() {
    while (waiters.Any() && messages.load(std::memory_order_relaxed) > 0) {
      const Ref woken = waiters.Wake();
      if (!woken) return;
      Attempt(woken.number());
    }
  }
  void Attempt(int n) {
    if (TakeMessage()) return Finish(n);
    Park(n);
  }

  void Close() {
    closed.store(1, std::memory_order_relaxed);
    waiters.Any();
    EndAll();
  }
  void EndAll() {
    while (const Ref woken = waiters.Wake()) Finish(woken.number());
  }

  void GiveUp(int n, uint32_t request) {
    const Ref won = waiters.Request(ids[n], request);
    if (!won) return;
    Check(won.number() == n, "won another waiter");
    Finish(n);
  }

  // After all threads, of `begun` waiters.
  void Settle(int begun) {
    int ends = 0;
    for (int count : ended) ends += count;
    Check(ends == begun || messages.load(std::memory_order_relaxed) == 0,
          "a message lies there, and a waiter beside it");
    Check(waiters.Any() == (ends < begun), "miscounted");
    for (; ends < begun; ++ends) {
      const Ref woken = waiters.Wake();
      Check(static_cast<bool>(woken), "a waiter is lost");
      Finish(woken.number());
    }
    Check(!waiters.Wake(), "a waiter too many");
    Check(!waiters.Any(), "miscounted");
  }

  typename L::Pool segments;
  BasicWaiters<Ref, ModelAtomics, L, Cells> waiters;
  const Waits waits;
  bool closes = false;
  model::Atomic<int> messages{0};
  model::Atomic<int> closed{0};
  std::array<WaiterId, 4> ids;
  std::array<model::Plain<int>, 4> content;  // of the owner: a race if there are two
  std::array<int, 4> ended{};
  std::array<uint32_t, 4> requests{};
};

template <typename L = OneStepLane>
std::shared_ptr<World<L>> Make(const Setting& setting) {
  return std::make_shared<World<L>>(setting);
}

// The real one, on segments of one id.
template <uint32_t kIds>
struct Segments : SimplePool<LaneSegment<ModelAtomics, kIds>, 3> {
  Segments(int, bool) : SimplePool<LaneSegment<ModelAtomics, kIds>, 3>(true) {}
  bool finishes = false;
};
using RealLane = BasicLane<ModelAtomics, 1, Segments<1>>;

const std::vector<model::NamedCase>& Cases() {
  static const auto* const cases = new std::vector<model::NamedCase>{
      {"a message against one who parks",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 1});
         c.Thread([=] { w->ParkAndLook(1); });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(1); });
       }},
      {"messages against one who parks behind another",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 2, .parked = 1, .lanes = kFresh | kWoken});
         c.Thread([=] { w->ParkAndLook(2); });
         c.Thread([=] { w->Publish(2); });
         c.Finally([=] { w->Settle(2); });
       }},
      {"messages against one who parks, and whose unfinished push hides another",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 2, .parked = 1, .lanes = kFresh, .unfinished = true});
         c.Thread([=] { w->ParkAndLook(2); });
         c.Thread([=] { w->Publish(2); });
         c.Finally([=] { w->Settle(2); });
       }},
      {"a message against one who waits and one who is given up",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 2, .parked = 2});
         c.Thread([=] { w->GiveUp(1, kTimedOut); });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] {
           Check(w->ended[1] == 1, "given up, and still there");
           w->Settle(2);
         });
       }},
      {"a message against one who waits, while another is given up in the middle of its Park",
       [](Case& c) {
         auto w = Make({.begun = 2, .parked = 1, .lanes = kFresh | kWoken});
         c.Thread([=] { w->ParkAndLook(2); });
         c.Thread([=] {
           w->GiveUp(2, kCancelled);
           w->Publish(1);
         });
         c.Finally([=] { w->Settle(2); });
       }},
      {"a message taken from under the one who was woken, and another message",
       [](Case& c) {
         auto w = Make({.begun = 1, .parked = 1, .lanes = kFresh | kWoken});
         c.Thread([=] { w->Publish(1); });
         c.Thread([=] {
           w->TakeMessage();
           w->Publish(1);
         });
         c.Finally([=] { w->Settle(1); });
       }},
      {"wake, timeout and cancellation of the same waiter",
       [](Case& c) {
         auto w = Make({.begun = 1, .parked = 1});
         c.Thread([=] { w->Publish(1); });
         c.Thread([=] { w->GiveUp(1, kTimedOut); });
         c.Thread([=] { w->GiveUp(1, kCancelled); });
         c.Finally([=] {
           Check(w->ended[1] == 1, "not ended");
           w->Settle(1);
         });
       }},
      {"a cancellation of one who parks",
       [](Case& c) {
         auto w = Make({.begun = 1});
         c.Thread([=] { w->Park(1); });
         c.Thread([=] { w->GiveUp(1, kCancelled); });
         c.Finally([=] {
           Check(w->ended[1] == 1 && w->requests[1] == kCancelled, "cancelled, and nobody knows");
           w->Settle(1);
         });
       }},
      {"a cancellation of one who is served: in time, or too late",
       [](Case& c) {
         auto w = Make({.begun = 1});
         c.Thread([=] { w->Finish(1); });
         c.Thread([=] {
           w->GiveUp(1, kCancelled);
           w->waiters.Gone(w->ids[1]);
         });
         c.Finally([=] {
           Check(w->ended[1] == 1 && w->waiters.Gone(w->ids[1]), "not served");
           w->Settle(1);
         });
       }},
      {"a cancellation that comes too late leaves the next life alone",
       [](Case& c) {
         auto w = Make({.begun = 1, .reused = true});
         c.Thread([=] {
           w->Finish(1);
           w->Begin(2);
           w->Park(2);
         });
         c.Thread([=] { w->GiveUp(1, kCancelled); });
         c.Finally([=] {
           Check(w->ids[1].slot() == w->ids[2].slot() && w->ended[2] == 0, "no next life");
           w->Settle(2);
           Check(w->requests[2] == 0, "cancelled another");
         });
       }},
      {"a wake with the id of one who was given up leaves the next life alone",
       [](Case& c) {
         auto w = Make({.begun = 1, .parked = 1, .lanes = kFresh | kWoken, .reused = true});
         c.Thread([=] {
           w->GiveUp(1, kTimedOut);
           w->Begin(2);
           w->ParkAndLook(2);
         });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(2); });
       }},
      {"a timeout of one who was woken, finds nothing and parks again",
       [](Case& c) {
         auto w = Make({.begun = 1, .parked = 1, .lanes = kFresh | kWoken});
         c.Thread([=] {
           if (w->waiters.Wake()) w->Park(1);
         });
         c.Thread([=] { w->GiveUp(1, kTimedOut); });
         c.Finally([=] {
           Check(w->ended[1] == 1, "timed out, and still there");
           w->Settle(1);
         });
       }},
      {"a message against a trim",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 2, .parked = 2});
         w->GiveUp(1, kTimedOut);
         c.Thread([=] {
           w->waiters.Trim();
           w->Look();
         });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(2); });
       }},
      {"a timeout against a trim",
       [](Case& c) {
         auto w = Make({.begun = 2, .parked = 2});
         c.Thread([=] { w->waiters.Trim(); });
         c.Thread([=] { w->GiveUp(1, kTimedOut); });
         c.Finally([=] { w->Settle(2); });
       }},
      {"the end of all against one who parks behind another",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 2, .parked = 1});
         w->closes = true;
         c.Thread([=] { w->ParkAndLook(2); });
         c.Thread([=] { w->Close(); });
         c.Finally([=] {
           Check(w->ended[1] == 1 && w->ended[2] == 1, "left behind");
           w->Settle(2);
         });
       }},
      {"the end of all against one who parks, and whose unfinished push hides another",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 2, .parked = 1, .unfinished = true});
         w->closes = true;
         c.Thread([=] { w->ParkAndLook(2); });
         c.Thread([=] { w->Close(); });
         c.Finally([=] {
           Check(w->ended[1] == 1 && w->ended[2] == 1, "left behind");
           w->Settle(2);
         });
       }},
      {"the end of all against a trim",
       [](Case& c) {
         auto w = Make({.begun = 2, .parked = 2});
         w->closes = true;
         c.Thread([=] {
           w->waiters.Trim();
           w->Look();
         });
         c.Thread([=] { w->Close(); });
         c.Finally([=] {
           Check(w->ended[1] == 1 && w->ended[2] == 1, "left behind");
           w->Settle(2);
         });
       }},
      {"those who wait together are woken by a message too",
       [](Case& c) {
         auto w = Make({.begun = 1, .lanes = kTogether, .waits = Waits::kTogether});
         c.Thread([=] { w->ParkAndLook(1); });
         c.Thread([=] { w->Publish(1); });
         c.Thread([=] {
           if (!w->waiters.WakeTogether()) return;
           w->Attempt(1);
           w->Look();
         });
         c.Finally([=] { w->Settle(1); });
       }},
      {"a message against one who parks, in a real lane",
       [](Case& c) {
         auto w = Make<RealLane>({.begun = 1});
         c.Thread([=] { w->ParkAndLook(1); });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(1); });
       }},
      {"a message against a timeout, in a real lane",
       [](Case& c) {
         auto w = Make<RealLane>({.begun = 2, .parked = 2});
         c.Thread([=] { w->GiveUp(1, kTimedOut); });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(2); });
       }},
  };
  return *cases;
}

TEST(WaitersModelTest, EveryScheduleKeepsTheContract) { model::ExpectAllHold(Cases()); }

// What the contract asks of its users: without it waiters are overlooked.
TEST(WaitersModelTest, EveryLookIsNeeded) {
  const std::vector<model::NamedCase> careless = {
      {"one who parks and does not look",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 1});
         c.Thread([=] { w->Park(1); });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(1); });
       }},
      {"one who parks and looks for himself",
       [](Case& c) {
         auto w = Make<WeakLane>({.begun = 2, .parked = 1, .unfinished = true});
         c.Thread([=] {
           w->Park(2);
           if (w->messages.load(std::memory_order_relaxed) > 0) w->GiveUp(2, kTimedOut);
         });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(2); });
       }},
      {"one who parks, is given up, and does not look",
       [](Case& c) {
         auto w = Make({.begun = 2, .parked = 1});
         c.Thread([=] {
           w->Park(2);
           if (!w->waiters.Gone(w->ids[2])) w->Look();
         });
         c.Thread([=] {
           w->GiveUp(2, kCancelled);
           w->Publish(1);
         });
         c.Finally([=] { w->Settle(2); });
       }},
      {"one who trims and does not look",
       [](Case& c) {
         auto w = Make({.begun = 1, .parked = 1});
         c.Thread([=] { w->waiters.Trim(); });
         c.Thread([=] { w->Publish(1); });
         c.Finally([=] { w->Settle(1); });
       }},
  };
  for (const model::NamedCase& c : careless) {
    EXPECT_THAT(model::Explore({}, c.set_up).failure,
                ::testing::StartsWith("a message lies there, and a waiter beside it"))
        << c.name;
  }
}

TEST(WaitersModelTest, EveryMemoryOrderIsNeeded) {
  model::ExpectEachOrderNeeded(Cases(), "waiters.h:");
}

}  // namespace
}  // namespace barista::core
