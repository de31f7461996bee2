#include "client/remote/send_batch.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace barista::client {
namespace {

std::unique_ptr<SendBatch> Batch(size_t messages, size_t bytes = 1) {
  auto batch = std::make_unique<SendBatch>();
  batch->queue = "orders";
  for (size_t i = 0; i < messages; ++i) {
    auto message = std::make_unique<v1::SendMessageEntry>();
    message->set_body(absl::StrCat("m", i));
    batch->entries.push_back({i, bytes, std::move(message)});
    batch->results.push_back(absl::UnknownError("not told yet"));
  }
  return batch;
}

bool Exhausted(const absl::Status& status) { return absl::IsResourceExhausted(status); }

TEST(SendFrameTest, HasRoomForAThousandMessagesAndFourMebibytes) {
  SendFrame frame("orders");
  EXPECT_TRUE(frame.HasRoomFor(*Batch(1000)));
  EXPECT_FALSE(frame.HasRoomFor(*Batch(1001)));
  frame.Add(Batch(999));
  EXPECT_TRUE(frame.HasRoomFor(*Batch(1)));
  EXPECT_FALSE(frame.HasRoomFor(*Batch(2)));
  SendFrame large("orders");
  large.Add(Batch(1, (4 << 20) - 10));
  EXPECT_TRUE(large.HasRoomFor(*Batch(1, 10)));
  EXPECT_FALSE(large.HasRoomFor(*Batch(1, 11)));
}

TEST(SendFrameTest, BatchIsOverWithItsLastResult) {
  SendFrame frame("orders");
  frame.Add(Batch(2));
  frame.Add(Batch(1));
  EXPECT_EQ(frame.Request(true)->entries_size(), 3);
  EXPECT_TRUE(frame.Request(true)->results());
  EXPECT_EQ(frame.Tell(SendResult(), Exhausted), nullptr);
  const std::unique_ptr<SendBatch> first = frame.Tell(absl::InternalError("no"), Exhausted);
  ASSERT_NE(first, nullptr);
  EXPECT_TRUE(first->results[0].ok());
  EXPECT_TRUE(absl::IsInternal(first->results[1].status()));
  EXPECT_TRUE(first->entries.empty());
  EXPECT_FALSE(frame.over());
  EXPECT_NE(frame.Tell(SendResult(), Exhausted), nullptr);
  EXPECT_TRUE(frame.over());
}

TEST(SendFrameTest, MessagesToBeSentAgainComeBackWithTheirPlaces) {
  SendFrame frame("orders");
  frame.Add(Batch(3));
  frame.Tell(absl::ResourceExhaustedError("later"), Exhausted);
  frame.Tell(SendResult(), Exhausted);
  const std::unique_ptr<SendBatch> batch =
      frame.Tell(absl::ResourceExhaustedError("later"), Exhausted);
  ASSERT_NE(batch, nullptr);
  ASSERT_EQ(batch->entries.size(), 2u);
  EXPECT_EQ(batch->entries[0].place, 0u);
  EXPECT_EQ(batch->entries[0].message->body(), "m0");
  EXPECT_EQ(batch->entries[1].place, 2u);
  EXPECT_EQ(batch->entries[1].message->body(), "m2");
  batch->Fail(absl::UnavailableError("gone"));
  EXPECT_TRUE(absl::IsUnavailable(batch->results[0].status()));
  EXPECT_TRUE(batch->results[1].ok());
}

TEST(SendFrameTest, RestIsWhatNothingHasBeenToldOf) {
  SendFrame frame("orders");
  frame.Add(Batch(1));
  frame.Add(Batch(3));
  frame.Add(Batch(1));
  frame.Tell(SendResult(), Exhausted);
  frame.Tell(SendResult(), Exhausted);
  const std::vector<std::unique_ptr<SendBatch>> rest = frame.TakeRest();
  ASSERT_EQ(rest.size(), 2u);
  ASSERT_EQ(rest[0]->entries.size(), 2u);
  EXPECT_EQ(rest[0]->entries[0].message->body(), "m1");
  EXPECT_EQ(rest[1]->entries.size(), 1u);
  EXPECT_TRUE(frame.over());
}

}  // namespace
}  // namespace barista::client
