#ifndef BARISTA_BROKER_QUEUE_IN_FLIGHT_ORDER_H_
#define BARISTA_BROKER_QUEUE_IN_FLIGHT_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "broker/core/msg_id.h"

namespace barista::internal {

class StandardQueue;

// The messages of a broker's durable queues that are in flight with their leases in the store:
// those leased first in front. When memory is short they are stowed in this order, because what has
// been in flight for long is least likely to be deleted soon. Committer only.
class InFlightOrder {
 public:
  // A message as its lease says it is.
  struct Leased {
    core::MsgId id;
    int64_t visible_at_ns;
    uint32_t receives;
    uint32_t number;  // Slot::leases with it
  };
  struct Group {
    std::shared_ptr<StandardQueue> queue;
    std::vector<Leased> messages;
  };

  void Add(std::shared_ptr<StandardQueue> queue, std::vector<Leased> messages);
  bool empty() const { return groups_.empty(); }
  // Messages, those included that were settled, returned or leased again since they came; at most
  // about as many as the others.
  size_t size() const { return size_; }
  Group TakeFirst();
  // Forgets what was settled, returned or leased again, if that may be much.
  void TrimIfStale() {
    if (size_ > trimmed_size_ + trimmed_size_ / 4 + 1024) Trim();
  }
  void Clear();

 private:
  void Trim();

  std::deque<Group> groups_;
  size_t size_ = 0;
  size_t trimmed_size_ = 0;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_IN_FLIGHT_ORDER_H_
