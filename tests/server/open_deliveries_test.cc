// What a ConsumeStream has delivered and its client has not settled, beside a map.
#include "broker/server/open_deliveries.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::server {
namespace {

constexpr size_t kBudget = 10'000;

ReceiptHandle HandleOf(uint64_t number) {
  std::array<uint8_t, ReceiptHandle::kSize> bytes{};
  std::memcpy(bytes.data(), &number, sizeof(number));
  return ReceiptHandle(bytes);
}

v1::DeliveryRange Range(uint64_t first, uint64_t count) {
  v1::DeliveryRange range;
  range.set_first(first);
  range.set_count(count);
  return range;
}

void Add(OpenDeliveries& open, int count) {
  for (int i = 0; i < count; ++i) open.Add(HandleOf(open.next()));
}

TEST(OpenDeliveriesTest, RangeWithOneThatIsNotOpenChangesNothing) {
  OpenDeliveries open;
  Add(open, 20);
  size_t budget = kBudget;
  OpenDeliveries::Chosen chosen;
  ASSERT_TRUE(open.Take(Range(11, 1), &budget, &chosen).ok());
  for (const v1::DeliveryRange& range : {Range(0, 1), Range(9, 4), Range(21, 1), Range(18, 4),
                                         Range(std::numeric_limits<uint64_t>::max(), 3)}) {
    const absl::Status status = open.Take(range, &budget, &chosen);
    EXPECT_EQ(GetErrorInfo(status).reason, "InvalidParameterValue") << range.ShortDebugString();
    EXPECT_EQ(chosen.size(), 1u);
    EXPECT_EQ(open.size(), 19u);
    EXPECT_EQ(budget, kBudget - 1);
  }
}

TEST(OpenDeliveriesTest, BudgetIsWhatMayBeNamed) {
  OpenDeliveries open;
  Add(open, 20);
  size_t budget = 10;
  OpenDeliveries::Chosen chosen;
  EXPECT_EQ(GetErrorInfo(open.Find(Range(1, 11), &budget, &chosen)).limit, "10");
  EXPECT_TRUE(open.Find(Range(1, 10), &budget, &chosen).ok());
  EXPECT_EQ(budget, 0u);
  EXPECT_EQ(open.size(), 20u);
}

TEST(OpenDeliveriesTest, RandomStepsBesideAMap) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  OpenDeliveries open;
  std::map<uint64_t, ReceiptHandle> model;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 5) {
      case 0:
        for (unsigned i = random() % 40; i > 0; --i) {
          model.emplace(open.next(), HandleOf(open.next()));
          open.Add(HandleOf(open.next()));
        }
        break;
      case 1: {
        const uint64_t first = open.next() - std::min<uint64_t>(random() % 60, open.next());
        const uint64_t end = first + random() % 60;
        OpenDeliveries::Chosen taken = open.TakeBetween(first, end);
        size_t expected = 0;
        for (auto it = model.lower_bound(first); it != model.end() && it->first < end; ++expected) {
          it = model.erase(it);
        }
        ASSERT_EQ(taken.size(), expected);
        break;
      }
      default: {
        const uint64_t first = open.next() - std::min<uint64_t>(random() % 60, open.next());
        const uint64_t count = 1 + random() % 20;
        bool all = true;
        for (uint64_t i = 0; i < count; ++i) all = all && model.count(first + i) > 0;
        size_t budget = kBudget;
        OpenDeliveries::Chosen chosen;
        ASSERT_EQ(open.Take(Range(first, count), &budget, &chosen).ok(), all);
        ASSERT_EQ(chosen.size(), all ? count : 0);
        for (size_t i = 0; i < chosen.size(); ++i) {
          ASSERT_EQ(chosen.numbers[i], first + i);
          ASSERT_EQ(chosen.handles[i], HandleOf(first + i));
        }
        if (random() % 4 == 0) {
          open.Reopen(chosen);
        } else {
          for (const uint64_t number : chosen.numbers) model.erase(number);
        }
      }
    }
    ASSERT_EQ(open.size(), model.size());
  }
  EXPECT_EQ(open.Handles().size(), model.size());
}

}  // namespace
}  // namespace barista::server
