#include "broker/core/message_word.h"

#include <gtest/gtest.h>

namespace barista::core {
namespace {

TEST(WordTest, PartsDoNotDisturbOneAnother) {
  const Word word(0xfedcba98, State::kInFlight, 0x123456);
  EXPECT_EQ(word.generation(), 0xfedcba98u);
  EXPECT_EQ(word.state(), State::kInFlight);
  EXPECT_EQ(word.receives(), 0x123456u);
  EXPECT_FALSE(word.locked());
  for (State state : {State::kFree, State::kDelayed, State::kReady, State::kInFlight,
                      State::kDeleting, State::kMoving}) {
    const Word changed = word.Locked().With(state).WithReceives(7);
    EXPECT_EQ(changed.generation(), 0xfedcba98u);
    EXPECT_EQ(changed.state(), state);
    EXPECT_EQ(changed.receives(), 7u);
    EXPECT_TRUE(changed.locked());
    EXPECT_EQ(changed.Unlocked().bits() & Word::kLocked, 0u);
  }
}

TEST(WordTest, QueuedIsAFlagOfItsOwn) {
  for (State state : {State::kFree, State::kReady, State::kMoving}) {
    const Word word(~0u, state, 0xffffff);
    EXPECT_FALSE(word.queued());
    const Word queued = word.Queued();
    EXPECT_TRUE(queued.queued());
    EXPECT_EQ(queued.state(), state);
    EXPECT_EQ(queued.With(State::kInFlight).state(), State::kInFlight);
    EXPECT_TRUE(queued.With(State::kInFlight).queued());
    EXPECT_EQ(queued.receives(), word.receives());
    EXPECT_EQ(queued.generation(), word.generation());
    EXPECT_EQ(queued.Unqueued().bits(), word.bits());
  }
}

TEST(WordTest, ReceivesStopAtTheirMaximum) {
  EXPECT_EQ(Word(1, State::kReady, 0).WithReceives(0xffffff + 5u).receives(), 0xffffffu);
}

}  // namespace
}  // namespace barista::core
