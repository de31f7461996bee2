#ifndef BARISTA_TESTS_CONSUMER_FAKE_QUEUE_H_
#define BARISTA_TESTS_CONSUMER_FAKE_QUEUE_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/mutex.h"
#include "broker/consumer/consumer_state.h"
#include "broker/message/queue_state.h"

namespace barista::internal {

// A consumer to which a test delivers, and of which it sees what it asks. Thread-safe.
class FakeConsumer final : public ConsumerState {
 public:
  using ConsumerState::Change;
  using ConsumerState::ConsumerState;
  using ConsumerState::Delivery;

  void Deliver(const std::vector<uint8_t>& ids) {
    std::vector<ReceivedMessage> messages(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) messages[i].message_id = Id(ids[i]);
    MutexLock lock(&mutex_);
    Arrive(std::move(messages));
  }
  // Everything that was asked is taken; what `fail` names fails with its status.
  struct Asked {
    std::vector<Delivery> deletes, untaken;
    std::vector<Change> changes;
  };
  Asked Settle(const absl::Status& fail = absl::OkStatus()) {
    MutexLock lock(&mutex_);
    Asked asked;
    uint64_t taken = 0;
    asked.deletes = TakeDeletes(~size_t{0});
    asked.changes = TakeChanges(~size_t{0}, &taken);
    asked.untaken = TakeUntaken();
    for (const Delivery& delivery : asked.deletes) {
      if (!fail.ok()) Failed(delivery.message_id, fail);
    }
    SettledDeletes(asked.deletes.size());
    SettledChanges(taken);
    return asked;
  }
  size_t WantedBeside(size_t coming) {
    MutexLock lock(&mutex_);
    return Wanted(coming);
  }
  // Settles whatever is asked from now on, with `status`.
  void SettleAlways(const absl::Status& status = absl::OkStatus()) {
    MutexLock lock(&mutex_);
    always_ = true;
    status_ = status;
  }

  static MessageId Id(uint8_t id) { return MessageId({id}); }

 private:
  void Attend() override {
    absl::Status status;
    {
      MutexLock lock(&mutex_);
      if (!always_) return;
      status = status_;
    }
    Settle(status);
  }
  bool WaitForChange(Waiting* waiting, CondVar* changed) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (waiting->limit != absl::InfiniteDuration()) return false;
    changed->Wait(&mutex_);
    return true;
  }
  bool IsClosed() const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return true; }

  bool always_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// A queue that can be consumed alone: with what `consume` answers.
class FakeQueue final : public QueueState {
 public:
  using Answer = absl::StatusOr<std::shared_ptr<ConsumerState>>;
  explicit FakeQueue(std::function<Answer(const ConsumeOptions&)> consume)
      : consume_(std::move(consume)) {}

  const std::string& name() const override { return name_; }
  Answer Consume(const ConsumeOptions& options) override { return consume_(options); }

  void SendBatch(absl::Span<const OutgoingMessage>, Wait, Queue::SendCallback) override {}
  absl::StatusOr<std::vector<ReceivedMessage>> Receive(const ReceiveOptions&) override {
    return None();
  }
  std::shared_ptr<PendingReceive> ReceiveAsync(const ReceiveOptions&,
                                               Queue::ReceiveCallback) override {
    return nullptr;
  }
  void ReturnUndelivered(absl::Span<const ReceiptHandle>) override {}
  void DeleteBatch(absl::Span<const ReceiptHandle>, Wait, Queue::StatusesCallback) override {}
  void ChangeVisibilityBatch(absl::Span<const VisibilityChange>, Wait,
                             Queue::StatusesCallback) override {}
  absl::Status Purge() override { return None(); }
  absl::StatusOr<std::vector<PeekedMessage>> Peek(const PeekOptions&) override { return None(); }
  absl::StatusOr<QueueDescription> Describe() override { return None(); }
  size_t maximum_message_size() const override { return 0; }
  absl::Status SetAttributes(const QueueAttributes&) override { return None(); }
  absl::Status Tag(const QueueTags&) override { return None(); }
  absl::Status Untag(absl::Span<const std::string>) override { return None(); }

 private:
  static absl::Status None() { return absl::UnimplementedError("a fake"); }

  const std::string name_ = "fake";
  const std::function<Answer(const ConsumeOptions&)> consume_;
};

}  // namespace barista::internal

#endif  // BARISTA_TESTS_CONSUMER_FAKE_QUEUE_H_
