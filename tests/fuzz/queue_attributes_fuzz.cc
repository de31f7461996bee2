// Attribute names and values as they come from the wire: refused by name, or accepted within their
// ranges.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "barista/error.h"
#include "barista/message.h"
#include "barista/queue_attributes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const kNames[] = {"VisibilityTimeout",
                                       "DelaySeconds",
                                       "MessageRetentionPeriod",
                                       "ReceiveMessageWaitTimeSeconds",
                                       "MaximumMessageSize",
                                       "RedrivePolicy",
                                       "Durability",
                                       "BodyCharset",
                                       "MaximumInFlightMessages"};
  if (size == 0) return 0;
  const std::string value(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t choice = data[0] % (std::size(kNames) + 1);
  const std::string name = choice < std::size(kNames) ? kNames[choice] : value;

  const auto attributes = barista::ParseQueueAttributes({{name, value}});
  if (!attributes.ok()) {
    if (barista::GetErrorInfo(attributes.status()).reason.empty()) std::abort();
    return 0;
  }
  const auto within = [](const std::optional<absl::Duration>& given, absl::Duration low,
                         absl::Duration high) {
    return !given.has_value() || (*given >= low && *given <= high);
  };
  if (!within(attributes->visibility_timeout, absl::ZeroDuration(), absl::Hours(12)) ||
      !within(attributes->delay, absl::ZeroDuration(), absl::Minutes(15)) ||
      !within(attributes->retention, absl::Seconds(60), absl::Hours(14 * 24)) ||
      !within(attributes->receive_wait, absl::ZeroDuration(), absl::Seconds(20)) ||
      (attributes->maximum_message_size.has_value() &&
       (*attributes->maximum_message_size < 1024 ||
        *attributes->maximum_message_size > static_cast<int64_t>(barista::kMaxMessageBytes)))) {
    std::abort();
  }
  return 0;
}
