#ifndef BROKER_SERVER_VISIBILITY_ENTRIES_H_
#define BROKER_SERVER_VISIBILITY_ENTRIES_H_

#include <vector>

#include "absl/status/status.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "barista/v1/queue.pb.h"

namespace barista::server {

// The entries of one ChangeMessageVisibility call, as what the engine is asked for them. A value.
class VisibilityEntries {
 public:
  explicit VisibilityEntries(const v1::ChangeMessageVisibilityRequest& request);

  const std::vector<VisibilityChange>& changes() const { return changes_; }
  // Handles for Queue::ReturnUndelivered, which answers nothing.
  const std::vector<ReceiptHandle>& undelivered() const { return undelivered_; }

  // Per entry why it was refused here, or OK.
  const std::vector<absl::Status>& decoded() const { return decoded_; }
  // The results of all that are OK in decoded(), in their order, from those of changes().
  std::vector<absl::Status> ResultsWith(std::vector<absl::Status> of_changes) const;

 private:
  std::vector<VisibilityChange> changes_;
  std::vector<ReceiptHandle> undelivered_;
  std::vector<absl::Status> decoded_;
  std::vector<bool> asked_;  // of those that are OK: whether it is among changes_
};

}  // namespace barista::server

#endif  // BROKER_SERVER_VISIBILITY_ENTRIES_H_
