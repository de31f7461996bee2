#ifndef BARISTA_CONSUMER_H_
#define BARISTA_CONSUMER_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/message.h"

namespace barista {

inline constexpr int kMaxCredit = 100'000;

struct ConsumeOptions {
  // So many messages are with the consumer at most: delivered to it, and neither deleted nor
  // released. [1, kMaxCredit].
  int credit = 100;
  // How long delivered messages are hidden from others, [0s, 12h], with a heartbeat [1s, 12h];
  // unset: the queue's visibility_timeout as it is when the consumer begins.
  std::optional<absl::Duration> visibility_timeout = std::nullopt;
  // While the consumer lives, the visibility timeout of all that is with it is extended again and
  // again. Without, a message comes to others when its timeout has passed; it can still be deleted
  // then.
  bool heartbeat = true;
  // The messages' receipt_handle is good for the queue, too, as it always is with an embedded
  // broker. (A remote one sends 48 bytes more for each message then.)
  bool receipt_handles = false;
};

namespace internal {
class ConsumerState;
}

// Messages of a queue as they become visible, fetched ahead, and settled in batches: for programs
// that receive without pause. Made by Queue::Consume; the same for an embedded broker and for a
// remote one. Thread-safe; several threads may take messages from it.
//
//   auto consumer = queue.Consume();
//   for (;;) {
//     auto message = (*consumer)->Next();
//     if (!message.ok()) return message.status();
//     Brew(**message);
//     (*consumer)->Delete(**message).IgnoreError();  // told by a later Next
//   }
//
// Delete, Release and Extend return at once: what several of them ask goes to the broker together.
// The first failure since the last that was told is told once, by the Next, Flush or Close that
// comes next; the consumer goes on. The message it concerns comes again if it is still stored.
//
// A consumer ends when it is closed, or with an error: kNotFound/QueueDoesNotExist (a remote one
// hears it when it has credit), kFailedPrecondition/BrokerClosed, kUnavailable (the connection
// broke, or the broker that serves it ends: ServerDraining), kPermissionDenied/AccessDenied and
// others of ReceiveMessage. Each method answers with it from then on. However a consumer ends, what
// is with it becomes visible to others at once, unless the embedded broker itself is closed: then
// when its timeout has passed. Close consumers before their broker or host.
//
// In manual mode (BrokerOptions::manual) blocking forms do the broker's work while they wait, and
// time stands still meanwhile: Next answers none when there is nothing left to do, unless it may
// wait for ever: then it waits for what other threads do.
class Consumer {
 public:
  explicit Consumer(std::shared_ptr<internal::ConsumerState> state) : state_(std::move(state)) {}
  // As Close, but without waiting.
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // Takes the next message, as soon as there is one; none if there was none until `wait` passed.
  // Zero never blocks and may be called inside a callback.
  // kCancelled/ConsumerStopped: after Stop or Close.
  absl::StatusOr<std::optional<ReceivedMessage>> Next(
      absl::Duration wait = absl::InfiniteDuration());

  // For messages that this consumer has given out and that have not been deleted or released:
  // kInvalidArgument/InvalidParameterValue for all others. Never block.
  // kFailedPrecondition/ConsumerClosed: after Close.
  //
  // Removes the message.
  absl::Status Delete(const ReceivedMessage& message);
  // Lets others receive it, after `delay` in [0s, 12h].
  absl::Status Release(const ReceivedMessage& message, absl::Duration delay = absl::ZeroDuration());
  // Hides it until now + `visibility_timeout`, [0s, 12h], for once. (A heartbeat does the rest by
  // itself.)
  absl::Status Extend(const ReceivedMessage& message, absl::Duration visibility_timeout);

  // Waits until all that was asked before has been done, deletes at the queue's durability (I1).
  // kDeadlineExceeded: `timeout` has passed. Or the first failure that has not been told, or the
  // error that ended the consumer before all was done.
  absl::Status Flush(absl::Duration timeout = absl::InfiniteDuration());

  // No more messages come; those that nobody has taken are visible to others at once (an embedded
  // broker does not count their receive). Waiting Nexts end. Those that were taken can be settled
  // still. Returns at once.
  void Stop();

  // As Stop and Flush, and releases what is left. Answers as Flush does.
  absl::Status Close();

  // OK while it lives, stopped or not; then why it ended: the error, or kFailedPrecondition/
  // ConsumerClosed. An error of Next beside it was a failure that the consumer outlives.
  absl::Status status() const;

 private:
  std::shared_ptr<internal::ConsumerState> state_;
};

}  // namespace barista

#endif  // BARISTA_CONSUMER_H_
