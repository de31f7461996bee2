#include "storage/run_table.h"

namespace barista::storage {

RunTable::Entry* RunTable::Find(QueueId queue, Sequence first) {
  const auto it = index_.find(Id(queue, first));
  if (it == index_.end()) return nullptr;
  it->second->referenced = true;
  return it->second;
}

RunTable::Entry* RunTable::Insert(QueueId queue, Sequence first, RunState state, bool has_row) {
  Entry* entry;
  if (free_.empty()) {
    entry = &entries_.emplace_back();
  } else {
    entry = free_.back();
    free_.pop_back();
  }
  entry->queue = queue;
  entry->first = first;
  entry->state = std::move(state);
  entry->has_row = has_row;
  entry->in_use = true;
  entry->referenced = true;
  index_[Id(queue, first)] = entry;
  Settle(entry);
  return entry;
}

void RunTable::Erase(Entry* entry) {
  index_.erase(Id(entry->queue, entry->first));
  leases_ -= entry->counted_leases;
  *entry = Entry();
  free_.push_back(entry);
}

void RunTable::EraseBelow(QueueId queue, Sequence end) {
  for (Entry& entry : entries_) {
    if (entry.in_use && entry.queue == queue && entry.first < end) Erase(&entry);
  }
}

void RunTable::Settle(Entry* entry) {
  leases_ += entry->state.leases.size() - entry->counted_leases;
  entry->counted_leases = entry->state.leases.size();
}

void RunTable::Trim() {
  // Two rounds at most: the first takes the second chances away.
  for (size_t steps = 2 * entries_.size(); steps > 0; --steps) {
    if (index_.size() <= max_entries_ && leases_ <= max_leases_) return;
    if (hand_ >= entries_.size()) hand_ = 0;
    Entry& entry = entries_[hand_++];
    if (!entry.in_use || entry.dirty) continue;
    if (entry.referenced) {
      entry.referenced = false;
    } else {
      Erase(&entry);
    }
  }
}

}  // namespace barista::storage
