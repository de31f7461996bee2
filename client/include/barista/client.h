#ifndef BARISTA_CLIENT_H_
#define BARISTA_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/error.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "barista/queue_attributes.h"
#include "barista/queue_host.h"

namespace barista::client {

// When a failed call is made again. Pauses grow from `initial_backoff` by the factor two up to
// `max_backoff`; each is drawn anew between zero and that (full jitter), so that clients that
// failed together do not come back together.
struct RetryPolicy {
  int max_attempts = 8;  // [1, 100], the first one among them; 1: nothing is made again
  absl::Duration initial_backoff = absl::Milliseconds(50);  // [1ms, 1min]
  absl::Duration max_backoff = absl::Seconds(2);            // [initial_backoff, 1h]
};

struct ConnectOptions {
  // HOST:PORT ("[::1]:9326" for IPv6), or unix:PATH.
  std::string server = "127.0.0.1:9326";

  // PEM file: the roots of the broker's certificate, which must be for the host in `server`. Empty:
  // no TLS.
  std::string tls_ca = "";
  // PEM files: our certificate and its key, for a broker that asks for them. Both or none.
  std::string tls_certificate = "";
  std::string tls_key = "";
  // Goes with every call, as `authorization: Bearer TOKEN`: one word of at most 512 characters of
  // ASCII. Empty: none.
  std::string token = "";

  // How long a call may take, all its attempts together, [1ms, 1h]; a receive has its wait on top.
  absl::Duration timeout = absl::Seconds(10);
  RetryPolicy retry = {};
};

// A broker behind a server, as if it were in this process: the same QueueHost and the same Queue
// with all its methods. Nothing is connected before the first call, and a connection that breaks is
// made again, so this succeeds without a server too. Thread-safe; several may live in one process.
//
// kInvalidArgument/InvalidParameterValue: an option out of its range, malformed, or a file that
// cannot be read. No error quotes the token.
//
// What differs from a Broker of this process:
//
// - Errors of the way: kUnavailable without a reason, the broker cannot be reached or the
//   connection broke; kDeadlineExceeded without a reason, it did not answer within `timeout`. Of a
//   send, a purge and the deletion of a queue it is not known then whether they happened.
//   kUnauthenticated, kPermissionDenied: the token (barista/error.h). ServerBusy, RequestThrottled.
// - What may happen twice. Made again are: whatever the broker says it has not done
//   (RequestThrottled, ServerBusy, IntakeFull, ServerDraining), and after a connection broke all
//   that may be repeated freely. That is everything but sends, purges and the deletion of a queue:
//   these wait for a connection instead, up to `timeout`, and are not made again once they may have
//   reached the broker. A receive whose answer was lost is made again; the messages of the first
//   come back after their visibility timeout, counted as received.
// - Sends of all queues and threads share one stream. What gathers while the connection is busy
//   goes together, up to 1,000 messages or 4 MiB; the messages of one call are committed together.
//   Up to 10,000 messages or 64 MiB may be on their way; beyond it the blocking forms wait and the
//   callback forms are refused with kResourceExhausted/IntakeFull.
// - A receive answers with up to 4 MiB, whatever max_messages says, and Peek too.
// - A Queue stands for its name: when the queue is deleted and made again, it is the new one.
// - OutgoingMessage::sender_id is the server's to set: InvalidParameterValue.
// - Attributes of messages come sorted by name.
// - Queue::maximum_message_size() is as of the last call that told it; the times of a
//   QueueDescription are whole seconds, and it has no age.
// - Peek and Describe wait for the server: inside a callback they answer WouldBlock.
// - A Consumer is a stream: when the connection breaks it ends with kUnavailable, and what was with
//   it is visible to others at once. Its heartbeat is the server's; Next waits by real time. What
//   was fetched ahead and not taken counts as received. (A Worker goes on by itself.)
// - ReturnUndelivered is tried once, and nobody hears whether it arrived: if not, the messages come
//   back after their visibility timeout, counted as received.
//
// Threads: those of gRPC, on which the callbacks run; no call holds one while it waits. A host that
// is destroyed inside a callback is closed by a thread of its own, soon after. Do not fork() after
// Connect.
absl::StatusOr<std::unique_ptr<QueueHost>> Connect(const ConnectOptions& options = {});

}  // namespace barista::client

#endif  // BARISTA_CLIENT_H_
