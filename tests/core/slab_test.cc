#include "broker/core/slab.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace barista::core {
namespace {

TEST(SlabTest, SlotsAreDistinctAndComeBackWithAnotherGeneration) {
  Slab slab;
  std::vector<MsgId> ids(100);
  ASSERT_TRUE(slab.Allocate(absl::MakeSpan(ids)));
  std::set<uint32_t> slots;
  for (MsgId id : ids) {
    EXPECT_TRUE(slab.Contains(id));
    EXPECT_NE(id.generation(), 0u);
    EXPECT_TRUE(slots.insert(id.slot()).second);
  }
  slab.Free(ids);
  std::vector<MsgId> again(100);
  ASSERT_TRUE(slab.Allocate(absl::MakeSpan(again)));
  for (MsgId id : again) {
    EXPECT_EQ(slots.count(id.slot()), 1u) << "freed slots are used first";
    EXPECT_EQ(id.generation(), 2u);
  }
}

TEST(SlabTest, StaleIdFailsItsTransition) {
  Slab slab;
  MsgId id;
  ASSERT_TRUE(slab.Allocate(absl::MakeSpan(&id, 1)));
  Slot& slot = slab.At(id);
  const Word old = LoadUnlocked(slot);
  slab.Free(absl::MakeConstSpan(&id, 1));
  MsgId next;
  ASSERT_TRUE(slab.Allocate(absl::MakeSpan(&next, 1)));
  ASSERT_EQ(next.slot(), id.slot());
  slot.word.store(Word(next.generation(), State::kReady, 0).bits());
  Word word = old;
  EXPECT_FALSE(Transition(slot, &word, old.With(State::kInFlight)));
  EXPECT_EQ(word.generation(), next.generation());
  EXPECT_FALSE(TryLock(slot, id, &word));
}

TEST(SlabTest, GrowsBeyondOneArena) {
  Slab slab;
  std::vector<MsgId> ids(Slab::kArenaSlots + 1);
  ASSERT_TRUE(slab.Allocate(absl::MakeSpan(ids)));
  EXPECT_EQ(slab.size(), 2 * Slab::kArenaSlots);
  EXPECT_NE(&slab.At(ids.front()), &slab.At(ids.back()));
}

TEST(SlabTest, ForeignIdsAreNotContained) {
  Slab slab;
  EXPECT_FALSE(slab.Contains(MsgId::Of(0, 1)));
  MsgId id;
  ASSERT_TRUE(slab.Allocate(absl::MakeSpan(&id, 1)));
  EXPECT_FALSE(slab.Contains(MsgId::Of(slab.size(), 1)));
  EXPECT_FALSE(slab.Contains(MsgId{}));
}

// Of many threads that try the same transition exactly one wins, and sees what the winner before it
// wrote under the lock flag.
TEST(SlabTest, OneWinnerPerTransition) {
  Slab slab;
  MsgId id;
  ASSERT_TRUE(slab.Allocate(absl::MakeSpan(&id, 1)));
  Slot& slot = slab.At(id);
  slot.payload_bytes.store(0);
  slot.word.store(Word(id.generation(), State::kReady, 0).bits());
  constexpr int kRounds = 20000;
  uint64_t plain = 0;  // written by winners only: a race is a report of thread sanitizer
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (;;) {
        Word word = LoadUnlocked(slot);
        if (word.receives() >= kRounds) return;
        if (word.state() != State::kReady) continue;
        const Word mine = word.With(State::kInFlight).WithReceives(word.receives() + 1);
        if (!Transition(slot, &word, mine.Locked())) continue;
        ++plain;
        Unlock(slot, mine.With(State::kReady));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(plain, static_cast<uint64_t>(kRounds));
}

}  // namespace
}  // namespace barista::core
