#ifndef BARISTA_CLIENT_LOAD_LOAD_TARGET_H_
#define BARISTA_CLIENT_LOAD_LOAD_TARGET_H_

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
#include "barista/stats.h"

namespace barista::load {

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
  int producer = 0;  // who sends: producers may have a stream each
};

struct ReceiveHow {
  int max_messages = 10;
  // How long to wait for a first message. A stream waits until there is one.
  absl::Duration wait = absl::ZeroDuration();
  int consumer = 0;  // who receives: consumers may have a stream each
};

// A broker that the load generator can drive. Thread-safe. Callbacks run exactly once, inside the
// call or on a thread of the target; they are quick. All of them have run when the target's
// destructor returns.
class LoadTarget {
 public:
  using Done = absl::AnyInvocable<void(std::vector<absl::Status>)>;
  using Received = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<ReceivedBatch>>)>;

  virtual ~LoadTarget() = default;

  // "embedded", "grpc", "grpc streams".
  virtual std::string name() const = 0;
  // Creates the queues that the calls below name by their index, with `attributes` in text form
  // (barista/queue_attributes.h). An existing queue with the same values is used as it is.
  virtual absl::Status CreateQueues(const std::vector<std::string>& names,
                                    const std::map<std::string, std::string>& attributes) = 0;
  // Deletes those that CreateQueues created or found, also after it failed. The first error; those
  // that are gone are none. When nothing is under way.
  virtual absl::Status DeleteQueues() = 0;

  // Sends `bodies` together. They are copied before the call returns. One status each.
  virtual void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
                    Done done) = 0;
  virtual void Receive(size_t queue, const ReceiveHow& how, Received received) = 0;
  // Receives that wait end, with nothing, and later ones do not wait any more. For the end of a
  // target's life.
  virtual void EndReceives() = 0;
  // Deletes all messages of `batch`. One status each.
  virtual void Delete(size_t queue, std::unique_ptr<ReceivedBatch> batch, Done done) = 0;

  // Why calls cannot succeed any more, where the target knows.
  virtual absl::Status failure() const { return absl::OkStatus(); }
  // The engine's own counts, where they can be had.
  virtual std::optional<BrokerStats> Stats() const { return std::nullopt; }
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_LOAD_TARGET_H_
