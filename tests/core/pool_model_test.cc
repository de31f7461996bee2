// The pool under every schedule of small cases, and with each of its memory orders weakened.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "broker/core/pool.h"
#include "tests/model/weakenings.h"

namespace barista::core {
namespace {

using model::Case;
using model::Check;

// Shows a look at a cell that is not ordered behind its construction.
class NextFree {
 public:
  NextFree() { born_.Set(1); }
  uint32_t load(std::memory_order order, const char* file = __builtin_FILE(),
                int line = __builtin_LINE()) const {
    Check(born_.Get() == 1, "a cell that is not made yet");
    return next_.load(order, file, line);
  }
  void store(uint32_t cell, std::memory_order order, const char* file = __builtin_FILE(),
             int line = __builtin_LINE()) {
    next_.store(cell, order, file, line);
  }

 private:
  model::Plain<int> born_;
  model::Atomic<uint32_t> next_{0};
};

struct Cell {
  NextFree next_free;
  model::Plain<int> content;  // of the owner: a race if there are two
};

template <uint32_t kArenaCells>
struct Fixture {
  std::vector<uint32_t> Take(size_t n) {
    std::vector<uint32_t> cells(n);
    Check(pool.Allocate(absl::MakeSpan(cells)), "the pool is full");
    for (size_t i = 0; i < n; ++i) {
      Check(cells[i] < pool.size(), "a number beyond the size");
      for (size_t j = 0; j < i; ++j) Check(cells[i] != cells[j], "a cell twice in one batch");
      pool.At(cells[i]).content.Set(1);
    }
    return cells;
  }
  void Use(size_t n) {
    const std::vector<uint32_t> cells = Take(n);
    pool.Free(cells);
  }
  // After all threads: every cell is there, once.
  void Count() {
    const size_t cells = pool.size();
    Take(cells);
    Check(pool.size() == cells, "a cell is lost");
  }

  BasicPool<Cell, kArenaCells, 4, model::ModelAtomics> pool;
};

template <uint32_t kArenaCells>
std::shared_ptr<Fixture<kArenaCells>> Make(size_t grown) {
  auto f = std::make_shared<Fixture<kArenaCells>>();
  if (grown > 0) f->Use(grown);
  return f;
}

const std::vector<model::NamedCase>& Cases() {
  static const auto* const cases = new std::vector<model::NamedCase>{
      {"two threads take one cell each and give it back",
       [](Case& c) {
         auto f = Make<2>(2);
         c.Thread([=] { f->Use(1); });
         c.Thread([=] { f->Use(1); });
         c.Finally([=] { f->Count(); });
       }},
      {"a batch against a list that is taken apart and put together again",
       [](Case& c) {
         auto f = Make<4>(4);
         c.Thread([=] { f->Use(2); });
         c.Thread([=] {
           const std::vector<uint32_t> first = f->Take(1);
           f->Take(1);  // kept
           f->pool.Free(first);
         });
         c.Finally([=] {
           const size_t cells = f->pool.size();
           f->Take(cells - 1);
           Check(f->pool.size() == cells, "a cell is lost");
         });
       }},
      {"a cell given back against the end of the pool",
       [](Case& c) {
         auto f = Make<2>(2);
         const std::vector<uint32_t> cells = f->Take(2);
         auto taken_back = std::make_shared<int>(0);
         auto free = std::make_shared<size_t>(0);
         c.Thread([=] {
           *taken_back += f->pool.Free(absl::MakeConstSpan(cells).subspan(0, 1));
           *taken_back += f->pool.Free(absl::MakeConstSpan(cells).subspan(1, 1));
         });
         c.Thread([=] { *free = f->pool.Close(); });
         c.Finally([=] {
           Check(*free == static_cast<size_t>(*taken_back), "a cell counted by both or by none");
           uint32_t cell;
           Check(!f->pool.Allocate(absl::MakeSpan(&cell, 1)), "a closed pool gives cells away");
         });
       }},
      {"growth against growth",
       [](Case& c) {
         auto f = Make<1>(0);
         c.Thread([=] { f->Use(1); });
         c.Thread([=] { f->Use(1); });
         c.Finally([=] { f->Count(); });
       }},
      {"a walk over a list that has grown meanwhile",
       [](Case& c) {
         using Pool = BasicPool<Cell, 1, 2, model::ModelAtomics>;
         auto pool = std::make_shared<Pool>();
         uint32_t cell = 0;
         pool->Allocate(absl::MakeSpan(&cell, 1));
         pool->Free(absl::MakeConstSpan(&cell, 1));
         c.Thread([=] {
           uint32_t cells[2];
           if (!pool->Allocate(absl::MakeSpan(cells).subspan(0, 1))) return;
           if (!pool->Allocate(absl::MakeSpan(cells).subspan(1, 1))) return;
           pool->Free(absl::MakeConstSpan(cells).subspan(1, 1));
           pool->Free(absl::MakeConstSpan(cells).subspan(0, 1));
         });
         c.Thread([=] {
           uint32_t cells[2];
           pool->Allocate(cells);
         });
       }},
      {"growth against a look at the size",
       [](Case& c) {
         auto f = Make<1>(0);
         c.Thread([=] { f->Use(1); });
         c.Thread([=] {
           const uint32_t size = f->pool.size();
           for (uint32_t i = 0; i < size; ++i) f->pool.At(i);
         });
         c.Finally([=] { f->Count(); });
       }},
      {"three threads take one cell each and give it back",
       [](Case& c) {
         auto f = Make<3>(3);
         for (int t = 0; t < 3; ++t) c.Thread([=] { f->Use(1); });
         c.Finally([=] { f->Count(); });
       },
       model::kWhole},
      {"growth against growth and a cell given back",
       [](Case& c) {
         auto f = Make<1>(0);
         const std::vector<uint32_t> cells = f->Take(1);
         c.Thread([=] { f->Use(1); });
         c.Thread([=] { f->Use(1); });
         c.Thread([=] { f->pool.Free(cells); });
         c.Finally([=] { f->Count(); });
       },
       model::kWhole},
      {"growth by two arenas against growth",
       [](Case& c) {
         auto f = Make<1>(0);
         c.Thread([=] { f->Use(2); });
         c.Thread([=] { f->Use(1); });
         c.Finally([=] { f->Count(); });
       }},
      {"growth by three threads",
       [](Case& c) {
         auto f = Make<1>(0);
         for (int t = 0; t < 3; ++t) c.Thread([=] { f->Take(1); });
         c.Finally([=] { Check(f->pool.size() >= 3, "a cell belongs to two"); });
       },
       model::kWhole},
      {"two cells given back and one taken against the end of the pool",
       [](Case& c) {
         auto f = Make<2>(2);
         const std::vector<uint32_t> cells = f->Take(2);
         auto taken_back = std::make_shared<std::array<int, 2>>();
         auto taken = std::make_shared<int>(0);
         auto free = std::make_shared<size_t>(0);
         for (size_t t = 0; t < 2; ++t) {
           c.Thread([=] {
             (*taken_back)[t] = f->pool.Free(absl::MakeConstSpan(cells).subspan(t, 1));
             uint32_t cell;
             if (t == 0 && (*taken_back)[0] == 1) {
               *taken += f->pool.Allocate(absl::MakeSpan(&cell, 1));
             }
           });
         }
         c.Thread([=] { *free = f->pool.Close(); });
         c.Finally([=] {
           const size_t back = static_cast<size_t>((*taken_back)[0] + (*taken_back)[1] - *taken);
           Check(*free == back, "a cell counted by both or by none");
         });
       }},
  };
  return *cases;
}

TEST(PoolModelTest, EveryScheduleKeepsTheContract) { model::ExpectAllHold(Cases()); }

TEST(PoolModelTest, EveryMemoryOrderIsNeeded) { model::ExpectEachOrderNeeded(Cases(), "pool.h:"); }

}  // namespace
}  // namespace barista::core
