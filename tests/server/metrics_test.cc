// /metrics, and what it is made of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "barista/stats.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class MetricsTest : public ServerTest {
 protected:
  HttpResult Get(const std::string& target) {
    return Http(server_->admin_address(), "GET", target);
  }
  std::string Metrics(const std::string& query = "") {
    const HttpResult result = Get(absl::StrCat("/metrics", query));
    EXPECT_EQ(result.status, 200) << result.body;
    return result.body;
  }
  // The value of a metric, named with its labels as it is written; -1 if it is not there.
  double Value(const std::string& metric) {
    for (const absl::string_view line : absl::StrSplit(Metrics(), '\n')) {
      double value = 0;
      if (absl::StartsWith(line, metric + " ") &&
          absl::SimpleAtod(line.substr(metric.size() + 1), &value)) {
        return value;
      }
    }
    return -1;
  }
  static std::string Calls(const std::string& method, const std::string& code) {
    return absl::StrCat("barista_grpc_calls_total{method=\"barista.v1.QueueService/", method,
                        "\",code=\"", code, "\"}");
  }
};

TEST_F(MetricsTest, CountMessagesAndShowDepths) {
  CreateQueue("orders");
  ASSERT_TRUE(Send("orders", {Entry("a"), Entry("b"), Entry("c")}).ok());
  ASSERT_EQ(Receive("orders", 1).size(), 1u);
  EXPECT_THAT(Get("/metrics").headers.at("content-type"), StartsWith("text/plain; version=0.0.4"));
  const std::string text = Metrics();
  EXPECT_THAT(text, HasSubstr("# TYPE barista_messages_sent_total counter"));
  EXPECT_THAT(text, HasSubstr("\nbarista_messages_sent_total 3"));
  EXPECT_THAT(text, HasSubstr("\nbarista_messages_received_total 1"));
  EXPECT_THAT(text, HasSubstr("\nbarista_queues 1"));
  EXPECT_THAT(text, HasSubstr("\nbarista_messages_visible 2"));
  EXPECT_THAT(text, HasSubstr("\nbarista_messages_in_flight 1"));
  EXPECT_THAT(text, HasSubstr("\nbarista_refusing_writes 0"));
  EXPECT_THAT(text, HasSubstr("barista_queue_messages_visible{queue=\"orders\"} 2"));
  EXPECT_THAT(text, HasSubstr("barista_queue_messages_in_flight{queue=\"orders\"} 1"));
  EXPECT_THAT(text, HasSubstr("barista_metrics_queues_omitted 0"));
}

TEST_F(MetricsTest, HistogramsAreCumulativeAndEndAtInfinity) {
  CreateQueue("orders");
  ASSERT_TRUE(Send("orders", {Entry("a"), Entry("b")}).ok());
  server_->manual_clock()->Advance(absl::Milliseconds(3));
  ASSERT_EQ(Receive("orders", 2).size(), 2u);
  const std::string text = Metrics();
  EXPECT_THAT(text, HasSubstr("# TYPE barista_receive_latency_seconds histogram"));
  EXPECT_THAT(text, HasSubstr("barista_receive_latency_seconds_bucket{le=\"0.002\"} 0"));
  EXPECT_THAT(text, HasSubstr("barista_receive_latency_seconds_bucket{le=\"0.004\"} 2"));
  EXPECT_THAT(text, HasSubstr("barista_receive_latency_seconds_bucket{le=\"+Inf\"} 2"));
  EXPECT_THAT(text, HasSubstr("barista_receive_latency_seconds_count 2"));
  EXPECT_THAT(text, HasSubstr("barista_receive_latency_seconds_sum 0.006"));
}

TEST_F(MetricsTest, QueuesWithMetricsOfTheirOwnAreTheDeepest) {
  for (int i = 0; i <= 100; ++i) CreateQueue(absl::StrCat("q", i));
  ASSERT_TRUE(SendBody("q99", "x").ok());  // (the last one by name)
  size_t shown = 0;
  const std::string text = Metrics();
  EXPECT_THAT(text, HasSubstr("barista_metrics_queues_omitted 1\n"));
  EXPECT_THAT(text, HasSubstr("barista_queue_messages_visible{queue=\"q99\"} 1"));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    shown += absl::StartsWith(line, "barista_queue_messages_visible{") ? 1 : 0;
  }
  EXPECT_EQ(shown, 100u);
}

TEST_F(MetricsTest, AnyQueueIsShownOnDemand) {
  CreateQueue("orders");
  CreateQueue("orders-dead");
  CreateQueue("returns");
  ASSERT_TRUE(SendBody("orders", "x").ok());
  const std::string one = Metrics("?queue=orders");
  EXPECT_THAT(one, HasSubstr("barista_queue_messages_visible{queue=\"orders\"} 1"));
  EXPECT_THAT(one, Not(HasSubstr("orders-dead")));
  EXPECT_THAT(one, Not(HasSubstr("barista_messages_sent_total")));
  const std::string many = Metrics("?prefix=orders");
  EXPECT_THAT(many, HasSubstr("{queue=\"orders\"}"));
  EXPECT_THAT(many, HasSubstr("{queue=\"orders-dead\"}"));
  EXPECT_THAT(many, Not(HasSubstr("returns")));
}

TEST_F(MetricsTest, UnknownQueueIsNotFoundAndUnknownQueryIsRefused) {
  CreateQueue("orders");
  EXPECT_EQ(Get("/metrics?queue=nowhere").status, 404);
  for (const char* query : {"?max=1", "?queue=orders&prefix=o", "?queue=orders&max=1"}) {
    const HttpResult result = Get(absl::StrCat("/metrics", query));
    EXPECT_EQ(result.status, 400) << query;
    EXPECT_THAT(result.body, HasSubstr("InvalidParameterValue"));
  }
}

TEST_F(MetricsTest, CallsAreCountedByMethodAndCode) {
  CreateQueue("orders");
  ASSERT_TRUE(SendBody("orders", "x").ok());
  ASSERT_TRUE(SendBody("orders", "x").ok());
  ASSERT_FALSE(SendBody("nowhere", "x").ok());
  EXPECT_EQ(Value(Calls("SendMessage", "OK")), 2);
  EXPECT_EQ(Value(Calls("SendMessage", "NOT_FOUND")), 1);
  EXPECT_EQ(Value(Calls("CreateQueue", "OK")), 1);
  EXPECT_EQ(Value(Calls("DeleteMessage", "OK")), 0);
  EXPECT_EQ(Value("barista_grpc_call_duration_seconds_count{method=\"barista.v1.QueueService/"
                  "SendMessage\"}"),
            3);
}

TEST_F(MetricsTest, CallIsOpenUntilItEnds) {
  CreateQueue("orders");
  const std::string open =
      "barista_grpc_open_calls{method=\"barista.v1.QueueService/ReceiveMessage\"}";
  EXPECT_EQ(Value(open), 0);
  v1::ReceiveMessageRequest request;
  request.set_queue("orders");
  request.mutable_wait()->set_seconds(20);
  const auto context = Context();
  std::thread receiver([&] {
    v1::ReceiveMessageResponse response;
    EXPECT_EQ(stub_->ReceiveMessage(context.get(), request, &response).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  EXPECT_TRUE(EventuallyParked(1));
  EXPECT_EQ(Value(open), 1);
  EXPECT_GE(Value("barista_grpc_connections"), 1);
  context->TryCancel();
  receiver.join();
  EXPECT_TRUE(Eventually([&] { return Value(open) == 0; }));
  EXPECT_EQ(Value(Calls("ReceiveMessage", "CANCELLED")), 1);
}

class FewQueuesTest : public MetricsTest {
 protected:
  void SetUp() override {
    ServerOptions options = Options();
    options.metrics_queues = 0;
    Start(options);
  }
};

TEST_F(FewQueuesTest, NoQueueHasMetricsOfItsOwnIfSoSet) {
  CreateQueue("orders");
  const std::string text = Metrics();
  EXPECT_THAT(text, Not(HasSubstr("queue=\"orders\"")));
  EXPECT_THAT(text, HasSubstr("barista_metrics_queues_omitted 1\n"));
}

TEST(MetricsOptionsTest, NumberOfQueuesHasALimit) {
  for (const int queues : {-1, kMaxSurveyedQueues + 1}) {
    ServerOptions options;
    options.http_listen = options.admin_listen = options.grpc_listen = "127.0.0.1:0";
    options.metrics_queues = queues;
    const absl::Status status = Server::Start(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("metrics_queues"));
  }
}

}  // namespace
}  // namespace barista::server
