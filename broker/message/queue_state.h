#ifndef BARISTA_BROKER_MESSAGE_QUEUE_STATE_H_
#define BARISTA_BROKER_MESSAGE_QUEUE_STATE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "barista/queue.h"

namespace barista::internal {

// What a Queue handle refers to: one kind of queue. Contracts as in barista/queue.h; `Queue` adds
// the blocking forms. Thread-safe.
class QueueState {
 public:
  virtual ~QueueState() = default;

  virtual const std::string& name() const = 0;
  // Whether the caller waits for the callback: then the call may wait for room in the intake and
  // run the commit itself, and has called the callback when it returns.
  enum class Wait { kNo, kYes };
  virtual void SendBatch(absl::Span<const OutgoingMessage> messages, Wait wait,
                         Queue::SendCallback done) = 0;
  virtual absl::StatusOr<std::vector<ReceivedMessage>> Receive(const ReceiveOptions& options) = 0;
  virtual std::shared_ptr<PendingReceive> ReceiveAsync(const ReceiveOptions& options,
                                                       Queue::ReceiveCallback done) = 0;
  virtual void ReturnUndelivered(absl::Span<const ReceiptHandle> handles) = 0;
  virtual absl::StatusOr<std::shared_ptr<ConsumerState>> Consume(const ConsumeOptions& options) = 0;
  virtual void DeleteBatch(absl::Span<const ReceiptHandle> handles, Wait wait,
                           Queue::StatusesCallback done) = 0;
  virtual void ChangeVisibilityBatch(absl::Span<const VisibilityChange> changes, Wait wait,
                                     Queue::StatusesCallback done) = 0;
  virtual absl::Status Purge() = 0;
  virtual absl::StatusOr<std::vector<PeekedMessage>> Peek(const PeekOptions& options) = 0;
  virtual absl::StatusOr<QueueDescription> Describe() = 0;
  virtual size_t maximum_message_size() const = 0;
  virtual absl::Status SetAttributes(const QueueAttributes& attributes) = 0;
  virtual absl::Status Tag(const QueueTags& tags) = 0;
  virtual absl::Status Untag(absl::Span<const std::string> keys) = 0;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_MESSAGE_QUEUE_STATE_H_
