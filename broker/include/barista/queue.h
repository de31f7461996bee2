#ifndef BARISTA_QUEUE_H_
#define BARISTA_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "barista/consumer.h"
#include "barista/message.h"
#include "barista/queue_attributes.h"

namespace barista {

inline constexpr int kMaxReceiveMessages = 1000;

struct ReceiveOptions {
  // [1, kMaxReceiveMessages].
  int max_messages = 1;
  // The messages have at most so many bytes together, as they are stored (a message's size and some
  // 50 bytes), but there is at least one. >= 1.
  int64_t max_bytes = std::numeric_limits<int64_t>::max();
  // How long to wait for a first message, [0s, 1h]; unset: the queue's receive_wait. Zero answers
  // at once.
  std::optional<absl::Duration> wait = std::nullopt;
  // How long the received messages are hidden from others, [0s, 12h]; unset: the queue's
  // visibility_timeout.
  std::optional<absl::Duration> visibility_timeout = std::nullopt;
};

struct VisibilityChange {
  ReceiptHandle receipt_handle;
  absl::Duration visibility_timeout;  // [0s, 12h]
  // Leaves a message alone that has been received again since (kInvalidArgument/
  // InvalidParameterValue): for who does not know whether the lease lapsed.
  bool last_receive_only = false;
};

struct PeekOptions {
  int max_messages = 10;  // [1, kMaxReceiveMessages]
};

// A receive that waits for messages. Dropping it lets the receive go on.
class PendingReceive {
 public:
  virtual ~PendingReceive() = default;
  // Gives the receive up: unless its callback has been claimed already, the callback runs with
  // kCancelled, nothing is in flight for it and no receive was counted. Returns at once, callable
  // from any thread, any number of times.
  virtual void Cancel() = 0;
};

namespace internal {
class QueueState;
}

// A queue of a broker, in this process or behind a server (barista/client.h, which says where that
// makes a difference): a cheap, copyable reference. Thread-safe. It stays valid after Broker::Close
// and after the queue was deleted; operations then answer kFailedPrecondition/BrokerClosed and
// kNotFound/QueueDoesNotExist.
//
// Blocking and callback forms. The blocking forms return when the operation is durable at the
// queue's level (I1), and may do the commit themselves. The callback forms return at once; their
// callback runs exactly once, on a thread of the broker or inside the call. A callback must be
// quick and may call the callback forms only: a blocking form called inside a callback answers
// kFailedPrecondition/WouldBlock.
//
// Common errors, beside those named at each operation: kUnavailable/StoreUnavailable after a failed
// write or sync (I10).
class Queue {
 public:
  Queue() = default;  // refers to no queue; using it is undefined
  explicit Queue(std::shared_ptr<internal::QueueState> state) : state_(std::move(state)) {}

  const std::string& name() const;

  // ---- Sending ----

  // Sends one message. kInvalidArgument/MissingParameter: an empty body.
  // kInvalidArgument/InvalidMessageContents: a character that BodyCharset forbids (the error gives
  // the offset). kInvalidArgument/InvalidParameterValue: over the queue's maximum message size, bad
  // attribute, delay or group id. kResourceExhausted/IntakeFull, StorageFull, MemoryFull: no room
  // now. O(bytes). Source: SQS SendMessage.
  absl::StatusOr<SendResult> Send(const OutgoingMessage& message);

  // Sends up to kMaxBatchEntries messages of up to kMaxBatchBytes together; one result per message,
  // in order. A wrong entry fails alone; the others are committed together. An empty or oversized
  // batch fails every entry. Source: SQS SendMessageBatch.
  std::vector<absl::StatusOr<SendResult>> SendBatch(absl::Span<const OutgoingMessage> messages);

  using SendCallback = absl::AnyInvocable<void(std::vector<absl::StatusOr<SendResult>>)>;
  void SendBatchAsync(absl::Span<const OutgoingMessage> messages, SendCallback done);

  // ---- Receiving ----

  // Takes up to max_messages visible messages and hides them for the visibility timeout; empty if
  // there were none until `wait` passed. Returns as soon as there is one. On a queue with a redrive
  // policy the receive is in the log before the messages leave, and messages that reached
  // max_receive_count are moved to the dead-letter queue instead. kResourceExhausted/OverLimit:
  // `wait` is zero and maximum_in_flight is reached; a waiting receive is parked instead. Source:
  // SQS ReceiveMessage.
  absl::StatusOr<std::vector<ReceivedMessage>> Receive(const ReceiveOptions& options = {});

  using ReceiveCallback = absl::AnyInvocable<void(absl::StatusOr<std::vector<ReceivedMessage>>)>;
  std::shared_ptr<PendingReceive> ReceiveAsync(const ReceiveOptions& options, ReceiveCallback done);

  // Puts back messages whose receive never reached its consumer (a connection that broke): visible
  // at once, and the receive is not counted. Handles that no longer stand for the latest receive
  // are ignored. Never blocks; may be called inside a callback.
  void ReturnUndelivered(absl::Span<const ReceiptHandle> handles);

  // Messages as they come, fetched ahead and settled in batches: see Consumer, and Worker
  // (barista/worker.h). Never blocks. kInvalidArgument/InvalidParameterValue: an option out of its
  // range. kNotFound/QueueDoesNotExist, kFailedPrecondition/BrokerClosed: here of an embedded
  // broker, from the consumer's Next of a remote one.
  absl::StatusOr<std::unique_ptr<Consumer>> Consume(const ConsumeOptions& options = {});

  // ---- Settling ----

  // Removes the message. OK also if it is gone already, and on a standard queue after its
  // visibility timeout. kInvalidArgument/ReceiptHandleIsInvalid: not a handle of this queue.
  // Source: SQS DeleteMessage.
  absl::Status Delete(const ReceiptHandle& handle);
  std::vector<absl::Status> DeleteBatch(absl::Span<const ReceiptHandle> handles);

  using StatusesCallback = absl::AnyInvocable<void(std::vector<absl::Status>)>;
  void DeleteBatchAsync(absl::Span<const ReceiptHandle> handles, StatusesCallback done);

  // Hides the message until now + `timeout`, for this receive only. Zero makes it visible at once.
  // kInvalidArgument/ReceiptHandleIsInvalid: not a handle of this queue.
  // kInvalidArgument/InvalidParameterValue: the message is gone, or `timeout` is out of [0s, 12h].
  // Source: SQS ChangeMessageVisibility.
  absl::Status ChangeMessageVisibility(const ReceiptHandle& handle, absl::Duration timeout);
  std::vector<absl::Status> ChangeMessageVisibilityBatch(
      absl::Span<const VisibilityChange> changes);
  void ChangeMessageVisibilityBatchAsync(absl::Span<const VisibilityChange> changes,
                                         StatusesCallback done);

  // Removes every message that was sent before the call, in flight and delayed ones too. Source:
  // SQS PurgeQueue.
  absl::Status Purge();

  // ---- Looking ----

  // Messages from the oldest on, whatever their state, without receiving them. O(messages looked
  // at).
  absl::StatusOr<std::vector<PeekedMessage>> Peek(const PeekOptions& options = {});

  absl::StatusOr<QueueDescription> Describe();

  // The attribute MaximumMessageSize as it is now (remote: as told last): one load.
  size_t maximum_message_size() const;

  // ---- Definition ----

  // Changes the given attributes and leaves the others. kInvalidArgument/InvalidAttributeValue,
  // InvalidParameterValue. Source: SQS SetQueueAttributes.
  absl::Status SetAttributes(const QueueAttributes& attributes);
  // Adds or overwrites tags (at most 50; keys 1 to 128 bytes, values up to 256) / removes tags.
  // Source: SQS TagQueue, UntagQueue.
  absl::Status Tag(const QueueTags& tags);
  absl::Status Untag(absl::Span<const std::string> keys);

 private:
  std::shared_ptr<internal::QueueState> state_;
};

}  // namespace barista

#endif  // BARISTA_QUEUE_H_
