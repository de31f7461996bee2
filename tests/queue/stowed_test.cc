// The table of stowed messages, against a naive one.

#include "broker/queue/stowed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace barista::internal {
namespace {

uint64_t Seed() {
  if (const char* seed = std::getenv("BARISTA_TEST_SEED"); seed != nullptr)
    return std::strtoull(seed, nullptr, 10);
  return std::random_device{}();
}

TEST(StowedTest, BehavesAsTheModel) {
  const uint64_t seed = Seed();
  SCOPED_TRACE("BARISTA_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t n) { return random() % n; };
  for (int round = 0; round < 30; ++round) {
    Stowed stowed;
    std::map<uint64_t, int64_t> hidden;  // until when, as the store would say
    std::set<uint64_t> visible;
    const uint64_t base = below(2) == 0 ? 1 : (uint64_t{3} << 40) - 500;
    int64_t now_ms = 1000;
    int64_t put_off_ms = 0;
    // What a look at the segment finds still hidden, and how many are over; `changed` has been
    // changed since, and looks as if it were over.
    const auto look = [&](const Stowed::Segment& segment, std::optional<uint64_t> changed) {
      std::vector<storage::HiddenMessage> still;
      int64_t over = 0;
      for (auto it = hidden.lower_bound(segment.from.value());
           it != hidden.end() && it->first < segment.end.value();) {
        const bool is_over = it->second <= now_ms;
        if (it->first == changed) {
          ++it;
        } else if (!is_over) {
          still.push_back({Sequence(it->first), it->second});
          ++it;
        } else {
          ++over;
          visible.insert(it->first);
          it = hidden.erase(it);
        }
      }
      return std::make_pair(still, over);
    };
    for (int step = 0; step < 3000; ++step) {
      const uint64_t sequence = base + below(5000);
      const auto place = hidden.count(sequence) != 0    ? Stowed::Place::kHidden
                         : visible.count(sequence) != 0 ? Stowed::Place::kVisible
                                                        : Stowed::Place::kNowhere;
      switch (below(13)) {
        default: {
          const int64_t until_ms = now_ms + 1 + static_cast<int64_t>(below(500));
          ASSERT_EQ(stowed.Hide(Sequence(sequence), until_ms), place);
          visible.erase(sequence);
          hidden[sequence] = until_ms;
          break;
        }
        case 6:
          ASSERT_EQ(stowed.Remove(Sequence(sequence)), place);
          hidden.erase(sequence);
          visible.erase(sequence);
          break;
        case 7:
          ASSERT_EQ(stowed.TakeVisible(Sequence(sequence)), place == Stowed::Place::kVisible);
          visible.erase(sequence);
          break;
        case 8:
          now_ms += static_cast<int64_t>(below(100));
          break;
        case 9:  // a look at everything that is over
          for (const Stowed::Segment& segment : stowed.BeginLook(now_ms, 100)) {
            const auto [still, over] = look(segment, std::nullopt);
            ASSERT_EQ(stowed.Settle(segment, still), over);
            ASSERT_EQ(stowed.Settle(segment, still), 0) << "it was settled";
          }
          ASSERT_GT(stowed.first_over_ms(), now_ms);
          break;
        case 10:  // a look that something overtakes: it sees the store as it was
          for (const Stowed::Segment& segment : stowed.BeginLook(now_ms, 1 + below(2))) {
            if (below(5) == 0) {
              put_off_ms = now_ms + 5;
              stowed.PutOff(segment, put_off_ms);
              continue;
            }
            const uint64_t changed = segment.from.value();
            if (below(2) == 0) hidden[changed] = now_ms + 7;
            if (below(2) == 0) {
              stowed.Touch(Sequence(changed), hidden[changed]);
            } else {
              ASSERT_EQ(stowed.Hide(Sequence(changed), hidden[changed]), Stowed::Place::kHidden);
            }
            const auto [still, over] = look(segment, changed);
            ASSERT_EQ(stowed.Settle(segment, still), over);
          }
          break;
        case 12: {  // what a page found
          std::vector<storage::HiddenMessage> found;
          for (uint64_t s = sequence; s < sequence + below(3000); ++s) {
            if (hidden.count(s) != 0 || visible.count(s) != 0 || below(3) == 0) continue;
            const int64_t until_ms = now_ms + 1 + static_cast<int64_t>(below(500));
            found.push_back({Sequence(s), until_ms});
            hidden[s] = until_ms;
          }
          if (below(10) == 0) {
            stowed.HideAll(found);
          } else {
            for (const auto& message : found) hidden.erase(message.sequence.value());
          }
          break;
        }
        case 11:
          if (below(50) != 0) break;
          int64_t below_end = 0;
          for (auto it = hidden.begin(); it != hidden.lower_bound(sequence); ++it) ++below_end;
          ASSERT_EQ(stowed.RemoveBelow(Sequence(sequence)), below_end);
          hidden.erase(hidden.begin(), hidden.lower_bound(sequence));
          visible.erase(visible.begin(), visible.lower_bound(sequence));
          break;
      }
      ASSERT_EQ(stowed.visible(), static_cast<int64_t>(visible.size()));
      int64_t first_over_ms = Stowed::kNoTime;
      for (const auto& [s, until_ms] : hidden) first_over_ms = std::min(first_over_ms, until_ms);
      ASSERT_LE(stowed.first_over_ms(), std::max(first_over_ms, put_off_ms))
          << "a lease would end unseen";
      ASSERT_EQ(stowed.first_over_ms() == Stowed::kNoTime, hidden.empty());
      const auto oldest = stowed.NextVisible(Sequence(0));
      ASSERT_EQ(oldest.has_value(), !visible.empty());
      const auto next = stowed.NextVisible(Sequence(sequence));
      ASSERT_EQ(next.has_value(), !visible.empty());
      if (!next.has_value()) continue;
      ASSERT_EQ(oldest->from().value(), *visible.begin());
      const auto behind = visible.lower_bound(sequence);
      ASSERT_EQ(next->from().value(), behind == visible.end() ? *visible.begin() : *behind);
      for (uint64_t s = next->from().value(); s < next->end().value(); ++s)
        ASSERT_EQ(next->Contains(Sequence(s)), visible.count(s) != 0);
    }
  }
}

}  // namespace
}  // namespace barista::internal
