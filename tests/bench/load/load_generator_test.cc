#include "bench/load/load_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "barista/broker.h"
#include "bench/load/embedded_target.h"

namespace barista::bench {
namespace {

using testing::HasSubstr;

LoadOptions ShortLoad() {
  LoadOptions options;
  options.durability = Durability::kMemory;
  options.body_bytes = 64;
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
  void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
            Done done) override {
    const bool first = sends_.fetch_add(1) == 0;
    if (first && lose_first_send) {
      done(std::vector<absl::Status>(bodies.size()));
      return;
    }
    if (first && refuse_first_send) {
      done(std::vector<absl::Status>(bodies.size(), absl::ResourceExhaustedError("planted")));
      return;
    }
    if (first && repeat_first_send)
      target_->Send(queue, bodies, how, [](std::vector<absl::Status>) {});
    target_->Send(queue, bodies, how, std::move(done));
  }
  void Receive(size_t queue, int max_messages, absl::Duration wait, Received received) override {
    target_->Receive(queue, max_messages, wait, std::move(received));
  }
  void Delete(size_t queue, std::unique_ptr<ReceivedBatch> batch, Done done) override {
    target_->Delete(queue, std::move(batch), std::move(done));
  }

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
  EXPECT_TRUE(report->good()) << ReportText(*report, ".");
  EXPECT_GT(report->verdict.delivered, 0u);
  EXPECT_EQ(report->verdict.delivered, report->verdict.acknowledged);
}

TEST_F(LoadGeneratorTest, MoreQueuesThanConsumers) {
  LoadOptions options = ShortLoad();
  options.queues = 7;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report, ".");
}

TEST_F(LoadGeneratorTest, OpenLoopSendsWhatIsDue) {
  LoadOptions options = ShortLoad();
  options.rate = 2000;
  options.in_flight = 1000;
  options.producers = 2;
  auto report = RunLoad(*target_, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << ReportText(*report, ".");
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
  EXPECT_TRUE(report->good()) << ReportText(*report, ".");
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
  EXPECT_THAT(report->first_error, HasSubstr("planted"));
  EXPECT_TRUE(report->verdict.exact());
  EXPECT_FALSE(report->good());
}

TEST_F(LoadGeneratorTest, RefusesOptionsOutOfRange) {
  LoadOptions options = ShortLoad();
  options.body_bytes = MessageText::kHeaderBytes - 1;
  EXPECT_THAT(std::string(RunLoad(*target_, options).status().message()),
              HasSubstr("body is 47; it must be in [48, 1.04858e+06]"));
  options = ShortLoad();
  options.in_flight = 4;
  options.send_batch = 5;
  EXPECT_TRUE(absl::IsInvalidArgument(RunLoad(*target_, options).status()));
}

TEST_F(LoadGeneratorTest, JsonNamesTheConditions) {
  auto report = RunLoad(*target_, ShortLoad());
  ASSERT_TRUE(report.ok()) << report.status();
  const std::string json = ReportJson(*report, ".");
  for (const char* part : {R"("durability":"memory")", R"("body_bytes":64)", R"("producers":1)",
                           R"("in_flight":100)", R"("exact":true)", R"("cpu":)", R"("barista":)"}) {
    EXPECT_THAT(json, HasSubstr(part));
  }
}

}  // namespace
}  // namespace barista::bench
