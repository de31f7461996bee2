#include "client/load/embedded_target.h"

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace barista::load {
namespace {

class EmbeddedBatch final : public ReceivedBatch {
 public:
  explicit EmbeddedBatch(std::vector<ReceivedMessage> messages) : messages(std::move(messages)) {}
  size_t size() const override { return messages.size(); }
  absl::string_view body(size_t index) const override { return messages[index].body; }

  std::vector<ReceivedMessage> messages;
};

// The receives that wait, so that they can be ended. Thread-safe.
class WaitingReceives {
 public:
  struct Slot {
    std::shared_ptr<PendingReceive> pending;  // null until the engine has given it
  };

  // False once they have ended: a receive is not to wait then.
  bool Begin(const std::shared_ptr<Slot>& slot) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!ended_) slots_.insert(slot);
    return !ended_;
  }
  // The callback may have run before.
  void Started(const std::shared_ptr<Slot>& slot, std::shared_ptr<PendingReceive> pending) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (slots_.count(slot) == 0) return;
    slot->pending = std::move(pending);
    if (!ended_) return;
    const std::shared_ptr<PendingReceive> late = slot->pending;
    lock.unlock();
    late->Cancel();
  }
  void Finished(const std::shared_ptr<Slot>& slot) {
    std::lock_guard<std::mutex> lock(mutex_);
    slots_.erase(slot);
  }
  void End() {
    std::vector<std::shared_ptr<PendingReceive>> pending;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
      for (const auto& slot : slots_) {
        if (slot->pending != nullptr) pending.push_back(slot->pending);
      }
    }
    for (const auto& receive : pending) receive->Cancel();
  }

 private:
  std::mutex mutex_;  // guards what follows, and the slots
  bool ended_ = false;
  std::set<std::shared_ptr<Slot>> slots_;
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
      names_.push_back(name);
    }
    return absl::OkStatus();
  }

  absl::Status DeleteQueues() override {
    absl::Status result;
    for (const std::string& name : names_) {
      const absl::Status status = broker_->DeleteQueue(name);
      if (!absl::IsNotFound(status)) result.Update(status);
    }
    return result;
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
        [done = std::move(done)](const std::vector<absl::StatusOr<SendResult>>& results) mutable {
          std::vector<absl::Status> statuses;
          statuses.reserve(results.size());
          for (const auto& result : results) statuses.push_back(result.status());
          done(std::move(statuses));
        });
  }

  void Receive(size_t queue, const ReceiveHow& how, Received received) override {
    const auto slot = std::make_shared<WaitingReceives::Slot>();
    ReceiveOptions options;
    options.max_messages = how.max_messages;
    if (waiting_.Begin(slot)) options.wait = how.wait;
    std::shared_ptr<PendingReceive> pending = queues_[queue].ReceiveAsync(
        options, [this, slot, received = std::move(received)](
                     absl::StatusOr<std::vector<ReceivedMessage>> messages) mutable {
          waiting_.Finished(slot);
          if (absl::IsCancelled(messages.status())) messages = std::vector<ReceivedMessage>();
          if (!messages.ok()) {
            received(messages.status());
          } else {
            received(std::make_unique<EmbeddedBatch>(*std::move(messages)));
          }
        });
    if (pending != nullptr) waiting_.Started(slot, std::move(pending));
  }

  void EndReceives() override { waiting_.End(); }

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
  std::vector<std::string> names_;
  std::vector<Queue> queues_;
  WaitingReceives waiting_;
};

}  // namespace

std::unique_ptr<LoadTarget> NewEmbeddedTarget(Broker* broker) {
  return std::make_unique<EmbeddedTarget>(broker);
}

}  // namespace barista::load
