#ifndef BARISTA_QUEUE_ATTRIBUTES_H_
#define BARISTA_QUEUE_ATTRIBUTES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace barista {

// When an operation on a queue answers OK (ARCHITECTURE.md, "Durability"). Ordered from weakest to
// strongest.
enum class Durability {
  kMemory = 0,  // the message is in memory; survives nothing
  kOs = 1,  // in the write-ahead log, synced within BrokerOptions::sync_interval; survives a crash
            // of the process
  kFsync = 2,  // in the write-ahead log and synced; survives power loss
};

// Which bytes a body may hold.
enum class BodyCharset {
  kText = 0,    // SQS's rule: UTF-8 without most control characters
  kBinary = 1,  // any bytes
};

// A message that was received max_receive_count times is moved to the dead-letter queue at the next
// receive that would take it.
struct RedrivePolicy {
  std::string dead_letter_queue;  // name of a queue of this broker, of the same type, at least as
                                  // durable as the source
  int max_receive_count = 0;      // [1, 1000]

  friend bool operator==(const RedrivePolicy& a, const RedrivePolicy& b) {
    return a.dead_letter_queue == b.dead_letter_queue && a.max_receive_count == b.max_receive_count;
  }
};

// The attributes of a queue; unset means "not given". CreateQueue fills what is not given with the
// default, SetAttributes leaves it as it is. Durations are whole seconds, sizes bytes. Source of
// names, ranges and defaults: SQS SetQueueAttributes.
struct QueueAttributes {
  std::optional<absl::Duration> visibility_timeout =
      std::nullopt;                                    // VisibilityTimeout [0s, 12h], default 30s
  std::optional<absl::Duration> delay = std::nullopt;  // DelaySeconds [0s, 15min], default 0s
  std::optional<absl::Duration> retention =
      std::nullopt;  // MessageRetentionPeriod [60s, 14d], default 4d
  std::optional<absl::Duration> receive_wait =
      std::nullopt;  // ReceiveMessageWaitTimeSeconds [0s, 20s], default 0s
  std::optional<int64_t> maximum_message_size =
      std::nullopt;  // MaximumMessageSize [1024, 1048576], default 1048576
  // RedrivePolicy; default none. A policy with an empty dead_letter_queue removes it.
  std::optional<RedrivePolicy> redrive_policy = std::nullopt;
  // Durability `fsync`, `os` or `memory`; default BrokerOptions::default_durability. Set at
  // creation only.
  std::optional<Durability> durability = std::nullopt;
  // BodyCharset `text` or `binary`; default text.
  std::optional<BodyCharset> body_charset = std::nullopt;
  // MaximumInFlightMessages [1, 1000000000], default 120000: received and not yet deleted or
  // visible again.
  std::optional<int64_t> maximum_in_flight = std::nullopt;
};

using QueueTags = std::map<std::string, std::string>;

// What a queue is and holds. The counts are exact for what has been committed at some moment during
// the call.
struct QueueDescription {
  std::string name;
  std::string arn;             // arn:aws:sqs:REGION:ACCOUNT:NAME
  QueueAttributes attributes;  // every field set, but redrive_policy only if there is one
  QueueTags tags;
  absl::Time created_at;
  absl::Time last_modified_at;
  int64_t visible = 0;                // ApproximateNumberOfMessages
  int64_t in_flight = 0;              // ApproximateNumberOfMessagesNotVisible
  int64_t delayed = 0;                // ApproximateNumberOfMessagesDelayed
  absl::Duration oldest_message_age;  // as MessageCounts::oldest_message_age; not an attribute
};

// The text form of attributes, as on the AWS wire, in gRPC, on the command line and in the
// configuration: AWS names, values as strings (durations in whole seconds). Ours beside them:
// Durability, BodyCharset, MaximumInFlightMessages.
//
// kInvalidArgument/InvalidAttributeName: unknown or read-only name.
// kInvalidArgument/InvalidAttributeValue: malformed or out of range.
// kInvalidArgument/InvalidParameterValue: a malformed RedrivePolicy. The error names attribute,
// value and range.
absl::StatusOr<QueueAttributes> ParseQueueAttributes(
    const std::map<std::string, std::string>& text);

// Every attribute of `description`, read-only ones included (QueueArn, CreatedTimestamp, the three
// counts …).
std::map<std::string, std::string> FormatQueueAttributes(const QueueDescription& description);

// Whether a queue may have that name: 1 to 80 of [A-Za-z0-9_-]. kInvalidArgument/
// InvalidParameterValue.
absl::Status CheckQueueName(absl::string_view name);
// Whether a queue may have these tags: up to 50, keys of 1 to 128 bytes, values of up to 256.
// kInvalidArgument/InvalidParameterValue.
absl::Status CheckQueueTags(const QueueTags& tags);

absl::string_view DurabilityName(Durability durability);
absl::StatusOr<Durability> ParseDurability(absl::string_view text);

}  // namespace barista

#endif  // BARISTA_QUEUE_ATTRIBUTES_H_
