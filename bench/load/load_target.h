#ifndef BARISTA_BENCH_LOAD_LOAD_TARGET_H_
#define BARISTA_BENCH_LOAD_LOAD_TARGET_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "barista/broker.h"

namespace barista::bench {

// Messages as a target received them, with what it needs to delete them.
class ReceivedBatch {
 public:
  virtual ~ReceivedBatch() = default;
  virtual size_t size() const = 0;
  virtual absl::string_view body(size_t index) const = 0;
};

// What the messages of one send have in common.
struct SendHow {
  absl::Duration delay = absl::ZeroDuration();
  std::optional<absl::string_view> group_id = std::nullopt;
};

// A broker that the load generator can drive. Thread-safe. Callbacks run exactly once, inside the
// call or on a thread of the target; they are quick. All of them have run when the target's
// destructor returns.
class LoadTarget {
 public:
  using Done = absl::AnyInvocable<void(std::vector<absl::Status>)>;
  using Received = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<ReceivedBatch>>)>;

  virtual ~LoadTarget() = default;

  // "embedded", "grpc".
  virtual std::string name() const = 0;
  // Creates the queues that the calls below name by their index, with `attributes` in text form
  // (barista/queue_attributes.h). An existing queue with the same values is used as it is.
  virtual absl::Status CreateQueues(const std::vector<std::string>& names,
                                    const std::map<std::string, std::string>& attributes) = 0;
  // Sends `bodies` together. They are copied before the call returns. One status each.
  virtual void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
                    Done done) = 0;
  virtual void Receive(size_t queue, int max_messages, absl::Duration wait, Received received) = 0;
  // Deletes all messages of `batch`. One status each.
  virtual void Delete(size_t queue, std::unique_ptr<ReceivedBatch> batch, Done done) = 0;

  // The engine's own counts, where they can be had.
  virtual std::optional<BrokerStats> Stats() const { return std::nullopt; }
};

}  // namespace barista::bench

#endif  // BARISTA_BENCH_LOAD_LOAD_TARGET_H_
