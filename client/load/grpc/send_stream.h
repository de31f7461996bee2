#ifndef BARISTA_CLIENT_LOAD_GRPC_SEND_STREAM_H_
#define BARISTA_CLIENT_LOAD_GRPC_SEND_STREAM_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/load/grpc/connections.h"
#include "client/load/grpc/stream_call.h"
#include "client/load/load_target.h"

namespace barista::load {

// The failures that a stream has told and whose entries or deliveries are not settled yet.
// Thread-compatible.
class StreamFailures {
 public:
  template <typename Response>
  void Add(const Response& response) {
    for (const v1::StreamFailure& failure : response.failures()) {
      failures_.push_back({failure.first(), failure.count(), client::FromError(failure.error())});
    }
  }
  // The results of `count` numbers from `first` on, which are not asked for again.
  std::vector<absl::Status> Take(uint64_t first, size_t count);

 private:
  struct Failure {
    uint64_t first, count;
    absl::Status status;
  };
  std::vector<Failure> failures_;
};

// A SendStream for any queues. Thread-safe.
class SendStream {
 public:
  // `connections` outlives this. `on_failure` runs when the stream ends of itself, on a thread of
  // gRPC.
  SendStream(const Connections& connections, size_t connection,
             std::function<void(const absl::Status&)> on_failure);

  // As LoadTarget::Send. After the end of the stream its error is that of every message.
  void Send(const std::string& queue, absl::Span<const absl::string_view> bodies,
            const SendHow& how, LoadTarget::Done done);

 private:
  using Call = StreamCall<v1::SendStreamRequest, v1::SendStreamResponse>;
  struct Pending {
    uint64_t last;  // the number of its last entry
    size_t count;
    LoadTarget::Done done;
  };

  void OnResponse(const v1::SendStreamResponse& response);
  void OnEnd(const grpc::Status& status);

  const Connections& connections_;
  const std::function<void(const absl::Status&)> on_failure_;
  std::mutex mutex_;  // guards what follows; requests are written under it, in their order
  uint64_t entries_ = 0;
  std::deque<Pending> pending_;
  StreamFailures failures_;
  absl::Status end_;
  Call call_;  // the last member: it ends first
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_GRPC_SEND_STREAM_H_
