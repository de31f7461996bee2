#ifndef BARISTA_CLIENT_REMOTE_SEND_PIPE_H_
#define BARISTA_CLIENT_REMOTE_SEND_PIPE_H_

#include <grpcpp/alarm.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "barista/v1/queue.pb.h"
#include "broker/base/mutex.h"
#include "client/remote/connection.h"
#include "client/remote/send_batch.h"

namespace barista::client {

// The sends of all queues of a client: one SendStream, opened when there is something to send, and
// again when it has ended. Thread-safe.
//
//   Send ─▶ pending_ ── one write at a time ─▶ unsettled_ ── responses ─▶ done
//             ▲                                    │
//             └── paused_, a backoff later ────────┘ refused for now, or the broker drained
//
// What gathers in pending_ while a write is under way goes together: frames of one queue.
//
// When the stream ends, what is unsettled
//   - goes on after a pause, if the broker says that it has done nothing (ServerDraining,
//     RequestThrottled, ServerBusy);
//   - fails, if the broker says why it will not: of several frames the first, because the others
//     have not been looked at and go on;
//   - fails with kUnavailable otherwise: nobody knows what became of it.
//
// Memory: kMaxEntries messages and kMaxBytes at a time. No thread waits but those of Send and Close
// that say so.
class SendPipe : public std::enable_shared_from_this<SendPipe> {
 public:
  // Of all that is not done, one batch at least.
  static constexpr size_t kMaxEntries = 10'000;
  static constexpr size_t kMaxBytes = 64 << 20;

  explicit SendPipe(std::shared_ptr<Connection> connection);

  // Sends the batch, which has entries. Without room it waits for as long as the batch may take, if
  // `wait`, or fails with IntakeFull.
  void Send(std::unique_ptr<SendBatch> batch, bool wait);

  // Refuses what comes, with BrokerClosed, and waits until everything is done and the stream has
  // ended.
  void Close();

 private:
  class Stream;
  // What is to be done without the lock.
  struct Step {
    std::shared_ptr<Stream> stream;
    SendFrame* frame = nullptr;  // to be written
    bool begin = false;          // the stream is new
  };
  struct Paused {
    std::unique_ptr<SendBatch> batch;
    std::unique_ptr<grpc::Alarm> alarm;
  };
  using Batches = std::vector<std::unique_ptr<SendBatch>>;

  bool HasRoom(const SendBatch& batch) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // OK once there is room for the batch; IntakeFull, BrokerClosed, or out of time.
  absl::Status WaitForRoom(const SendBatch& batch, bool wait) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Append(std::unique_ptr<SendBatch> batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts the batch aside for a while; false, and it is left alone: it has no attempt or time left.
  bool Pause(std::unique_ptr<SendBatch>* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Resume(SendBatch* key);
  // The next write, if there may be one.
  Step NextStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(const Step& step);
  // What became of the entries up to `response.settled`; false: the response makes no sense.
  bool Settle(const v1::SendStreamResponse& response, Batches* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Shares out what the stream left behind when it ended.
  void ShareOut(std::deque<std::unique_ptr<SendFrame>> frames, const absl::Status& status,
                bool stalled, Batches* over) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The oldest frame; null if there is none.
  const SendFrame* Oldest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Watch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnWatch();
  void Finish(const Batches& over);

  // By the stream.
  void OnWritten(Stream* stream, bool ok);
  void OnResponse(Stream* stream, const v1::SendStreamResponse& response);
  void OnNoMoreResponses(Stream* stream);
  void OnEnd(const absl::Status& status);

  const std::shared_ptr<Connection> connection_;

  Mutex mutex_;
  CondVar changed_;  // room, or the end
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  size_t entries_ ABSL_GUARDED_BY(mutex_) = 0;  // not done
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<std::unique_ptr<SendFrame>> pending_ ABSL_GUARDED_BY(mutex_);
  // The last frame of each queue in pending_.
  absl::flat_hash_map<std::string, SendFrame*> open_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::unique_ptr<SendFrame>> unsettled_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<SendBatch*, Paused> paused_ ABSL_GUARDED_BY(mutex_);

  // The stream, from its first write to its end.
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // a write is under way, or the end of writes
  SendFrame* written_ ABSL_GUARDED_BY(mutex_) = nullptr;     // the frame of the write
  std::unique_ptr<SendFrame> kept_ ABSL_GUARDED_BY(mutex_);  // it, if it was settled meanwhile
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;              // nothing more can be written
  bool no_more_responses_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t settled_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;  // we gave it up: its oldest batch is too old
  std::unique_ptr<grpc::Alarm> watch_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_SEND_PIPE_H_
