#include "broker/server/strand.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace barista::server {
namespace {

TEST(StrandTest, RunsWhatAnEventPostsAfterIt) {
  Strand strand([] {});
  std::vector<int> order;
  strand.Post([&] {
    strand.Post([&] { order.push_back(2); });
    order.push_back(1);
  });
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(StrandTest, ATurnFollowsTheEventsThatHaveCome) {
  std::vector<char> order;
  Strand* self = nullptr;
  Strand strand([&] {
    order.push_back('t');
    if (order.size() == 4) {
      self->Post([&] { order.push_back('c'); });
      EXPECT_TRUE(self->HasWaiting());
    }
  });
  self = &strand;
  strand.Post([&] {
    strand.Post([&] { order.push_back('b'); });
    strand.Post([&] { order.push_back('b'); });
    order.push_back('a');
  });
  EXPECT_EQ(std::string(order.begin(), order.end()), "atbbt");
  order.assign(3, '-');
  strand.Post([] {});
  EXPECT_EQ(std::string(order.begin(), order.end()), "---tct");
}

TEST(StrandTest, WhoIsBriefHandsOverWhatHasCome) {
  Strand strand([] {});
  std::vector<int> order;
  Strand::Event rest;
  strand.PostBriefly(
      [&] {
        strand.Post([&] { order.push_back(2); });
        order.push_back(1);
      },
      [&](Strand::Event run) {
        rest = std::move(run);
        return true;
      });
  EXPECT_EQ(order, (std::vector<int>{1}));
  strand.Post([&] { order.push_back(3); });
  EXPECT_EQ(order, (std::vector<int>{1})) << "the strand runs elsewhere";
  rest();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  strand.PostBriefly([&] { strand.Post([&] { order.push_back(4); }); },
                     [](Strand::Event) { return false; });
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4})) << "nobody took it";
}

TEST(StrandTest, RunsOneAfterTheOtherInTheOrderOfEachThread) {
  constexpr int kThreads = 4, kEvents = 20'000;
  Strand strand([] {});
  std::vector<int> next(kThreads, 0);  // the strand's, without a lock
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEvents; ++i) {
        strand.Post([&, t, i] {
          EXPECT_EQ(next[static_cast<size_t>(t)], i);
          ++next[static_cast<size_t>(t)];
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(next, std::vector<int>(kThreads, kEvents));
}

}  // namespace
}  // namespace barista::server
