#ifndef BARISTA_CLIENT_REMOTE_SEND_BATCH_H_
#define BARISTA_CLIENT_REMOTE_SEND_BATCH_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/queue.h"
#include "barista/v1/queue.pb.h"

namespace barista::client {

// The messages of one SendBatch call on their way. Thread-compatible.
struct SendBatch {
  struct Entry {
    size_t place;                                   // of its result
    size_t bytes;                                   // as the broker counts them (MessageSize)
    std::unique_ptr<v1::SendMessageEntry> message;  // null while it is in a frame
  };

  std::string queue;
  absl::Time deadline;
  Queue::SendCallback done;
  // One per message of the call; of those that are not in `entries` it is final.
  std::vector<absl::StatusOr<SendResult>> results;
  std::vector<Entry> entries;
  int attempts = 0;
  // What it counts among what is on its way, until it is done.
  size_t counted_entries = 0;
  size_t counted_bytes = 0;

  size_t bytes() const;
  // Everything that is not final ends with `status`.
  void Fail(const absl::Status& status);
};

// One request of the stream: whole batches for one queue, with what has been told of them.
// Thread-compatible.
class SendFrame {
 public:
  // Of a request, so that the broker takes it: entries and bytes of their messages.
  static constexpr size_t kMaxEntries = kMaxBatchEntries;
  static constexpr size_t kMaxBytes = kMaxBatchBytes;

  explicit SendFrame(const std::string& queue) { request_.set_queue(queue); }

  bool HasRoomFor(const SendBatch& batch) const {
    return entries_ + batch.entries.size() <= kMaxEntries && bytes_ + batch.bytes() <= kMaxBytes;
  }
  // Takes over the batch with its messages. It has at least one.
  void Add(std::unique_ptr<SendBatch> batch);

  // `first` on the first frame of a stream: asks for the results of all.
  const v1::SendStreamRequest* Request(bool first) {
    request_.set_results(first);
    return &request_;
  }
  const std::string& queue() const { return request_.queue(); }

  // When the first of its batches that is not over must be.
  absl::Time deadline() const { return parts_[part_].batch->deadline; }
  bool over() const { return told_ == entries_; }
  // The result of the next entry. Returns its batch if that is over, with the messages of those
  // results that `again` picks as entries that are not final; null otherwise. Not if over().
  std::unique_ptr<SendBatch> Tell(absl::StatusOr<SendResult> result,
                                  bool (*again)(const absl::Status& status));
  // The batches that are not over, with the messages that nothing has been told of. Once.
  std::vector<std::unique_ptr<SendBatch>> TakeRest();

 private:
  struct Part {
    std::unique_ptr<SendBatch> batch;
    size_t first;  // of its entries in the request
  };

  // (A request is not changed once it is being written: what comes back is copied.)
  v1::SendStreamRequest request_;
  std::vector<Part> parts_;
  size_t entries_ = 0;
  size_t bytes_ = 0;
  size_t told_ = 0;
  size_t part_ = 0;  // the first of `parts_` that is not over
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_SEND_BATCH_H_
