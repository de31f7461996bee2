#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "client/load/load_generator.h"

namespace barista::load {
namespace {

absl::Status CheckRange(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is %.15g; it must be in [%.15g, %.15g]", name, value, low, high));
}

absl::Status CheckRange(const char* name, absl::Duration value, absl::Duration low,
                        absl::Duration high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " is ", absl::FormatDuration(value),
                                                 "; it must be in [", absl::FormatDuration(low),
                                                 ", ", absl::FormatDuration(high), "]"));
}

}  // namespace

absl::Status CheckLoadOptions(const LoadOptions& options) {
  for (const absl::Status& status :
       {CheckRange("queues", options.queues, 1, LoadOptions::kMaxQueues),
        CheckRange("body", static_cast<double>(options.body.least()), BodySizes::kLeast,
                   BodySizes::kMost),
        CheckRange("body", static_cast<double>(options.body.most()), BodySizes::kLeast,
                   BodySizes::kMost),
        CheckRange("producers", options.producers, 1, LoadOptions::kMaxThreads),
        CheckRange("consumers", options.consumers, 0, LoadOptions::kMaxThreads),
        CheckRange("send-batch", options.send_batch, 1, kMaxBatchEntries),
        CheckRange("receive-batch", options.receive_batch, 1, kMaxReceiveMessages),
        CheckRange("in-flight", options.in_flight,
                   static_cast<double>(options.producers) * options.send_batch,
                   LoadOptions::kMaxInFlight),
        CheckRange("rate", options.rate, 0, LoadOptions::kMaxRate),
        CheckRange("delay", options.delay, absl::ZeroDuration(), absl::Minutes(15)),
        CheckRange("warm-up", options.warm_up, absl::ZeroDuration(), absl::Hours(1)),
        CheckRange("duration", options.measured, absl::Milliseconds(1), absl::Hours(24)),
        CheckRange("drain", options.drain, absl::ZeroDuration(), absl::Hours(1))}) {
    if (!status.ok()) return status;
  }
  const size_t batch_bytes = static_cast<size_t>(options.send_batch) * options.body.most();
  if (batch_bytes > static_cast<size_t>(kMaxBatchBytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "send-batch is ", options.send_batch, " with bodies of up to ", options.body.most(),
        " bytes, together ", batch_bytes, " bytes; limit ", kMaxBatchBytes));
  }
  return absl::OkStatus();
}

}  // namespace barista::load
