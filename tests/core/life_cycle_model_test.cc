// The transitions of a message under every schedule of small cases, and with each memory order of
// the word weakened.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "broker/core/life_cycle.h"
#include "tests/model/weakenings.h"

namespace barista::core {
namespace {

using model::Case;
using model::Check;

constexpr int kContent = 77;

// One slot, and lanes of which a push and a pop are one step each.
struct World {
  explicit World(State state, int64_t visible_at_ns = 0, uint32_t receives = 0) {
    content.Set(kContent);
    slot.visible_at_ns.store(visible_at_ns, std::memory_order_relaxed);
    const Word word(id.generation(), state, receives);
    const bool ready = state == State::kReady;
    slot.word.store((ready ? word.Queued() : word).bits(), std::memory_order_relaxed);
    if (ready) lanes.push_back(id);
  }

  void Push(MsgId pushed) {
    lane_steps.fetch_add(1, std::memory_order_acq_rel);
    lanes.push_back(pushed);
  }
  bool Pop(MsgId* popped) {
    lane_steps.fetch_add(1, std::memory_order_acq_rel);
    if (lanes.empty()) return false;
    *popped = lanes.front();
    lanes.erase(lanes.begin());
    return true;
  }

  // What those who use the transitions do with them.
  bool Fire(int64_t now_ns) {
    const auto made = MakeReadyIfDue(slot, id, now_ns);
    if (made.has_value() && made->push) Push(id);
    return made.has_value();
  }
  bool Show() {
    const auto made = Release(slot, id);
    if (made.has_value() && made->push) Push(id);
    return made.has_value();
  }
  bool Receive(int64_t until_ns) {
    MsgId popped;
    Word mine;
    if (!Pop(&popped) || TakePopped(slot, popped, 0, &mine) != PoppedAs::kLocked) return false;
    slot.visible_at_ns.store(until_ns, std::memory_order_relaxed);
    Check(content.Get() == kContent, "received another message");
    Unlock(slot, mine.Unlocked());
    return true;
  }
  void TakeBack(uint32_t receives) {
    const auto push = Untake(slot, id, receives);
    if (push.has_value() && *push) Push(id);
  }
  void Undo(int64_t now_ns) {
    const auto restored = Restore(slot, id, now_ns);
    if (restored.has_value() && restored->push) Push(id);
  }
  // What a trim does.
  void Rotate() {
    MsgId popped;
    if (!Pop(&popped)) return;
    const bool kept = KeepPopped(slot, popped, [&](const auto&) {
      Check(content.Get() == kContent, "kept another message");
      return true;
    });
    if (kept) Push(popped);
  }
  // Delete without a commit, and the slot's next life.
  void ReplaceBy(MsgId next, int64_t visible_at_ns) {
    if (!MakeFree(slot, id).has_value()) return;
    content.Set(kContent + 1);
    slot.visible_at_ns.store(visible_at_ns, std::memory_order_relaxed);
    slot.word.store(Word(next.generation(), State::kDelayed, 0).bits(), std::memory_order_release);
  }

  // After all threads.
  Word word() { return Word(slot.word.load(std::memory_order_relaxed)); }
  int64_t deadline() { return slot.visible_at_ns.load(std::memory_order_relaxed); }
  void CheckLanes() {
    Check(!word().locked(), "a lock is left");
    Check(lanes.size() <= 1, "an id lies in the lanes twice");
    Check(word().generation() != id.generation() || word().queued() == (lanes.size() == 1),
          "the word says otherwise than the lanes");
    Check(word().state() != State::kReady || word().queued(), "READY, and nobody can find it");
  }

  const MsgId id = MsgId::Of(0, 1);
  BasicSlot<model::ModelAtomics> slot;
  model::Plain<int> content;
  std::vector<MsgId> lanes;
  model::Atomic<uint32_t> lane_steps{0};
};

template <typename... Args>
std::shared_ptr<World> Make(Args... args) {
  return std::make_shared<World>(args...);
}

const std::vector<model::NamedCase>& Cases() {
  static const auto* const cases = new std::vector<model::NamedCase>{
      {"delete against delete",
       [](Case& c) {
         auto w = Make(State::kInFlight);
         auto wins = std::make_shared<int>(0);
         for (int t = 0; t < 2; ++t) c.Thread([=] { *wins += Claim(w->slot, w->id).has_value(); });
         c.Finally([=] {
           Check(*wins == 1, "not exactly one has won");
           Check(w->word().state() == State::kDeleting, "not deleted");
         });
       }},
      {"receive against a delete and the slot's next life",
       [](Case& c) {
         auto w = Make(State::kReady);
         c.Thread([=] { w->Receive(100); });
         c.Thread([=] { w->ReplaceBy(MsgId::Of(0, 2), 30); });
         c.Finally([=] {
           Check(w->word().generation() == 2 && w->deadline() == 30, "the next life is disturbed");
         });
       }},
      {"a lane rotated against a delete and the slot's next life",
       [](Case& c) {
         auto w = Make(State::kReady);
         c.Thread([=] { w->Rotate(); });
         c.Thread([=] { w->ReplaceBy(MsgId::Of(0, 2), 30); });
         c.Finally([=] { Check(w->word().generation() == 2, "the next life is disturbed"); });
       }},
      {"a change of the deadline against a delete and the slot's next life",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10);
         c.Thread([=] { Hide(w->slot, w->id, 50); });
         c.Thread([=] { w->ReplaceBy(MsgId::Of(0, 2), 30); });
         c.Finally([=] {
           Check(w->word().generation() == 2 && w->word().state() == State::kDelayed &&
                     w->deadline() == 30,
                 "the next life has another's deadline");
         });
       }},
      {"a release against a delete and the slot's next life",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10);
         c.Thread([=] { w->Show(); });
         c.Thread([=] { w->ReplaceBy(MsgId::Of(0, 2), 30); });
         c.Finally([=] { Check(w->deadline() == 30, "the next life has another's deadline"); });
       }},
      {"a timer against a change of the deadline",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10);
         c.Thread([=] { w->Fire(10); });
         c.Thread([=] { Check(Hide(w->slot, w->id, 20).has_value(), "cannot be hidden"); });
         c.Finally([=] {
           w->CheckLanes();
           Check(w->word().state() == State::kInFlight && w->deadline() == 20,
                 "a deadline has fired that was not the message's");
         });
       }},
      {"a timer against changes of the deadline that leave the word as it was",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10);
         c.Thread([=] { w->Fire(10); });
         c.Thread([=] {
           Hide(w->slot, w->id, 20);
           Hide(w->slot, w->id, 30);
         });
         c.Finally([=] {
           w->CheckLanes();
           Check(w->word().state() == State::kInFlight && w->deadline() == 30,
                 "a deadline has fired that was not the message's");
         });
       }},
      {"a timer against a receive that is taken back, and another receive",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10, 1);
         c.Thread([=] { w->Fire(10); });
         c.Thread([=] {
           w->TakeBack(1);
           if (!w->Receive(100)) return;
           const Word word = LoadUnlocked(w->slot);
           Check(word.state() == State::kInFlight,
                 "a deadline has fired that was not the message's");
         });
         c.Finally([=] { w->CheckLanes(); });
       }},
      {"a look at the deadline of a message that is being received",
       [](Case& c) {
         auto w = Make(State::kReady);
         c.Thread([=] { w->Receive(100); });
         c.Thread([=] {
           const Word word = LoadUnlocked(w->slot);
           if (word.state() == State::kInFlight) Check(w->deadline() == 100, "another deadline");
         });
       }},
      {"hidden and shown in the lane against a receive",
       [](Case& c) {
         auto w = Make(State::kReady);
         c.Thread([=] {
           Hide(w->slot, w->id, 50);
           w->Show();
         });
         c.Thread([=] { w->Receive(100); });
         c.Finally([=] { w->CheckLanes(); });
       }},
      {"hidden and shown in the lane against a rotation",
       [](Case& c) {
         auto w = Make(State::kReady);
         c.Thread([=] {
           Hide(w->slot, w->id, 50);
           w->Show();
         });
         c.Thread([=] { w->Rotate(); });
         c.Finally([=] { w->CheckLanes(); });
       }},
      {"stowed against a change of the deadline",
       [](Case& c) {
         auto w = Make(State::kInFlight, 50, 1);
         auto may_be_stowed = std::make_shared<model::Atomic<bool>>(false);
         c.Thread([=] {
           may_be_stowed->store(true, std::memory_order_relaxed);
           if (Stow(w->slot, w->id, 1, 50)) w->content.Set(kContent + 1);  // The slot is ours.
         });
         c.Thread([=] {
           if (Hide(w->slot, w->id, 100).has_value()) return;
           Check(Word(w->slot.word.load(std::memory_order_acquire)).state() == State::kFree,
                 "neither hidden nor stowed");
           Check(may_be_stowed->load(std::memory_order_relaxed), "nobody knows where it is");
         });
         c.Finally([=] {
           Check(w->word().state() == State::kFree
                     ? w->deadline() == 50
                     : w->word().state() == State::kInFlight && w->deadline() == 100,
                 "stowed with a deadline that is in no lease");
           w->CheckLanes();
         });
       }},
      {"stowed against a delete and a timer",
       [](Case& c) {
         auto w = Make(State::kInFlight, 50, 1);
         auto wins = std::make_shared<int>(0);
         c.Thread([=] { *wins += Stow(w->slot, w->id, 1, 50); });
         c.Thread([=] { *wins += Claim(w->slot, w->id).has_value(); });
         c.Thread([=] { w->Fire(60); });
         c.Finally([=] {
           Check(*wins <= 1, "stowed and deleted");
           w->CheckLanes();
         });
       }},
      {"stowed against another receive",
       [](Case& c) {
         auto w = Make(State::kInFlight, 50, 1);
         c.Thread([=] { Stow(w->slot, w->id, 1, 50); });
         c.Thread([=] {
           w->Show();
           w->Receive(50);
         });
         c.Finally([=] {
           Check(w->word().state() == State::kFree ? w->word().receives() == 1
                                                   : w->word().receives() == 2,
                 "stowed with a receive that is in no lease");
         });
       }},
      {"a refused delete against a receive and a timer",
       [](Case& c) {
         auto w = Make(State::kReady);
         c.Thread([=] {
           if (Claim(w->slot, w->id).has_value()) w->Undo(10);
         });
         c.Thread([=] {
           w->Receive(10);
           w->Fire(10);
         });
         c.Finally([=] { w->CheckLanes(); });
       }},
      {"exhausted messages are moved by one",
       [](Case& c) {
         auto w = Make(State::kReady, 0, 3);
         c.Thread([=] {
           MsgId popped;
           Word mine;
           if (!w->Pop(&popped)) return;
           if (TakePopped(w->slot, popped, 3, &mine) == PoppedAs::kExhausted) {
             Check(mine.state() == State::kMoving && mine.receives() == 3, "not moved");
             w->Undo(10);
           }
         });
         c.Thread([=] { Claim(w->slot, w->id); });
         c.Finally([=] { w->CheckLanes(); });
       }},
      {"two receives and a timer",
       [](Case& c) {
         auto w = Make(State::kReady);
         auto received = std::make_shared<std::array<bool, 2>>();
         for (size_t t = 0; t < 2; ++t) c.Thread([=] { (*received)[t] = w->Receive(10); });
         c.Thread([=] { w->Fire(10); });
         c.Finally([=] {
           w->CheckLanes();
           Check((*received)[0] || (*received)[1], "nobody has received what was there");
         });
       }},
      {"two receives, a timer and a delete",
       [](Case& c) {
         auto w = Make(State::kReady);
         for (int t = 0; t < 2; ++t) c.Thread([=] { w->Receive(10); });
         c.Thread([=] { w->Fire(10); });
         auto deleted = std::make_shared<bool>(false);
         c.Thread([=] { *deleted = Claim(w->slot, w->id).has_value(); });
         c.Finally([=] {
           w->CheckLanes();
           Check(*deleted && w->word().state() == State::kDeleting, "not deleted");
         });
       }},
      {"a receive, a timer, and a delete that is refused",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10, 1);
         c.Thread([=] { w->Receive(20); });
         c.Thread([=] {
           w->Fire(10);
           w->Fire(20);
         });
         c.Thread([=] {
           if (Claim(w->slot, w->id).has_value()) w->Undo(15);
         });
         c.Finally([=] { w->CheckLanes(); });
       }},
      {"two receives, a timer, and a change of the deadline",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10, 1);
         for (int t = 0; t < 2; ++t) c.Thread([=] { w->Receive(100); });
         c.Thread([=] { w->Fire(10); });
         c.Thread([=] { Hide(w->slot, w->id, 10); });
         c.Finally([=] { w->CheckLanes(); });
       }},
      {"two receives, a timer, and a delete with the slot's next life",
       [](Case& c) {
         auto w = Make(State::kReady);
         for (int t = 0; t < 2; ++t) c.Thread([=] { w->Receive(10); });
         c.Thread([=] { w->Fire(10); });
         c.Thread([=] { w->ReplaceBy(MsgId::Of(0, 2), 30); });
         c.Finally([=] {
           Check(w->word().generation() == 2 && w->word().state() == State::kDelayed &&
                     w->deadline() == 30,
                 "the next life is disturbed");
         });
       }},
      {"a receive taken back, hidden and shown, and rotated",
       [](Case& c) {
         auto w = Make(State::kInFlight, 10, 1);
         c.Thread([=] { w->TakeBack(1); });
         c.Thread([=] {
           Hide(w->slot, w->id, 50);
           w->Show();
         });
         c.Thread([=] {
           w->Rotate();
           w->Receive(100);
         });
         c.Finally([=] { w->CheckLanes(); });
       }},
  };
  return *cases;
}

TEST(LifeCycleModelTest, EveryScheduleKeepsTheRules) { model::ExpectAllHold(Cases()); }

TEST(LifeCycleModelTest, EveryMemoryOrderIsNeeded) {
  model::ExpectEachOrderNeeded(Cases(), "slab.h:");
}

}  // namespace
}  // namespace barista::core
