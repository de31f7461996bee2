#ifndef BROKER_SERVER_SEND_STREAM_H_
#define BROKER_SERVER_SEND_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "barista/broker.h"
#include "barista/v1/queue.pb.h"
#include "broker/server/send_frame.h"
#include "broker/server/stream_access.h"
#include "broker/server/stream_failures.h"
#include "broker/server/stream_reactor.h"

namespace barista::server {

// One SendStream. Each request is a batch of the engine; they are told in the order of the
// requests, whatever the order in which they end.
class SendStream final : public StreamReactor<SendStream> {
 public:
  // What of one stream may wait to be settled and told; beyond that no request is read.
  static constexpr uint64_t kMaxUntoldEntries = 10'000;
  static constexpr size_t kMaxUntoldBytes = 8 << 20;

  SendStream(Broker* broker, StreamAccess access, const Server& server);

 private:
  friend StreamReactor;

  struct Batch {
    uint64_t request;  // its number
    uint64_t first;    // entry
    uint64_t count;
    size_t bytes;
    bool settled = false;
    absl::Status refused;  // as a whole, before it reached the engine; else:
    // Of entries, by their index: refused before they reached the engine.
    std::vector<absl::Status> decoded;
    std::vector<absl::StatusOr<SendResult>> results;  // of the others
  };

  void OnRequest(grpc::ByteBuffer* bytes);
  void OnWritten(bool ok);
  bool WantsRequest() const;
  bool FillResponse(grpc::ByteBuffer* bytes);
  void OnTurn() {}
  std::optional<grpc::Status> End() const;

  // Finds the queue that a request names; one that the caller may not use ends the stream.
  void Address(const std::string& name);
  void Send(Batch* batch, SendFrame* frame);
  // Puts what has become of the batch into the response.
  void Tell(const Batch& batch, v1::SendStreamResponse* response);

  Broker* const broker_;
  const StreamAccess access_;
  bool begun_ = false;
  bool want_results_ = false;
  std::string queue_name_;
  absl::StatusOr<Queue> queue_;
  absl::Status error_;  // ends the stream

  uint64_t requests_ = 0;
  uint64_t next_entry_ = 1;
  uint64_t settled_ = 0;       // told, or in the response that is being written
  std::deque<Batch> batches_;  // not told; references to its elements stay valid
  uint64_t untold_entries_ = 0;
  size_t untold_bytes_ = 0;
  // Of the response that is being written.
  uint64_t writing_entries_ = 0;
  size_t writing_bytes_ = 0;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_SEND_STREAM_H_
