#include "bench/load/embedded_target.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace barista::bench {
namespace {

class EmbeddedBatch final : public ReceivedBatch {
 public:
  explicit EmbeddedBatch(std::vector<ReceivedMessage> messages) : messages(std::move(messages)) {}
  size_t size() const override { return messages.size(); }
  absl::string_view body(size_t index) const override { return messages[index].body; }

  std::vector<ReceivedMessage> messages;
};

class EmbeddedTarget final : public LoadTarget {
 public:
  explicit EmbeddedTarget(Broker* broker) : broker_(broker) {}

  std::string name() const override { return "embedded"; }

  absl::Status CreateQueues(const std::vector<std::string>& names,
                            const std::map<std::string, std::string>& attributes) override {
    const auto parsed = ParseQueueAttributes(attributes);
    if (!parsed.ok()) return parsed.status();
    for (const std::string& name : names) {
      auto queue = broker_->CreateQueue(name, *parsed);
      if (!queue.ok()) return queue.status();
      queues_.push_back(*std::move(queue));
    }
    return absl::OkStatus();
  }

  void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
            Done done) override {
    std::vector<OutgoingMessage> messages(bodies.size());
    for (size_t i = 0; i < bodies.size(); ++i) {
      messages[i].body = bodies[i];
      messages[i].delay = how.delay;
      messages[i].group_id = how.group_id;
    }
    queues_[queue].SendBatchAsync(
        messages,
        [done = std::move(done)](std::vector<absl::StatusOr<SendResult>> results) mutable {
          std::vector<absl::Status> statuses;
          statuses.reserve(results.size());
          for (const auto& result : results) statuses.push_back(result.status());
          done(std::move(statuses));
        });
  }

  void Receive(size_t queue, int max_messages, absl::Duration wait, Received received) override {
    ReceiveOptions options;
    options.max_messages = max_messages;
    options.wait = wait;
    queues_[queue].ReceiveAsync(options,
                                [received = std::move(received)](
                                    absl::StatusOr<std::vector<ReceivedMessage>> messages) mutable {
                                  if (!messages.ok()) {
                                    received(messages.status());
                                  } else {
                                    received(std::make_unique<EmbeddedBatch>(*std::move(messages)));
                                  }
                                });
  }

  void Delete(size_t queue, std::unique_ptr<ReceivedBatch> batch, Done done) override {
    std::vector<ReceiptHandle> handles;
    handles.reserve(batch->size());
    for (const ReceivedMessage& message : static_cast<EmbeddedBatch&>(*batch).messages) {
      handles.push_back(message.receipt_handle);
    }
    queues_[queue].DeleteBatchAsync(handles, std::move(done));
  }

  std::optional<BrokerStats> Stats() const override { return broker_->Stats(); }

 private:
  Broker* broker_;
  std::vector<Queue> queues_;
};

}  // namespace

std::unique_ptr<LoadTarget> NewEmbeddedTarget(Broker* broker) {
  return std::make_unique<EmbeddedTarget>(broker);
}

}  // namespace barista::bench
