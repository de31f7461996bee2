// The intake under every schedule of small cases, and with each of its memory orders weakened.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "broker/core/intake.h"
#include "tests/model/weakenings.h"

namespace barista::core {
namespace {

using model::Case;
using model::Check;

struct Node {
  size_t number = 0;
  model::Plain<int> content;
  Node* next_in_intake = nullptr;
};

struct Fixture {
  static constexpr size_t kNodes = 4;

  Fixture() {
    for (size_t i = 0; i < kNodes; ++i) nodes[i].number = i;
  }

  bool Push(size_t number) {
    nodes[number].content.Set(static_cast<int>(number) * 11);
    return intake.Push(&nodes[number]);
  }

  std::vector<size_t> Drain() {
    std::vector<size_t> numbers;
    for (Node* node = intake.Drain(); node != nullptr; node = node->next_in_intake) {
      Check(node->content.Get() == static_cast<int>(node->number) * 11,
            "the node came before its content");
      Check(++seen[node->number] == 1, "drained twice");
      numbers.push_back(node->number);
    }
    return numbers;
  }

  // After all threads: the rest, and nothing lost.
  void Count(size_t pushed) {
    Drain();
    size_t total = 0;
    for (int count : seen) total += static_cast<size_t>(count);
    Check(total == pushed, "a node is lost");
    Check(intake.empty(), "the drained intake is not empty");
  }

  BasicIntake<Node, model::ModelAtomics> intake;
  std::array<Node, kNodes> nodes;
  std::array<int, kNodes> seen{};
  model::Atomic<int> flag{0};
  bool woken = false;
  bool sleeps = false;
};

const std::vector<model::NamedCase>& Cases() {
  static const auto* const cases = new std::vector<model::NamedCase>{
      {"pushes against drains",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         c.Thread([=] {
           f->Push(0);
           f->Push(1);
         });
         c.Thread([=] { f->Push(2); });
         c.Thread([=] {
           std::vector<size_t> numbers = f->Drain();
           for (size_t number : f->Drain()) numbers.push_back(number);
           bool first = false;
           for (size_t number : numbers) {
             first |= number == 0;
             Check(number != 1 || first, "one producer's nodes in the wrong order");
           }
         });
         c.Finally([=] { f->Count(3); });
       }},
      {"the first push into an empty intake, told from the others",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         auto firsts = std::make_shared<std::array<bool, 2>>();
         for (size_t t = 0; t < 2; ++t) {
           c.Thread([=] { (*firsts)[t] = f->Push(t); });
         }
         c.Finally([=] {
           Check((*firsts)[0] != (*firsts)[1], "none is the first, or both");
           f->Count(2);
         });
       }},
      // The commit log's committer, and who submits to it.
      {"a sleeper that looks, against a push",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         c.Thread([=] {
           f->flag.store(1, std::memory_order_seq_cst);
           f->sleeps = f->intake.empty();
         });
         c.Thread([=] {
           f->Push(0);
           f->woken = f->flag.load(std::memory_order_seq_cst) != 0;
         });
         c.Finally([=] {
           Check(f->woken || !f->sleeps, "asleep, and nobody wakes it");
           f->Count(1);
         });
       }},
      // The timer's owner and who arms; the commit log's lazy operations and their due time.
      {"a sleeper that drains, against a push",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         c.Thread([=] {
           f->flag.store(1, std::memory_order_relaxed);
           f->sleeps = f->Drain().empty();
         });
         c.Thread([=] {
           f->Push(0);
           f->woken = f->flag.load(std::memory_order_relaxed) != 0;
         });
         c.Finally([=] {
           Check(f->woken || !f->sleeps, "asleep, and nobody wakes it");
           f->Count(1);
         });
       }},
      {"a sleeper that drains, against a push behind another's",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         c.Thread([=] {
           f->flag.store(1, std::memory_order_relaxed);
           f->Drain();
         });
         c.Thread([=] { f->Push(0); });
         c.Thread([=] {
           f->Push(1);
           f->woken = f->flag.load(std::memory_order_relaxed) != 0;
         });
         c.Finally([=] {
           Check(f->woken || f->seen[1] == 1, "asleep, and nobody wakes it");
           f->Count(2);
         });
       }},
      {"three push against drains",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         for (size_t t = 0; t < 3; ++t) c.Thread([=] { f->Push(t); });
         c.Thread([=] {
           f->Drain();
           f->Drain();
         });
         c.Finally([=] { f->Count(3); });
       }},
      {"three push, one of them twice, against drains",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         c.Thread([=] {
           f->Push(0);
           f->Push(1);
         });
         c.Thread([=] { f->Push(2); });
         c.Thread([=] { f->Push(3); });
         c.Thread([=] {
           std::vector<size_t> numbers = f->Drain();
           for (size_t number : f->Drain()) numbers.push_back(number);
           bool first = false;
           for (size_t number : numbers) {
             first |= number == 0;
             Check(number != 1 || first, "one producer's nodes in the wrong order");
           }
         });
         c.Finally([=] { f->Count(4); });
       }},
      {"a sleeper that looks and drains, against three pushes",
       [](Case& c) {
         auto f = std::make_shared<Fixture>();
         auto woken = std::make_shared<std::array<bool, 3>>();
         c.Thread([=] {
           f->Drain();
           f->flag.store(1, std::memory_order_seq_cst);
           f->sleeps = f->intake.empty();
         });
         for (size_t t = 0; t < 3; ++t) {
           c.Thread([=] {
             f->Push(t);
             (*woken)[t] = f->flag.load(std::memory_order_seq_cst) != 0;
           });
         }
         c.Finally([=] {
           bool drained_all = true;
           for (size_t t = 0; t < 3; ++t) drained_all &= f->seen[t] == 1;
           Check(!f->sleeps || drained_all || (*woken)[0] || (*woken)[1] || (*woken)[2],
                 "asleep, and nobody wakes it");
           f->Count(3);
         });
       }},
  };
  return *cases;
}

TEST(IntakeModelTest, EveryScheduleKeepsTheContract) { model::ExpectAllHold(Cases()); }

TEST(IntakeModelTest, EveryMemoryOrderIsNeeded) {
  model::ExpectEachOrderNeeded(Cases(), "intake.h:");
}

}  // namespace
}  // namespace barista::core
