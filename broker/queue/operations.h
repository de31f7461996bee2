#ifndef BARISTA_BROKER_QUEUE_OPERATIONS_H_
#define BARISTA_BROKER_QUEUE_OPERATIONS_H_

#include <memory>
#include <utility>
#include <vector>

#include "broker/commit/operation.h"
#include "broker/queue/receive_call.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

// Leases that one operation writes: of messages in memory, as they are when they are added.
// Committer only.
class LeaseWrites {
 public:
  explicit LeaseWrites(StandardQueue* queue) : queue_(*queue) {}
  // Before the first Add: how many there may be.
  void Reserve(size_t count) { refs_.reserve(count); }
  // Adds the message's lease to the batch, unless the message is gone, or visible although
  // `in_flight_only`.
  void Add(commit::Turn& turn, core::MsgId id, bool in_flight_only);
  // After the write. Messages may leave memory now.
  void Publish();

 private:
  StandardQueue& queue_;
  std::vector<storage::RecordRef> refs_;
  std::vector<core::MsgId> ids_;  // of refs_
  std::vector<InFlightOrder::Leased> leased_;
};

// Brings a page that was read beside the committer into memory; derived classes say what of it.
class PageOp : public commit::Operation {
 public:
  // `status`: of reading the page. `last`: no other page was read for the same request.
  PageOp(std::shared_ptr<StandardQueue> queue, absl::Status status, bool last = true)
      : Operation(queue->durability(), 0),
        queue_(std::move(queue)),
        status_(std::move(status)),
        last_(last) {}
  ~PageOp() override {
    for (StandardQueue::Arrival& arrival : arrivals_) arrival.payload->Unref();
  }
  bool changes_store() const override { return false; }
  absl::Status Prepare(commit::Turn&) override { return status_; }
  void Complete(const absl::Status& status) override;

 protected:
  StandardQueue& queue() { return *queue_; }
  // Something that the receivers have to know, although the rest goes on.
  void SetDamage(const absl::Status& damage) { damage_.Update(damage); }

  std::vector<StandardQueue::Arrival> arrivals_;  // whose payloads are still ours

 private:
  const std::shared_ptr<StandardQueue> queue_;
  const absl::Status status_;
  const bool last_;
  absl::Status damage_;
};

// Writes the leases of received messages into the log, and moves exhausted ones to the dead-letter
// queue, before the messages leave (queues with a redrive policy): a message that kills its
// consumer's process is still counted.
class ReceiveOp final : public commit::Operation {
 public:
  // `target`: where the exhausted messages go; null if there are none, or their dead-letter queue
  // is gone.
  ReceiveOp(std::shared_ptr<StandardQueue> queue, std::shared_ptr<StandardQueue> target,
            StandardQueue::Taken taken, std::shared_ptr<ReceiveCall> call);
  absl::Status Prepare(commit::Turn& turn) override;
  void Publish() override;
  void Complete(const absl::Status& status) override;

 private:
  struct Move {
    core::MsgId id;
    StandardQueue::Arrival arrival;
  };

  const std::shared_ptr<StandardQueue> queue_;
  const std::shared_ptr<StandardQueue> target_;
  StandardQueue::Taken taken_;
  const std::shared_ptr<ReceiveCall> call_;
  LeaseWrites leases_{queue_.get()};
  std::vector<Move> moves_;
  std::vector<core::MsgId> stay_;  // exhausted, but their dead-letter queue is gone
};

// Writes the leases of messages as they are when it is prepared. Those that have been deleted by
// then cost nothing, so it is worth waiting a little (CommitLog::SubmitLazy).
class LeaseOp final : public commit::Operation {
 public:
  // `done`: null, or called with the result. `in_flight_only`: a lazy lease need not record that a
  // message is visible again.
  LeaseOp(std::shared_ptr<StandardQueue> queue, std::vector<core::MsgId> ids, bool in_flight_only,
          absl::AnyInvocable<void(const absl::Status&)> done);
  absl::Status Prepare(commit::Turn& turn) override;
  void Publish() override;
  void Complete(const absl::Status& status) override;

 private:
  const std::shared_ptr<StandardQueue> queue_;
  const std::vector<core::MsgId> ids_;
  const bool in_flight_only_;
  absl::AnyInvocable<void(const absl::Status&)> done_;
  LeaseWrites leases_{queue_.get()};
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_OPERATIONS_H_
