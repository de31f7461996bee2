#include "client/cli/line_sender.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/message.h"
#include "gtest/gtest.h"

namespace barista::cli {
namespace {

// A service that remembers what it was sent and answers as the test says.
class FakeService : public v1::QueueService::Service {
 public:
  using Answer =
      std::function<grpc::Status(const v1::SendMessageRequest&, v1::SendMessageResponse*)>;

  grpc::Status SendMessage(grpc::ServerContext*, const v1::SendMessageRequest* request,
                           v1::SendMessageResponse* response) override {
    std::lock_guard<std::mutex> lock(mutex_);
    batches_.push_back(*request);
    return answer_(*request, response);
  }

  void set_answer(Answer answer) { answer_ = std::move(answer); }

  std::vector<v1::SendMessageRequest> batches() {
    std::lock_guard<std::mutex> lock(mutex_);
    return batches_;
  }

 private:
  Answer answer_ = [](const v1::SendMessageRequest& request, v1::SendMessageResponse* response) {
    for (int i = 0; i < request.entries_size(); ++i) response->add_results()->set_message_id("id");
    return grpc::Status::OK;
  };
  std::mutex mutex_;
  std::vector<v1::SendMessageRequest> batches_;
};

class LineSenderTest : public ::testing::Test {
 protected:
  LineSenderTest() {
    int port = 0;
    server_ = grpc::ServerBuilder()
                  .AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port)
                  .RegisterService(&service_)
                  .SetMaxReceiveMessageSize(8 << 20)
                  .BuildAndStart();
    client_ =
        *client::QueueClient::Open({.server = absl::StrCat("127.0.0.1:", port)}, absl::Seconds(30));
  }

  // Sends `text` and returns the status; counts_ has the rest.
  absl::Status Send(const std::string& text, v1::SendMessageEntry prototype = {},
                    bool in_order = false) {
    std::FILE* file = std::tmpfile();
    if (file == nullptr) std::abort();
    EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    std::fflush(file);
    lseek(fileno(file), 0, SEEK_SET);
    LineReader input(fileno(file), kMaxMessageBytes + 1);
    Output output(Format::kJson);
    LineSender sender(*client_, output, "orders", std::move(prototype), in_order);
    absl::Status status = sender.Run(input);
    counts_ = sender.counts();
    std::fclose(file);
    return status;
  }

  FakeService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<client::QueueClient> client_;
  LineSender::Counts counts_;
};

void Refuse(v1::SendMessageResult* result, const std::string& reason) {
  result->mutable_error()->set_code(8);
  result->mutable_error()->set_reason(reason);
}

TEST_F(LineSenderTest, BatchesHoldAThousandLines) {
  std::string text;
  for (size_t i = 0; i < kMaxBatchEntries + 1; ++i) absl::StrAppend(&text, "line ", i, "\n");
  ASSERT_TRUE(Send(text).ok());
  EXPECT_EQ(counts_.sent, static_cast<int64_t>(kMaxBatchEntries) + 1);
  std::vector<int> sizes;
  for (const auto& batch : service_.batches()) sizes.push_back(batch.entries_size());
  std::sort(sizes.begin(), sizes.end());
  EXPECT_EQ(sizes, (std::vector<int>{1, kMaxBatchEntries}));
}

TEST_F(LineSenderTest, BatchesHoldFourMebibytesWithAttributes) {
  v1::SendMessageEntry prototype;
  (*prototype.mutable_attributes())["a"].set_data_type("String");
  (*prototype.mutable_attributes())["a"].set_string_value("x");
  const size_t attribute_bytes = 8;
  const size_t room = (kMaxBatchBytes / 4) - attribute_bytes;
  std::string text;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&text, std::string(room, 'x'), "\n");
  ASSERT_TRUE(Send(text, prototype).ok());
  ASSERT_EQ(service_.batches().size(), 1u);

  ASSERT_TRUE(Send("y" + text, prototype).ok());
  EXPECT_EQ(service_.batches().size(), 3u);
}

TEST_F(LineSenderTest, EmptyLinesAreSkipped) {
  ASSERT_TRUE(Send("\n\na\n\n").ok());
  EXPECT_EQ(counts_.sent, 1);
  EXPECT_EQ(counts_.skipped_empty, 3);
  EXPECT_EQ(counts_.refused, 0);
}

TEST_F(LineSenderTest, RefusedLineDoesNotStopTheRest) {
  service_.set_answer([](const auto& request, auto* response) {
    for (const auto& entry : request.entries()) {
      v1::SendMessageResult* result = response->add_results();
      if (entry.body() == "bad") Refuse(result, "InvalidMessageContents");
    }
    return grpc::Status::OK;
  });
  EXPECT_TRUE(Send("a\nbad\nb\n").ok());
  EXPECT_EQ(counts_.sent, 2);
  EXPECT_EQ(counts_.refused, 1);
}

TEST_F(LineSenderTest, LinesThatFoundTheIntakeFullAreSentAgain) {
  int refusals = 3;
  service_.set_answer([&refusals](const auto& request, auto* response) {
    for (const auto& entry : request.entries()) {
      v1::SendMessageResult* result = response->add_results();
      if (entry.body() == "b" && refusals-- > 0) Refuse(result, "IntakeFull");
    }
    return grpc::Status::OK;
  });
  EXPECT_TRUE(Send("a\nb\nc\n").ok());
  EXPECT_EQ(counts_.sent, 3);
  EXPECT_EQ(counts_.refused, 0);
  EXPECT_EQ(service_.batches().size(), 4u);
}

TEST_F(LineSenderTest, ErrorOfTheCallEndsIt) {
  service_.set_answer([](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such queue");
  });
  std::string text;
  for (size_t i = 0; i < 100 * kMaxBatchEntries; ++i) text += "x\n";
  EXPECT_TRUE(absl::IsNotFound(Send(text)));
  EXPECT_EQ(counts_.sent, 0);
  EXPECT_LT(service_.batches().size(), 100u);
}

TEST_F(LineSenderTest, InOrderOneCallFollowsAnother) {
  std::string text;
  for (size_t i = 0; i < 5 * kMaxBatchEntries; ++i) absl::StrAppend(&text, i, "\n");
  ASSERT_TRUE(Send(text, {}, true).ok());
  size_t next = 0;
  for (const auto& batch : service_.batches()) {
    for (const auto& entry : batch.entries()) EXPECT_EQ(entry.body(), absl::StrCat(next++));
  }
  EXPECT_EQ(next, 5 * kMaxBatchEntries);
}

}  // namespace
}  // namespace barista::cli
