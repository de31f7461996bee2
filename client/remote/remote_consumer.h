#ifndef BARISTA_CLIENT_REMOTE_REMOTE_CONSUMER_H_
#define BARISTA_CLIENT_REMOTE_REMOTE_CONSUMER_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "barista/consumer.h"
#include "barista/v1/queue.grpc.pb.h"
#include "broker/base/mutex.h"
#include "broker/consumer/consumer_state.h"
#include "client/remote/connection.h"

namespace barista::client {

// A consumer as a ConsumeStream. At most one read and one write are under way, and no thread waits
// for either. What is asked while a request is on its way goes with the next: deletes and releases
// as ranges of deliveries, and the credit that they give back. The heartbeat is the broker's.
//
// It owns itself from Begin until the stream has ended. Thread-safe.
class RemoteConsumer final
    : public internal::ConsumerState,
      private grpc::ClientBidiReactor<v1::ConsumeStreamRequest, v1::ConsumeStreamResponse>,
      private UnderWay {
 public:
  // Deliveries that one request names at most: the broker's limit.
  static constexpr size_t kMaxNamed = 10'000;

  // `options` are valid.
  RemoteConsumer(std::shared_ptr<Connection> connection, const std::string& queue,
                 const ConsumeOptions& options);

  // Opens the stream, once. BrokerClosed after the host's Close.
  absl::Status Begin();

 private:
  // A request that is not settled.
  struct Sent {
    std::vector<Delivery> deletes;
    std::vector<Change> changes;
    uint64_t changes_taken = 0;  // those that were left out among them
  };

  void Attend() override;
  bool WaitForChange(Waiting* waiting, CondVar* changed) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsClosed() const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return done_; }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  // UnderWay: the host closes.
  void OnClose() override;

  // False: there is nothing to ask.
  bool FillRequest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeResponse(std::vector<ReceivedMessage> messages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeFailure(const v1::StreamFailure& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Connection> connection_;
  std::shared_ptr<RemoteConsumer> self_;  // from Begin until OnDone
  v1::ConsumeStreamResponse response_;    // of the read that is under way

  v1::ConsumeStreamRequest request_;  // of the write that is under way; before, what it begins with
  bool started_ ABSL_GUARDED_BY(mutex_) = false;  // the first request has been written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // a read or a write failed: OnDone tells why
  // Other threads than reactions may write: gRPC keeps the stream for them. Dropped with the last
  // write.
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  // Until the end, whoever has the consumer then.
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_) =
      std::make_unique<grpc::ClientContext>();
  size_t credit_told_ ABSL_GUARDED_BY(mutex_) = 0;  // and not used
  uint64_t settled_ ABSL_GUARDED_BY(mutex_) = 0;    // requests
  std::deque<Sent> sent_ ABSL_GUARDED_BY(mutex_);   // the requests after those
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_REMOTE_CONSUMER_H_
