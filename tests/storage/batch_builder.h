#ifndef BARISTA_TESTS_STORAGE_BATCH_BUILDER_H_
#define BARISTA_TESTS_STORAGE_BATCH_BUILDER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "storage/store.h"

namespace barista::storage {

// Builds batches as the engine does, and keeps what they point to: records, and the RecordRef of
// every message.
class BatchBuilder {
 public:
  BatchBuilder& Append(uint32_t queue, uint64_t sequence, const std::string& record) {
    RecordRef& ref = refs_[{queue, sequence}];
    ref = RecordRef();
    ref.sequence = Sequence(sequence);
    batch_.Add(Batch::Append{QueueId(queue), Sequence(sequence), Keep(record), &ref});
    return *this;
  }
  BatchBuilder& Ack(uint32_t queue, uint64_t sequence) {
    batch_.Add(Batch::Ack{QueueId(queue), ref(queue, sequence)});
    return *this;
  }
  BatchBuilder& SetLease(uint32_t queue, uint64_t sequence, const Lease& lease) {
    batch_.Add(Batch::SetLease{QueueId(queue), &ref(queue, sequence), lease});
    return *this;
  }
  BatchBuilder& PutDelayed(uint32_t queue, int64_t due_ms, uint64_t id, const std::string& record) {
    batch_.Add(Batch::PutDelayed{QueueId(queue), due_ms, id, Keep(record)});
    return *this;
  }
  BatchBuilder& DeleteDelayed(uint32_t queue, int64_t due_ms, uint64_t id) {
    batch_.Add(Batch::DeleteDelayed{QueueId(queue), due_ms, id});
    return *this;
  }
  BatchBuilder& PutExpiry(uint32_t queue, Batch::ExpiryKind kind, int64_t at_ms,
                          uint64_t sequence) {
    batch_.Add(Batch::PutExpiry{QueueId(queue), kind, at_ms, Sequence(sequence)});
    return *this;
  }
  BatchBuilder& DeleteExpiry(uint32_t queue, Batch::ExpiryKind kind, int64_t at_ms,
                             uint64_t sequence) {
    batch_.Add(Batch::DeleteExpiry{QueueId(queue), kind, at_ms, Sequence(sequence)});
    return *this;
  }
  BatchBuilder& PutCounters(uint32_t queue, const QueueCounters& counters) {
    batch_.Add(Batch::PutCounters{QueueId(queue), counters});
    return *this;
  }
  BatchBuilder& PutDefinition(uint32_t queue, const std::string& definition) {
    batch_.Add(Batch::PutDefinition{QueueId(queue), Keep(definition)});
    return *this;
  }
  BatchBuilder& Purge(uint32_t queue, uint64_t below) {
    batch_.Add(Batch::Purge{QueueId(queue), Sequence(below)});
    return *this;
  }
  BatchBuilder& DropQueue(uint32_t queue) {
    batch_.Add(Batch::DropQueue{QueueId(queue)});
    return *this;
  }

  // Writes what was added as the next commit.
  absl::Status WriteTo(Store& store) {
    batch_.commit_number = ++commit_;
    batch_.last_synced_commit = last_synced_;
    const absl::Status status = store.Write(batch_);
    Clear();
    return status;
  }
  // Writes and syncs.
  absl::Status CommitTo(Store& store) {
    absl::Status status = WriteTo(store);
    if (status.ok()) status = store.Sync();
    if (status.ok()) last_synced_ = commit_;
    return status;
  }

  // What was added since the last write.
  const Batch& batch() const { return batch_; }
  void Clear() {
    batch_.Clear();
    kept_.clear();
  }
  bool empty() const { return batch_.empty(); }

  RecordRef& ref(uint32_t queue, uint64_t sequence) { return refs_.at({queue, sequence}); }
  void SetRef(uint32_t queue, const RecordRef& ref) { refs_[{queue, ref.sequence.value()}] = ref; }
  // After a reopen: commits go on from here.
  void StartFrom(uint64_t commit) { commit_ = last_synced_ = commit; }
  uint64_t commit() const { return commit_; }

 private:
  absl::string_view Keep(const std::string& bytes) { return kept_.emplace_back(bytes); }

  Batch batch_;
  std::deque<std::string> kept_;
  std::map<std::pair<uint32_t, uint64_t>, RecordRef> refs_;
  uint64_t commit_ = 0;
  uint64_t last_synced_ = 0;
};

}  // namespace barista::storage

#endif  // BARISTA_TESTS_STORAGE_BATCH_BUILDER_H_
