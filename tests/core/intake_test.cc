#include "broker/core/intake.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace barista::core {
namespace {

struct Node {
  int producer = 0;
  int number = 0;
  Node* next_in_intake = nullptr;
};

TEST(IntakeTest, DrainsInPushOrder) {
  Intake<Node> intake;
  EXPECT_TRUE(intake.empty());
  EXPECT_EQ(intake.Drain(), nullptr);
  Node nodes[3];
  EXPECT_TRUE(intake.Push(&nodes[0]));
  EXPECT_FALSE(intake.Push(&nodes[1]));
  EXPECT_FALSE(intake.Push(&nodes[2]));
  EXPECT_FALSE(intake.empty());
  Node* first = intake.Drain();
  EXPECT_EQ(first, &nodes[0]);
  EXPECT_EQ(first->next_in_intake, &nodes[1]);
  EXPECT_EQ(first->next_in_intake->next_in_intake, &nodes[2]);
  EXPECT_EQ(nodes[2].next_in_intake, nullptr);
  EXPECT_TRUE(intake.empty());
}

TEST(IntakeTest, NothingIsLostAndEachProducersOrderIsKept) {
  Intake<Node> intake;
  constexpr int kProducers = 4;
  constexpr int kEach = 20000;
  std::vector<std::unique_ptr<Node[]>> nodes;
  for (int p = 0; p < kProducers; ++p) {
    nodes.push_back(std::make_unique<Node[]>(kEach));
    for (int i = 0; i < kEach; ++i) nodes.back()[static_cast<size_t>(i)] = {p, i, nullptr};
  }
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i)
        intake.Push(&nodes[static_cast<size_t>(p)][static_cast<size_t>(i)]);
    });
  }
  std::vector<int> next(kProducers, 0);
  for (int taken = 0; taken < kProducers * kEach;) {
    for (Node* node = intake.Drain(); node != nullptr; node = node->next_in_intake) {
      ASSERT_EQ(node->number, next[static_cast<size_t>(node->producer)]++);
      ++taken;
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(intake.empty());
}

}  // namespace
}  // namespace barista::core
