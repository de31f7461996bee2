// The lane under every schedule of small cases, and with each of its memory orders weakened.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "broker/core/lane.h"
#include "tests/model/weakenings.h"

namespace barista::core {
namespace {

using model::Case;
using model::Check;

// A pool of which each operation is one step. (The real one has its own test.)
template <uint32_t kIds>
class OneStepPool {
 public:
  using Segment = LaneSegment<model::ModelAtomics, kIds>;

  bool Allocate(absl::Span<uint32_t> cells) {
    steps_.fetch_add(1, std::memory_order_acquire);
    Check(!free_.empty(), "too few segments for this case");
    cells[0] = free_.back();
    free_.pop_back();
    return true;
  }
  void Free(absl::Span<const uint32_t> cells) {
    steps_.fetch_add(1, std::memory_order_release);
    free_.push_back(cells[0]);
  }
  Segment& At(uint32_t cell) { return segments_[cell]; }
  size_t free() const { return free_.size(); }

 private:
  std::array<Segment, 4> segments_;
  std::vector<uint32_t> free_{3, 2, 1, 0};
  model::Atomic<uint32_t> steps_{0};
};

// Ids 1 to kMessages, each with a message that is written before the push and read after the pop.
template <uint32_t kIds, typename Pool = OneStepPool<kIds>>
struct Fixture {
  static constexpr size_t kMessages = 6;
  using TestLane = BasicLane<model::ModelAtomics, kIds, Pool>;

  void Push(std::vector<uint64_t> numbers) {
    std::vector<MsgId> ids;
    for (uint64_t number : numbers) {
      messages[number].Set(static_cast<int>(number) * 11);
      ids.push_back(MsgId::Of(static_cast<uint32_t>(number), 1));
    }
    lane.Push(ids);
  }

  size_t Pop(size_t n) {
    std::vector<MsgId> ids(n);
    size_t popped = lane.Pop(absl::MakeSpan(ids));
    Check(popped <= n, "more popped than asked for");
    for (size_t i = 0; i < popped; ++i) {
      if (ids[i] == MsgId::Nobody()) ids[i--] = ids[--popped];
    }
    for (size_t i = 0; i < popped; ++i) {
      const uint32_t number = ids[i].slot();
      Check(ids[i].generation() == 1 && number < messages.size(), "popped what nobody pushed");
      Check(++seen[number] == 1, "popped twice");
      Check(messages[number].Get() == static_cast<int>(number) * 11,
            "the id came before its message");
    }
    return popped;
  }

  // After all threads: the rest, and nothing lost.
  void Drain(size_t pushed) {
    while (!lane.Empty()) Pop(2);
    size_t total = 0;
    for (int count : seen) total += static_cast<size_t>(count);
    Check(total == pushed, "an id is lost");
    Check(lane.Empty(), "the drained lane is not empty");
    Check(lane.ApproximateSize() == 0, "the drained lane has a size");
    const MsgId id = MsgId::Of(1, 1);
    lane.Push(absl::MakeConstSpan(&id, 1));
    MsgId two[2];
    Check(lane.Pop(two) == 1 && two[0] == id, "a recycled segment was not cleared");
  }

  Pool pool;
  TestLane lane{&pool};
  std::array<model::Plain<int>, kMessages + 1> messages;
  std::array<int, kMessages + 1> seen{};
};

template <uint32_t kIds, typename... Pool>
std::shared_ptr<Fixture<kIds, Pool...>> Make() {
  return std::make_shared<Fixture<kIds, Pool...>>();
}

using SmallArenas = BasicPool<LaneSegment<model::ModelAtomics, 1>, 1, 4, model::ModelAtomics>;

const std::vector<model::NamedCase>& Cases() {
  static const auto* const cases = new std::vector<model::NamedCase>{
      {"push against pop",
       [](Case& c) {
         auto f = Make<2>();
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(1); });
       }},
      {"push into a segment against pop",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Pop(2); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"push against push",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         c.Thread([=] { f->Push({1, 2}); });
         c.Thread([=] { f->Push({3}); });
         c.Finally([=] { f->Drain(4); });
       }},
      {"pop against pop",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({1, 2, 3});
         c.Thread([=] { f->Pop(2); });
         c.Thread([=] { f->Pop(2); });
         c.Finally([=] { f->Drain(3); });
       }},
      {"a segment filled and drained by one thread and recycled by another",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         c.Thread([=] {
           f->Push({1});
           f->Pop(2);
         });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"a segment closed by a pop and recycled by a push",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         c.Thread([=] {
           f->Push({1});
           f->Pop(3);
         });
         c.Thread([=] { f->Push({2}); });
         c.Finally([=] { f->Drain(3); });
       }},
      {"a recycled segment found by a push",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5, 6});
         f->Pop(2);
         c.Thread([=] {
           f->Pop(1);
           f->Push({1});
         });
         c.Thread([=] { f->Push({2}); });
         c.Finally([=] { f->Drain(4); });
       }},
      {"a successor found by a pop that did not unlink its predecessor",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] {
           f->Push({1});
           f->Pop(1);
         });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"a recycled segment linked behind a full one, and found by a push",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({4, 5});
         f->Push({6});
         f->Pop(2);
         c.Thread([=] {
           f->Pop(1);
           f->Push({1, 2});
         });
         c.Thread([=] { f->Push({3}); });
         c.Finally([=] { f->Drain(6); });
       }},
      {"pops do not come up short while ids are there",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({1, 2, 3});
         c.Thread([=] {
           f->Pop(1);
           f->Pop(1);
         });
         c.Thread([=] {
           const bool empty = f->lane.Empty();
           Check(f->Pop(1) == 1, "came up short although nobody was pushing");
           Check(!empty, "empty, and yet there was something");
         });
         c.Finally([=] { f->Drain(3); });
       }},
      {"what was pushed before is found",
       [](Case& c) {
         auto f = Make<1>();
         auto pushed = std::make_shared<model::Atomic<int>>(0);
         c.Thread([=] {
           f->Push({1});
           pushed->store(1, std::memory_order_release);
         });
         c.Thread([=] {
           if (pushed->load(std::memory_order_acquire) == 0) return;
           Check(!f->lane.Empty(), "empty, and yet there is something");
           Check(f->lane.ApproximateSize() == 1, "another size, and nobody is pushing");
           Check(f->Pop(1) == 1, "came up short although nobody was pushing");
         });
         c.Finally([=] { f->Drain(1); });
       }},
      {"a successor found by the pop that unlinks its predecessor",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"a segment given back against a push",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] { f->lane.Release(); });
         c.Thread([=] { f->Push({1}); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"a segment given back against a pop",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] { f->lane.Release(); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] {
           f->Drain(1);
           f->lane.Release();
           Check(f->pool.free() == 4, "the released lane has a segment");
         });
       }},
      {"a segment of an arena that is new",
       [](Case& c) {
         auto f = Make<1, SmallArenas>();
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->lane.Empty(); });
         c.Thread([=] { f->lane.ApproximateSize(); });
         c.Finally([=] { f->Drain(1); });
       }},
      {"a segment of an arena that is new, given back",
       [](Case& c) {
         auto f = Make<1, SmallArenas>();
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->lane.Release(); });
         c.Finally([=] { f->Drain(1); });
       }},
      {"a successor in an arena that is new",
       [](Case& c) {
         auto f = Make<1, SmallArenas>();
         f->Push({5});
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->lane.ApproximateSize(); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"segments recycled under a third thread that pushes",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({1});
         c.Thread([=] { f->Push({2}); });
         c.Thread([=] { f->Pop(1); });
         c.Thread([=] { f->Push({3}); });
         c.Finally([=] { f->Drain(3); });
       }},
      {"pushes and pops over the end of a segment",
       [](Case& c) {
         auto f = Make<1>();
         c.Thread([=] {
           f->Push({1});
           f->Push({2});
         });
         c.Thread([=] {
           f->Pop(1);
           f->Pop(1);
         });
         c.Finally([=] { f->Drain(2); });
       }},
      {"two push, one pops, segments are recycled",
       [](Case& c) {
         auto f = Make<1>();
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Push({2}); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"one pushes and pops, another pops, a third pushes",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({5});
         c.Thread([=] {
           f->Push({1});
           f->Pop(1);
         });
         c.Thread([=] { f->Pop(1); });
         c.Thread([=] { f->Push({2}); });
         c.Finally([=] { f->Drain(3); });
       }},
      {"two pushes against three pops, segments are recycled",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({5});
         c.Thread([=] {
           f->Push({1});
           f->Push({2});
         });
         c.Thread([=] {
           f->Pop(1);
           f->Pop(1);
           f->Pop(1);
         });
         c.Finally([=] { f->Drain(3); });
       }},
      {"one pushes while two pop and recycle a drained segment",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Pop(1); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(2); });
       },
       model::kWhole},
      {"two push while one pops and recycles a drained segment",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Push({2}); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(3); });
       },
       model::kWhole},
      {"two push over the end of a segment that one drains",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] { f->Push({1, 2}); });
         c.Thread([=] { f->Push({3}); });
         c.Thread([=] { f->Pop(2); });
         c.Finally([=] { f->Drain(4); });
       },
       model::kWhole},
      {"two push over the end of a segment, one pops over it",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         c.Thread([=] { f->Push({1, 2}); });
         c.Thread([=] { f->Push({3}); });
         c.Thread([=] { f->Pop(3); });
         c.Finally([=] { f->Drain(4); });
       },
       model::kWhole},
      {"two pop what one pushes, segments are recycled",
       [](Case& c) {
         auto f = Make<1>();
         f->Push({5});
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Pop(1); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(2); });
       }},
      {"a segment given back against a push and a pop",
       [](Case& c) {
         auto f = Make<2>();
         f->Push({5});
         f->Pop(1);
         c.Thread([=] { f->lane.Release(); });
         c.Thread([=] { f->Push({1}); });
         c.Thread([=] { f->Pop(1); });
         c.Finally([=] { f->Drain(2); });
       },
       model::kWhole},
  };
  return *cases;
}

TEST(LaneModelTest, EveryScheduleKeepsTheContract) { model::ExpectAllHold(Cases()); }

TEST(LaneModelTest, EveryMemoryOrderIsNeeded) { model::ExpectEachOrderNeeded(Cases(), "lane.h:"); }

}  // namespace
}  // namespace barista::core
