#ifndef BARISTA_QUEUE_HOST_H_
#define BARISTA_QUEUE_HOST_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "barista/queue.h"
#include "barista/queue_attributes.h"

namespace barista {

struct ListQueuesOptions {
  std::string prefix = "";      // names that begin with it
  int max_results = 1000;       // [1, 1000]
  std::string next_token = "";  // of the previous page, with the same prefix
};

struct ListQueuesResult {
  std::vector<std::string> names;  // sorted
  std::string next_token;          // empty: no more
};

// Where queues are: a Broker in this process (barista/broker.h), or one that
// barista::client::Connect reaches over the network (barista/client.h). What a program does with
// queues it writes once, for both. Thread-safe.
//
// Every call blocks; called inside a callback those that would wait answer
// kFailedPrecondition/WouldBlock. A remote host answers the errors that are named here too, and
// those of the way there (barista/client.h).
class QueueHost {
 public:
  // Close(), ignoring its status.
  virtual ~QueueHost() = default;
  QueueHost(const QueueHost&) = delete;
  QueueHost& operator=(const QueueHost&) = delete;

  // Ends parked receives with kFailedPrecondition/BrokerClosed and waits for what else was begun.
  // No callback runs after it. Later calls, of queues too, answer BrokerClosed; a second Close
  // answers as the first. (A remote broker goes on.)
  virtual absl::Status Close() = 0;

  // Creates a queue; returns the existing one if every *given* attribute (and the tags, if any)
  // equals its current value. Names: 1 to 80 of [A-Za-z0-9_-]. kAlreadyExists/QueueNameExists:
  // exists with another value. kInvalidArgument/InvalidParameterValue: bad name.
  // kInvalidArgument/InvalidAttributeValue: attribute out of range. The definition is synced
  // whatever the queue's durability. Source: SQS CreateQueue.
  virtual absl::StatusOr<Queue> CreateQueue(absl::string_view name,
                                            const QueueAttributes& attributes = {},
                                            const QueueTags& tags = {}) = 0;
  // kNotFound/QueueDoesNotExist.
  virtual absl::StatusOr<Queue> GetQueue(absl::string_view name) = 0;
  // Removes the queue with all its messages. kNotFound/QueueDoesNotExist. Source: SQS DeleteQueue.
  virtual absl::Status DeleteQueue(absl::string_view name) = 0;
  // A page of names. kInvalidArgument/InvalidParameterValue: max_results or next_token.
  virtual absl::StatusOr<ListQueuesResult> ListQueues(const ListQueuesOptions& options = {}) = 0;

 protected:
  QueueHost() = default;
};

}  // namespace barista

#endif  // BARISTA_QUEUE_HOST_H_
