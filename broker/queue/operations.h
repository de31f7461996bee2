#ifndef BARISTA_BROKER_QUEUE_OPERATIONS_H_
#define BARISTA_BROKER_QUEUE_OPERATIONS_H_

#include <memory>
#include <utility>
#include <vector>

#include "broker/commit/operation.h"
#include "broker/queue/receive_call.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

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
  std::vector<core::MsgId> leased_;
  std::vector<storage::RecordRef> leases_;  // of leased_
  std::vector<Move> moves_;
  std::vector<core::MsgId> stay_;  // exhausted, but their dead-letter queue is gone
  int64_t now_ns_ = 0;
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
  std::vector<core::MsgId> ids_;
  const bool in_flight_only_;
  absl::AnyInvocable<void(const absl::Status&)> done_;
  std::vector<storage::RecordRef> refs_;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_OPERATIONS_H_
