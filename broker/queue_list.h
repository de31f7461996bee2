#ifndef BARISTA_BROKER_QUEUE_LIST_H_
#define BARISTA_BROKER_QUEUE_LIST_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "broker/base/mutex.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

// The queues of a broker, to be looked at all together: in one row and in no order, since a walk
// over their names would wait for memory at each of them. Thread-safe.
class QueueList {
 public:
  void Add(std::shared_ptr<StandardQueue> queue);
  // A queue that was added, once.
  void Remove(const StandardQueue& queue);
  // Calls `visit` with each queue; with those that come or go meanwhile, or not. A few loads per
  // queue: it runs under the lock, which is held for kVisitedTogether queues at a time.
  void Visit(absl::FunctionRef<void(const std::shared_ptr<StandardQueue>&)> visit) const;

 private:
  // So many that their cache misses overlap, and few enough that they take a microsecond or two.
  static constexpr size_t kVisitedTogether = 64;

  mutable Mutex mutex_;
  // A queue keeps its place, so that a walk misses none. Null: free.
  std::vector<std::shared_ptr<StandardQueue>> places_ ABSL_GUARDED_BY(mutex_);
  std::vector<size_t> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_LIST_H_
