#ifndef BARISTA_BROKER_COMMIT_OPERATION_H_
#define BARISTA_BROKER_COMMIT_OPERATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "barista/queue_attributes.h"
#include "storage/store.h"

namespace barista::commit {

// Adds a row of its own to each batch that touched it: a queue's counters.
class Participant {
 public:
  virtual ~Participant() = default;
  virtual void AddTo(storage::Batch& batch) = 0;

 private:
  friend class Turn;
  friend class CommitLog;
  bool touched_ = false;
};

// One turn of the committer: what the operations of one batch see. Committer only.
class Turn {
 public:
  storage::Batch& batch() { return batch_; }
  // Times of the batch: operations take theirs from here, so that applying a batch never asks a
  // clock.
  int64_t wall_ms() const { return wall_ms_; }
  int64_t mono_ns() const { return mono_ns_; }
  // `participant` adds its row at the end of the batch.
  void Touch(Participant* participant) {
    if (participant->touched_) return;
    participant->touched_ = true;
    touched_.push_back(participant);
  }

 private:
  friend class CommitLog;
  storage::Batch batch_;
  int64_t wall_ms_ = 0;
  int64_t mono_ns_ = 0;
  std::vector<Participant*> touched_;
};

// Something that becomes durable whole or not at all, on its way through the commit log:
//
//   Prepare    in the turn, in commit order: decides (sequences, deduplication, validity) and adds
//   to the batch Publish    in the turn, in commit order, after the batch is written, and for
//   kFsync synced: makes it visible Complete   once, outside the turn, with the result; may delete
//   the operation. Runs user callbacks.
//
// A refusal by Prepare leaves no trace and goes straight to Complete. If the write or the sync
// fails, Publish is not called and Complete gets the error; the store accepts nothing more (I10),
// so numbers that Prepare handed out need not be taken back.
class Operation {
 public:
  Operation(Durability durability, size_t bytes) : durability_(durability), bytes_(bytes) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  virtual absl::Status Prepare(Turn& turn) = 0;
  virtual void Publish() {}
  virtual void Complete(const absl::Status& status) = 0;

  // False for what only looks at the store: it goes on when the store refuses writes.
  virtual bool changes_store() const { return durability_ != Durability::kMemory; }

  Durability durability() const { return durability_; }
  // Estimate of what it adds to a batch.
  size_t bytes() const { return bytes_; }

  Operation* next_in_intake = nullptr;  // the intake's

 protected:
  // Before it is submitted only.
  void set_bytes(size_t bytes) { bytes_ = bytes; }

 private:
  friend class CommitLog;
  const Durability durability_;
  size_t bytes_;
  size_t reserved_bytes_ = 0;
};

}  // namespace barista::commit

#endif  // BARISTA_BROKER_COMMIT_OPERATION_H_
