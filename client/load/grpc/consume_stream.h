#ifndef BARISTA_CLIENT_LOAD_GRPC_CONSUME_STREAM_H_
#define BARISTA_CLIENT_LOAD_GRPC_CONSUME_STREAM_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/load/grpc/connections.h"
#include "client/load/grpc/send_stream.h"
#include "client/load/grpc/stream_call.h"
#include "client/load/load_target.h"

namespace barista::load {

class ConsumeStream;

// Messages of a stream with the numbers of their deliveries.
class StreamBatch final : public ReceivedBatch {
 public:
  size_t size() const override { return messages.size(); }
  absl::string_view body(size_t index) const override { return messages[index].body(); }

  ConsumeStream* stream = nullptr;
  uint64_t first_delivery = 0;
  std::vector<v1::Message> messages;
};

// A ConsumeStream of one queue, from which batches are pulled. It has credit for a few of them: so
// many messages wait here while the consumer works. Thread-safe.
class ConsumeStream {
 public:
  // `connections` outlives this. `on_failure` runs when the stream ends of itself, on a thread of
  // gRPC. `credit` in [1, 100,000].
  ConsumeStream(const Connections& connections, size_t connection, const std::string& queue,
                int credit, std::function<void(const absl::Status&)> on_failure);

  // As LoadTarget::Receive; waits until there is a message, or EndReceives.
  void Receive(int max_messages, LoadTarget::Received received);
  void EndReceives();
  // As LoadTarget::Delete; what was deleted is credit for as much.
  void Delete(std::unique_ptr<StreamBatch> batch, LoadTarget::Done done);

 private:
  using Call = StreamCall<v1::ConsumeStreamRequest, v1::ConsumeStreamResponse>;
  struct Waiting {
    int max_messages;
    LoadTarget::Received received;
  };
  struct Deletion {
    uint64_t request;  // its number
    uint64_t first_delivery;
    size_t count;
    LoadTarget::Done done;
  };

  void OnResponse(v1::ConsumeStreamResponse& response);
  void OnEnd(const grpc::Status& status);
  // Under mutex_; there are messages.
  std::unique_ptr<StreamBatch> TakeBatch(int max_messages);

  const Connections& connections_;
  const std::function<void(const absl::Status&)> on_failure_;
  std::mutex mutex_;  // guards what follows; requests are written under it, in their order
  std::deque<v1::Message> messages_;
  uint64_t first_delivery_ =
      1;  // of messages_.front(); deliveries come in the order of their numbers
  std::deque<Waiting> waiting_;
  bool receives_ended_ = false;
  uint64_t requests_ = 0;
  std::deque<Deletion> deletions_;
  StreamFailures failures_;
  absl::Status end_;
  Call call_;  // the last member: it ends first
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_GRPC_CONSUME_STREAM_H_
