#ifndef BROKER_SERVER_CONSUME_STREAM_H_
#define BROKER_SERVER_CONSUME_STREAM_H_

#include <grpcpp/alarm.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/broker.h"
#include "barista/v1/queue.pb.h"
#include "broker/server/open_deliveries.h"
#include "broker/server/stream_access.h"
#include "broker/server/stream_failures.h"
#include "broker/server/stream_reactor.h"

namespace barista::server {

// One ConsumeStream: a receive of the engine at a time, parked without a thread, of no more than
// the client has credit for and the frame has room for; the next one begins when the frame has
// left, so a client that does not read holds one frame.
//
// How a stream ends: what was received and not delivered goes back uncounted, what is open is
// released, and when all that was asked is settled and told the call is finished. Of a client that
// is gone nothing is waited for.
class ConsumeStream final : public StreamReactor<ConsumeStream> {
 public:
  // Credit and open deliveries of a stream.
  static constexpr uint64_t kMaxCredit = 100'000;
  // Deliveries that one request names.
  static constexpr size_t kMaxNamed = 10'000;
  // Requests that are not settled; beyond that none is read.
  static constexpr size_t kMaxUnsettled = 64;
  // Bytes of messages in a frame. A stream begins with the least; each frame that has left doubles
  // it. So streams that nobody reads hold little.
  static constexpr int64_t kMinFrameBytes = 32 << 10;
  static constexpr int64_t kMaxFrameBytes = 1 << 20;

  ConsumeStream(Broker* broker, StreamAccess access, const Server& server);

 private:
  friend StreamReactor;
  using Chosen = OpenDeliveries::Chosen;

  // A request, until it is settled.
  struct Pending {
    int settling = 0;  // batches of the engine
  };

  void OnRequest(grpc::ByteBuffer* bytes);
  void OnWritten(bool ok);
  bool WantsRequest() const {
    return error_.ok() && pending_.size() < kMaxUnsettled &&
           failures_.size() < kMaxFailuresPerResponse;
  }
  bool FillResponse(grpc::ByteBuffer* bytes);
  void OnTurn();
  std::optional<grpc::Status> End() const;

  // What a request asks.
  struct Asked {
    Chosen deletes, releases, extensions;
    // Of the releases, then of the extensions.
    std::vector<VisibilityChange> changes;
  };

  absl::Status Start(const v1::ConsumeStart& start);
  // Deliveries that are deleted or released are not open any more, also if it fails.
  absl::Status Read(const v1::ConsumeStreamRequest& request, Asked* asked);
  void Apply(Asked asked);

  bool ending() const { return gone() || closed() || !error_.ok() || drained(); }
  bool drained() const {
    return draining() && open_.size() == 0 && arrived_.empty() && !receiving_;
  }

  void Receive();
  void OnReceived(absl::StatusOr<std::vector<ReceivedMessage>> received);
  // Gives back what has not left the broker.
  void Return(absl::Span<const ReceivedMessage> messages);
  void ReleaseOpen();

  // How a batch of the engine for the last request ends: it settles the deliveries `numbers`.
  Queue::StatusesCallback Settling(absl::Span<const uint64_t> numbers);

  void ArmHeartbeat();
  void Beat();

  Broker* const broker_;
  const StreamAccess access_;
  bool begun_ = false;
  Queue queue_;
  ReceiveOptions options_;
  bool heartbeat_ = false;
  bool receipt_handles_ = false;
  absl::Status error_;  // ends the stream

  uint64_t credit_ = 0;
  int64_t frame_bytes_ = kMinFrameBytes;
  bool receiving_ = false;
  std::shared_ptr<PendingReceive> receive_;
  std::vector<ReceivedMessage> arrived_;  // not delivered
  OpenDeliveries open_;
  // Those in the response that is being written; empty if there are none.
  uint64_t written_first_ = 0, written_end_ = 0;

  uint64_t requests_ = 0;        // accepted
  std::deque<Pending> pending_;  // the last ones of them
  StreamFailures failures_;      // not told
  uint64_t settled_told_ = 0;
  bool draining_told_ = false;
  int releasing_ = 0;  // batches
  int beating_ = 0;    // batches

  std::unique_ptr<grpc::Alarm> alarm_;  // set while there is something to extend
};

}  // namespace barista::server

#endif  // BROKER_SERVER_CONSUME_STREAM_H_
