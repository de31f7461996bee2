#include "client/load/load_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/serialize.hpp>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "barista/broker.h"
#include "client/load/embedded_target.h"
#include "client/load/report.h"

namespace barista::load {
namespace {

using testing::HasSubstr;

LoadOptions ShortLoad() {
  LoadOptions options;
  options.durability = Durability::kMemory;
  options.body = 64;
  options.in_flight = 100;
  options.warm_up = absl::Milliseconds(10);
  options.measured = absl::Milliseconds(100);
  options.drain = absl::Seconds(20);
  return options;
}

// A broker in memory that can be told to misbehave.
class FaultyTarget : public LoadTarget {
 public:
  explicit FaultyTarget(std::unique_ptr<LoadTarget> target) : target_(std::move(target)) {}

  std::string name() const override { return target_->name(); }
  absl::Status CreateQueues(const std::vector<std::string>& names,
                            const std::map<std::string, std::string>& attributes) override {
    return target_->CreateQueues(names, attributes);
  }
  absl::Status DeleteQueues() override { return target_->DeleteQueues(); }
  void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
            Done done) override {
    const bool first = sends_.fetch_add(1) == 0;
    if (first && lose_first_send) {
      done(std::vector<absl::Status>(bodies.size()));
      return;
    }
    if (first && refuse_first_send) {
      done(std::vector<absl::Status>(bodies.size(), refusal));
      return;
    }
    if (first && repeat_first_send)
      target_->Send(queue, bodies, how, [](std::vector<absl::Status>) {});
    target_->Send(queue, bodies, how, std::move(done));
  }
  void Receive(size_t queue, const ReceiveHow& how, Received received) override {
    target_->Receive(queue, how, std::move(received));
  }
  void EndReceives() override { target_->EndReceives(); }
  void Delete(size_t queue, std::unique_ptr<ReceivedBatch> batch, Done done) override {
    target_->Delete(queue, std::move(batch), std::move(done));
  }

  absl::Status refusal = absl::ResourceExhaustedError("planted");
  bool lose_first_send = false, refuse_first_send = false, repeat_first_send = false;

 private:
  std::unique_ptr<LoadTarget> target_;
  std::atomic<int> sends_{0};
};

class LoadGeneratorTest : public testing::Test {
 protected:
  void SetUp() override {
    auto broker = Broker::Open();
    ASSERT_TRUE(broker.ok()) << broker.status();
    broker_ = *std::move(broker);
    target_ = std::make_unique<FaultyTarget>(NewEmbeddedTarget(broker_.get()));
  }

  std::unique_ptr<Broker> broker_;
  std::unique_ptr<FaultyTarget> target_;
};

TEST_F(LoadGeneratorTest, ClosedLoopDeliversExactly) {
  LoadOptions options = ShortLoad();
  options.producers = 2;
  options.consumers = 3;
  options.queues = 2;
  options.send_batch = 5;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report);
  EXPECT_GT(report->verdict.delivered, 0u);
  EXPECT_EQ(report->verdict.delivered, report->verdict.acknowledged);
}

TEST_F(LoadGeneratorTest, MoreQueuesThanConsumers) {
  LoadOptions options = ShortLoad();
  options.queues = 7;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report);
}

TEST_F(LoadGeneratorTest, OpenLoopSendsWhatIsDue) {
  LoadOptions options = ShortLoad();
  options.rate = 2000;
  options.in_flight = 1000;
  options.producers = 2;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report);
  // However slow the machine, each due message was sent: warm-up and window make 110 ms, 220
  // messages.
  EXPECT_EQ(report->verdict.acknowledged, 220u);
  EXPECT_EQ(report->send_latency.count(), 200u);
}

TEST_F(LoadGeneratorTest, WithoutConsumersOnlySends) {
  LoadOptions options = ShortLoad();
  options.consumers = 0;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report);
  EXPECT_GT(report->verdict.acknowledged, 0u);
  EXPECT_EQ(report->verdict.delivered, 0u);
}

TEST_F(LoadGeneratorTest, SeesALostMessage) {
  LoadOptions options = ShortLoad();
  options.drain = absl::Milliseconds(200);
  target_->lose_first_send = true;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->verdict.lost, 1u);
  EXPECT_FALSE(report->good());
}

TEST_F(LoadGeneratorTest, SeesADuplicate) {
  target_->repeat_first_send = true;
  auto report = RunLoad(*target_, ShortLoad());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->verdict.duplicates, 1u);
  EXPECT_FALSE(report->good());
}

TEST_F(LoadGeneratorTest, ReportsARefusedSend) {
  target_->refuse_first_send = true;
  auto report = RunLoad(*target_, ShortLoad());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->send_errors, 1u);
  EXPECT_EQ(report->first_error.message(), "planted");
  EXPECT_TRUE(report->verdict.exact());
  EXPECT_FALSE(report->good());
}

TEST_F(LoadGeneratorTest, EndsEarlyWhenTheBrokerIsGone) {
  LoadOptions options = ShortLoad();
  options.measured = absl::Hours(1);
  options.drain = absl::Hours(1);
  target_->refuse_first_send = true;
  target_->refusal = absl::UnavailableError("planted");
  EXPECT_TRUE(absl::IsUnavailable(RunLoad(*target_, options).status()));
}

TEST_F(LoadGeneratorTest, EndsEarlyAndTellsWhatCannotSucceed) {
  LoadOptions options = ShortLoad();
  options.measured = absl::Hours(1);
  target_->refuse_first_send = true;
  target_->refusal = absl::PermissionDeniedError("planted");
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ended_early);
  EXPECT_EQ(report->first_error.message(), "planted");
  EXPECT_FALSE(report->good());
}

TEST_F(LoadGeneratorTest, EndsEarlyWhenTold) {
  LoadOptions options = ShortLoad();
  options.measured = absl::Hours(1);
  options.rate = 1000;
  auto report = RunLoad(*target_, options, [](const LoadProgress& progress) {
    return progress.phase != "measuring" || progress.completed < 10;
  });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ended_early);
  EXPECT_LT(report->measured, absl::Hours(1));
  // What was under way is waited for.
  EXPECT_TRUE(report->good()) << ReportText(*report);
  EXPECT_GE(report->verdict.delivered, 10u);
}

TEST_F(LoadGeneratorTest, BodiesOfSeveralSizes) {
  LoadOptions options = ShortLoad();
  options.body = *BodySizes::Between(BodySizes::kLeast, 5000);
  options.send_batch = 7;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report);
  EXPECT_GT(report->verdict.delivered, 0u);
}

TEST_F(LoadGeneratorTest, LatencyOfDelayedMessagesBeginsWhenTheyAreDue) {
  LoadOptions options = ShortLoad();
  options.delay = absl::Milliseconds(300);
  options.rate = 100;
  options.in_flight = 1000;
  const absl::Time start = absl::Now();
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report);
  const absl::Duration lowest =
      absl::Nanoseconds(static_cast<int64_t>(report->end_to_end_latency.Percentile(1)));
  EXPECT_LE(lowest, absl::Now() - start - options.delay);
}

TEST_F(LoadGeneratorTest, LeavesNoQueuesWhenTheyAreDeleted) {
  LoadOptions options = ShortLoad();
  options.queues = 3;
  ASSERT_TRUE(RunLoad(*target_, options).ok());
  EXPECT_EQ(broker_->ListQueues()->names.size(), 3u);
  ASSERT_TRUE(target_->DeleteQueues().ok());
  EXPECT_TRUE(broker_->ListQueues()->names.empty());
  EXPECT_TRUE(target_->DeleteQueues().ok()) << "those that are gone are no error";
}

TEST_F(LoadGeneratorTest, RefusesOptionsOutOfRange) {
  const auto refused = [&](auto change) {
    LoadOptions options = ShortLoad();
    change(options);
    return std::string(RunLoad(*target_, options).status().message());
  };
  EXPECT_EQ(refused([](LoadOptions& o) { o.body = BodySizes::kLeast - 1; }),
            "body is 47; it must be in [48, 1048576]");
  EXPECT_EQ(refused([](LoadOptions& o) { o.body = BodySizes::kMost + 1; }),
            "body is 1048577; it must be in [48, 1048576]");
  EXPECT_EQ(refused([](LoadOptions& o) { o.queues = 10'001; }),
            "queues is 10001; it must be in [1, 10000]");
  EXPECT_EQ(refused([](LoadOptions& o) { o.producers = 0; }),
            "producers is 0; it must be in [1, 1024]");
  EXPECT_EQ(refused([](LoadOptions& o) { o.consumers = 1025; }),
            "consumers is 1025; it must be in [0, 1024]");
  EXPECT_EQ(refused([](LoadOptions& o) {
              o.in_flight = 4;
              o.send_batch = 5;
            }),
            "in-flight is 4; it must be in [5, 10000000]");
  EXPECT_EQ(refused([](LoadOptions& o) { o.rate = -1; }),
            "rate is -1; it must be in [0, 100000000]");
  EXPECT_EQ(refused([](LoadOptions& o) { o.delay = absl::Minutes(15) + absl::Milliseconds(1); }),
            "delay is 15m0.001s; it must be in [0, 15m]");
  EXPECT_EQ(refused([](LoadOptions& o) { o.measured = absl::ZeroDuration(); }),
            "duration is 0; it must be in [1ms, 24h]");
  EXPECT_THAT(refused([](LoadOptions& o) {
                o.send_batch = 5;
                o.body = size_t{1} << 20;
              }),
              HasSubstr("limit 4194304"));
  // At the limit, nothing is wrong.
  LoadOptions options = ShortLoad();
  options.send_batch = 4;
  options.body = size_t{1} << 20;
  EXPECT_TRUE(CheckLoadOptions(options).ok());
}

TEST_F(LoadGeneratorTest, JsonNamesTheConditions) {
  auto report = RunLoad(*target_, ShortLoad());
  ASSERT_TRUE(report.ok()) << report.status();
  const std::string json = boost::json::serialize(ReportJson(*report, "."));
  for (const char* part : {R"("durability":"memory")", R"("body_bytes":"64")", R"("producers":1)",
                           R"("in_flight":100)", R"("exact":true)", R"("cpu":)", R"("barista":)",
                           R"("file_system":)"}) {
    EXPECT_THAT(json, HasSubstr(part));
  }
}

TEST_F(LoadGeneratorTest, TextTellsWhatWentWrong) {
  target_->repeat_first_send = true;
  auto report = RunLoad(*target_, ShortLoad());
  ASSERT_TRUE(report.ok()) << report.status();
  const std::string text = ReportText(*report);
  EXPECT_THAT(text, HasSubstr("delivery NOT EXACT: "));
  EXPECT_THAT(text, HasSubstr(" 1 duplicates"));
  EXPECT_THAT(text, HasSubstr("closed loop with 100 in flight"));
}

}  // namespace
}  // namespace barista::load
