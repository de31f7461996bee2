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
//
// The channel does not: its last owner joins the threads of gRPC, so that must not be one of them.
// Whoever closes the host releases it, when no call and no context of one is left.
class Connection {
 public:
  Connection(const std::shared_ptr<grpc::Channel>& channel, const ConnectOptions& options);

  // Between the Begin and the End of a call, and before Release.
  v1::QueueService::StubInterface::async_interface* api() const { return stub_->async(); }
  const ConnectOptions& options() const { return options_; }
  // The status of a call, with a text for people where no broker answered.
  absl::Status ToStatus(const grpc::Status& status) const;

  // From OK until End, Close waits for the call, which is kept alive. BrokerClosed after Close.
  // What is the user's, and each ClientContext (which has a share of the channel), goes before End.
  absl::Status Begin(std::shared_ptr<UnderWay> call);
  void End(UnderWay* call);

  // Lets no call begin, tells those under way, and waits until they have ended.
  void Close();
  // After Close: lets the channel go. Not on a thread of gRPC.
  void Release();

 private:
  std::unique_ptr<v1::QueueService::Stub> stub_;
  const ConnectOptions options_;

  Mutex mutex_;
  CondVar ended_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<UnderWay*, std::shared_ptr<UnderWay>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace barista::client

#endif  // BARISTA_CLIENT_REMOTE_CONNECTION_H_
