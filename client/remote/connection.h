#ifndef BARISTA_CLIENT_REMOTE_CONNECTION_H_
#define BARISTA_CLIENT_REMOTE_CONNECTION_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "barista/client.h"
#include "barista/v1/queue.grpc.pb.h"
#include "broker/base/mutex.h"

namespace barista::client {

// A call or a stream. Thread-safe.
class UnderWay {
 public:
  virtual ~UnderWay() = default;
  // The host closes: it is to end. Returns at once.
  virtual void OnClose() = 0;
};

// What a host and its queues share: the channel, the options, and which calls are under way.
// Thread-safe. Shared by the host, its queues and their calls: a queue may outlive its host.
class Connection {
 public:
  Connection(const std::shared_ptr<grpc::Channel>& channel, const ConnectOptions& options);

  v1::QueueService::StubInterface::async_interface* api() const { return stub_->async(); }
  const ConnectOptions& options() const { return options_; }
  // The status of a call, with a text for people where no broker answered.
  absl::Status ToStatus(const grpc::Status& status) const;

  // From OK until End, Close waits for the call, which is kept alive. BrokerClosed after Close.
  absl::Status Begin(std::shared_ptr<UnderWay> call);
  void End(UnderWay* call);

  // Lets no call begin, tells those under way and, if `wait`, waits until they have ended.
  void Close(bool wait);

 private:
  const std::unique_ptr<v1::QueueService::Stub> stub_;
  const ConnectOptions options_;

  Mutex mutex_;
  CondVar ended_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<UnderWay*, std::shared_ptr<UnderWay>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_CONNECTION_H_
