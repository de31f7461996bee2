#ifndef BROKER_SERVER_QUEUE_DEFINITIONS_H_
#define BROKER_SERVER_QUEUE_DEFINITIONS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "barista/broker.h"
#include "barista/queue_attributes.h"

namespace barista::server {

// A queue that is to be there, as the YAML file of --config wants it.
struct QueueDefinition {
  static constexpr size_t kMaxInFile = 10'000;

  std::string name;
  std::string where;           // "barista.yaml:7", for errors and the log
  QueueAttributes attributes;  // what is not given stays as it is, or is the default
  std::optional<QueueTags> tags = std::nullopt;  // set: exactly these
};

// What is wrong with `definitions`, all of it, one text each: a queue whose Durability is another
// one, a dead-letter queue that is neither there nor defined, or weaker than its source. In which
// order they stand does not matter. `broker`: null, if it is not known which queues there are;
// `options` are its.
std::vector<std::string> CheckQueues(absl::Span<const QueueDefinition> definitions,
                                     const BrokerOptions& options, Broker* broker);

// kInvalidArgument/InvalidParameterValue with a line of each of the texts.
absl::Status WrongQueues(absl::Span<const std::string> texts);

// Creates the queues that are not there, and changes attributes and tags where they are others;
// each change is logged. No queue is deleted. Blocks: a sync or two for each queue that changes.
//
// kInvalidArgument/InvalidParameterValue, and nothing has changed: CheckQueues finds something; the
// message has a line of each. Errors of Broker::CreateQueue and Queue::SetAttributes, with the
// queue: queues before it have been set up, and doing it again does the rest.
absl::Status SetUpQueues(absl::Span<const QueueDefinition> definitions, Broker* broker);

}  // namespace barista::server

#endif  // BROKER_SERVER_QUEUE_DEFINITIONS_H_
