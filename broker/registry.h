#ifndef BARISTA_BROKER_REGISTRY_H_
#define BARISTA_BROKER_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "barista/broker.h"
#include "broker/base/mutex.h"
#include "broker/queue/engine.h"
#include "broker/queue/standard_queue.h"
#include "broker/queue_list.h"

namespace barista::internal {

// The definition row of queue 0 holds the next queue id, as decimal text: an id is not used again
// after its queue is deleted, or an old receipt handle could fit a new queue.
inline constexpr QueueId kNextIdRow(0);

// The queues of a broker by name, and the operations that create, change and delete them. What
// exists is decided in the committer's turn (where two creations of one name meet), and shown to
// everybody when it is durable. Definitions are synced whatever the queue's durability.
// Thread-safe.
class Registry {
 public:
  // `engine` outlives the registry.
  explicit Registry(Engine* engine) : engine_(engine) {}

  // Reads the definitions. Once, before anything else. O(queues).
  absl::Status Load();

  absl::StatusOr<std::shared_ptr<StandardQueue>> Create(absl::string_view name,
                                                        const QueueAttributes& attributes,
                                                        const QueueTags& tags);
  // `tags` null: none to add.
  absl::Status Redefine(StandardQueue* queue, const QueueAttributes& attributes,
                        const QueueTags* tags, absl::Span<const std::string> untag);
  absl::Status Delete(absl::string_view name);
  std::shared_ptr<StandardQueue> Find(absl::string_view name) const;  // null if there is none
  absl::StatusOr<ListQueuesResult> List(const ListQueuesOptions& options) const;
  std::vector<std::shared_ptr<StandardQueue>> All() const;
  size_t size() const;
  const QueueList& list() const { return list_; }

 private:
  friend class CreateQueueOp;
  friend class RedefineOp;
  friend class DeleteQueueOp;

  absl::Status Add(const storage::StoredQueue& row);
  std::shared_ptr<StandardQueue> Make(QueueId id, QueueDescription description,
                                      const storage::QueueCounters& counters);
  // Committer: whether the redrive policy of `definition` names a queue that can take its messages.
  absl::Status CheckRedrivePolicy(const QueueDescription& definition) const;
  absl::Status CheckDurability(Durability durability) const;

  Engine* const engine_;

  // The keys are the names that the queues keep.
  //
  // Committer: as the latest prepared operation leaves it.
  absl::flat_hash_map<absl::string_view, std::shared_ptr<StandardQueue>> defined_;
  uint32_t next_id_ = 1;

  mutable Mutex mutex_;
  std::map<absl::string_view, std::shared_ptr<StandardQueue>> queues_
      ABSL_GUARDED_BY(mutex_);  // durable, by name
  QueueList list_;              // the same
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_REGISTRY_H_
