// Frames of streams that are read and written without protobuf's objects: like protobuf's own.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/broker.h"
#include "broker/server/delivery_frame.h"
#include "broker/server/frame_codec.h"
#include "broker/server/message_codec.h"
#include "broker/server/send_frame.h"

namespace barista::server {
namespace {

using google::protobuf::util::MessageDifferencer;

// `bytes` as they might come: in pieces of 1 to `most` bytes.
grpc::ByteBuffer InPieces(const std::string& bytes, size_t most, std::mt19937& random) {
  std::vector<grpc::Slice> pieces;
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = std::min(bytes.size() - at, 1 + random() % most);
    pieces.emplace_back(bytes.data() + at, size);
    at += size;
  }
  return grpc::ByteBuffer(pieces.data(), pieces.size());
}

std::string AsText(const OutgoingMessage& message) {
  std::string text = absl::StrCat("body ", message.body);
  for (const auto& [name, value] : message.attributes) {
    absl::StrAppend(&text, " ", name, "=", value.data_type, ":", value.value);
  }
  if (message.delay) absl::StrAppend(&text, " delay ", absl::FormatDuration(*message.delay));
  for (const auto& field : {message.group_id, message.dedup_id, message.trace_header}) {
    absl::StrAppend(&text, " ", field ? *field : "-");
  }
  return text;
}

// Whether a SendFrame sees in `bytes` what protobuf does.
void ExpectSameRequest(const std::string& bytes, size_t most, std::mt19937& random) {
  v1::SendStreamRequest expected;
  const bool parses = expected.ParseFromString(bytes);
  grpc::ByteBuffer buffer = InPieces(bytes, most, random);
  SendFrame frame;
  ASSERT_EQ(frame.Read(&buffer), parses);
  if (!parses) return;
  ASSERT_EQ(static_cast<int>(frame.decoded().size()), expected.entries_size());
  size_t next = 0;
  for (int i = 0; i < expected.entries_size(); ++i) {
    const auto message = DecodeEntry(expected.entries(i));
    const size_t index = static_cast<size_t>(i);
    EXPECT_EQ(frame.decoded()[index].code(), message.status().code());
    if (!message.ok()) continue;
    EXPECT_EQ(AsText(frame.messages()[next++]), AsText(*message));
  }
  EXPECT_EQ(next, frame.messages().size());
  expected.clear_entries();
  EXPECT_TRUE(MessageDifferencer::Equals(frame.request(), expected));
}

v1::SendStreamRequest SomeRequest(std::mt19937& random) {
  const auto text = [&](size_t most) { return std::string(random() % most, 'a' + random() % 26); };
  v1::SendStreamRequest request;
  if (random() % 2) request.set_queue(text(20));
  request.set_results(random() % 2);
  for (size_t i = random() % 8; i > 0; --i) {
    v1::SendMessageEntry& entry = *request.add_entries();
    if (random() % 8) entry.set_body(text(3000));
    if (random() % 4 > 0) continue;
    if (random() % 2) entry.set_group_id(text(10));
    if (random() % 2) entry.mutable_delay()->set_seconds(random() % 100);
    if (random() % 4 == 0) entry.mutable_delay()->set_nanos(-1);
    if (random() % 2) entry.set_trace_header(text(100));
    v1::MessageAttributeValue& value = (*entry.mutable_attributes())[text(5) + "n"];
    value.set_data_type(random() % 2 ? "String" : "Binary");
    random() % 2 ? value.set_string_value("x") : value.set_binary_value("y");
  }
  return request;
}

TEST(SendFrameTest, RandomRequestsAreReadAsProtobufReadsThem) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const std::string bytes = SomeRequest(random).SerializeAsString();
    ExpectSameRequest(bytes, i % 3 == 0 ? 7 : 4096, random);
    if (HasFailure()) return;
  }
}

TEST(SendFrameTest, DamagedRequestsAreReadAsProtobufReadsThem) {
  const google::protobuf::LogSilencer silencer;  // each string that is not UTF-8 is a line
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = SomeRequest(random).SerializeAsString();
    for (size_t flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      // (Most of a request is body: damage is for the bytes that mean something.)
      const size_t at =
          random() % 2 ? random() % bytes.size() : random() % std::min<size_t>(bytes.size(), 32);
      bytes[at] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 1));
    ExpectSameRequest(bytes, 1 + random() % 5000, random);
    if (HasFailure()) return;
  }
}

TEST(SendFrameTest, LastOfSeveralBodiesCounts) {
  std::mt19937 random;
  const std::string entry(
      "\x0a\x01"
      "a"
      "\x0a\x02"
      "bc",
      7);
  ExpectSameRequest(absl::StrCat("\x12\x07", entry), 100, random);
  // Also an empty one.
  ExpectSameRequest(std::string("\x12\x05\x0a\x01"
                                "a"
                                "\x0a\x00",
                                7),
                    100, random);
}

TEST(SendFrameTest, UnknownFieldsAreKept) {
  std::mt19937 random;
  // Field 15 of the request, field 15 of an entry, a group, and an end of a group alone.
  ExpectSameRequest(std::string("\x7a\x01x\x12\x03\x7a\x01y", 8), 3, random);
  ExpectSameRequest(std::string("\x7b\x08\x01\x7c", 4), 3, random);
  ExpectSameRequest(std::string("\x7c", 1), 3, random);
}

// ---- Deliveries ----

// Bodies of some kinds, received once or twice.
class DeliveryFrameTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto broker = Broker::Open({.manual = true, .clock = &clock_});
    ASSERT_TRUE(broker.ok());
    broker_ = *std::move(broker);
    auto queue = broker_->CreateQueue("orders", {.body_charset = BodyCharset::kBinary});
    ASSERT_TRUE(queue.ok());
    queue_ = *std::move(queue);
  }

  std::vector<ReceivedMessage> Receive() {
    auto received = queue_.Receive({.max_messages = 1000});
    EXPECT_TRUE(received.ok());
    return *std::move(received);
  }

  void ExpectSameBytesAsProtobuf(const std::vector<ReceivedMessage>& messages) {
    for (const bool handles : {false, true}) {
      v1::ConsumeStreamResponse response;
      response.set_first_delivery(7);
      response.set_settled(300);
      response.set_draining(true);
      response.add_failures()->mutable_error()->set_message("no");
      grpc::ByteBuffer bytes = EncodeDeliveries(response, messages, handles);
      v1::ConsumeStreamResponse decoded;
      ASSERT_TRUE(FromByteBuffer(&bytes, &decoded));
      for (const ReceivedMessage& message : messages) {
        v1::Message* out = response.add_messages();
        EncodeMessage(message, out);
        if (handles) out->set_receipt_handle(message.receipt_handle.ToString());
      }
      MessageDifferencer differencer;
      std::string difference;
      differencer.ReportDifferencesToString(&difference);
      EXPECT_TRUE(differencer.Compare(response, decoded)) << difference;
    }
  }

  ManualClock clock_;
  std::unique_ptr<Broker> broker_;
  Queue queue_;
};

TEST_F(DeliveryFrameTest, MessagesOfEveryKindAreWrittenAsProtobufWritesThem) {
  for (const size_t bytes : {1, 127, 128, 1024, 16383, 16384, 300'000}) {
    ASSERT_TRUE(queue_.Send({.body = std::string(bytes, '\xff')}).ok());
    clock_.Advance(absl::Milliseconds(1));
  }
  ASSERT_TRUE(queue_.Send({.body = "a", .attributes = {{"table", "7"}}}).ok());
  ASSERT_TRUE(queue_.Send({.body = "b", .group_id = "g"}).ok());
  ASSERT_TRUE(queue_.Send({.body = "c", .trace_header = "Root=1"}).ok());
  const auto first = Receive();
  ASSERT_EQ(first.size(), 10u);
  ExpectSameBytesAsProtobuf(first);
  clock_.Advance(absl::Seconds(31));
  broker_->RunOnce();
  const auto again = Receive();
  ASSERT_EQ(again.size(), 10u);
  EXPECT_EQ(again[0].receive_count, 2);
  ExpectSameBytesAsProtobuf(again);
}

TEST_F(DeliveryFrameTest, NoMessagesAreAResponse) { ExpectSameBytesAsProtobuf({}); }

TEST_F(DeliveryFrameTest, TimesOnWholeSecondsAndAtTheEpoch) {
  ReceivedMessage message;
  message.body = "x";
  message.receive_count = 1;
  message.sent_at = absl::UnixEpoch();
  message.first_received_at = absl::UnixEpoch() + absl::Seconds(5);
  ExpectSameBytesAsProtobuf({message});
  message.first_received_at = absl::InfiniteFuture();
  ExpectSameBytesAsProtobuf({message});
}

}  // namespace
}  // namespace barista::server
