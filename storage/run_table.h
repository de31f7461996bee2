#ifndef BARISTA_STORAGE_RUN_TABLE_H_
#define BARISTA_STORAGE_RUN_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "broker/base/ids.h"
#include "storage/run_record.h"

namespace barista::storage {

// The states of the runs that were touched lately, so that an acknowledgement of one message of a
// run need not read the run's row first. A cache: every entry that is not dirty equals its row (or,
// without `has_row`, the absence of one).
//
// Committer only. Pointers to entries stay valid until the entry is erased or trimmed.
class RunTable {
 public:
  struct Entry {
    QueueId queue;
    Sequence first = Sequence(0);
    RunState state;
    bool has_row = false;
    bool dirty = false;  // differs from its row; never trimmed

   private:
    friend class RunTable;
    bool in_use = false;
    bool referenced = false;
    size_t counted_leases = 0;
  };

  // Trim() keeps at most so many entries, and so many leases in them.
  RunTable(size_t max_entries, size_t max_leases)
      : max_entries_(max_entries), max_leases_(max_leases) {}

  // Null if there is none.
  Entry* Find(QueueId queue, Sequence first);
  // There must be no such entry yet.
  Entry* Insert(QueueId queue, Sequence first, RunState state, bool has_row);
  void Erase(Entry* entry);
  // Erases the entries of `queue` whose first sequence is below `end`. O(entries).
  void EraseBelow(QueueId queue, Sequence end);
  // Counts the leases of an entry whose state has changed.
  void Settle(Entry* entry);
  // Evicts entries that have not been used for the longest (second chance) down to the limits.
  void Trim();

  size_t size() const { return index_.size(); }
  size_t leases() const { return leases_; }

 private:
  using Id = std::pair<QueueId, Sequence>;

  const size_t max_entries_;
  const size_t max_leases_;
  absl::flat_hash_map<Id, Entry*> index_;
  std::deque<Entry> entries_;
  std::vector<Entry*> free_;
  size_t leases_ = 0;
  size_t hand_ = 0;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_RUN_TABLE_H_
