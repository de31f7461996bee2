#ifndef BARISTA_CLIENT_REMOTE_REMOTE_QUEUE_H_
#define BARISTA_CLIENT_REMOTE_REMOTE_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "barista/v1/queue.pb.h"
#include "broker/message/queue_state.h"
#include "client/remote/connection.h"
#include "client/remote/send_pipe.h"

namespace barista::client {

// A queue of a broker behind a server: its calls, and its part of the client's sends. Contracts as
// barista/queue.h with the differences of barista/client.h. Thread-safe. May outlive its host.
class RemoteQueue final : public internal::QueueState {
 public:
  RemoteQueue(std::shared_ptr<Connection> connection, std::shared_ptr<SendPipe> sends,
              const QueueDescription& description);

  const std::string& name() const override { return name_; }
  void SendBatch(absl::Span<const OutgoingMessage> messages, Wait wait,
                 Queue::SendCallback done) override;
  absl::StatusOr<std::vector<ReceivedMessage>> Receive(const ReceiveOptions& options) override;
  std::shared_ptr<PendingReceive> ReceiveAsync(const ReceiveOptions& options,
                                               Queue::ReceiveCallback done) override;
  void ReturnUndelivered(absl::Span<const ReceiptHandle> handles) override;
  absl::StatusOr<std::shared_ptr<internal::ConsumerState>> Consume(
      const ConsumeOptions& options) override;
  void DeleteBatch(absl::Span<const ReceiptHandle> handles, Wait wait,
                   Queue::StatusesCallback done) override;
  void ChangeVisibilityBatch(absl::Span<const VisibilityChange> changes, Wait wait,
                             Queue::StatusesCallback done) override;
  absl::Status Purge() override;
  absl::StatusOr<std::vector<PeekedMessage>> Peek(const PeekOptions& options) override;
  absl::StatusOr<QueueDescription> Describe() override;
  size_t maximum_message_size() const override {
    return maximum_message_size_.load(std::memory_order_relaxed);
  }
  absl::Status SetAttributes(const QueueAttributes& attributes) override;
  absl::Status Tag(const QueueTags& tags) override;
  absl::Status Untag(absl::Span<const std::string> keys) override;

 private:
  // The receive of a blocking call is ended by its host's Close like any other.
  std::shared_ptr<PendingReceive> StartReceive(const ReceiveOptions& options,
                                               Queue::ReceiveCallback done);
  void Remember(const QueueAttributes& attributes);

  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<SendPipe> sends_;
  const std::string name_;
  // As a broker told last. Read and written by anyone; nothing else depends on it.
  std::atomic<size_t> maximum_message_size_;
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_REMOTE_QUEUE_H_
