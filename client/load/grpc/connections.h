#ifndef BARISTA_CLIENT_LOAD_GRPC_CONNECTIONS_H_
#define BARISTA_CLIENT_LOAD_GRPC_CONNECTIONS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/v1/queue.grpc.pb.h"
#include "client/channel.h"

namespace barista::load {

// What the targets over gRPC share: connections to a broker, and the queues that a run has there.
// Thread-safe; the queues are created before they are used and deleted after.
class Connections {
 public:
  static constexpr int kMost = 64;

  // `connections` in [1, kMost], made by the first calls. Calls are given up `patience` after they
  // should have been answered. kInvalidArgument: as client::OpenChannel.
  static absl::StatusOr<std::unique_ptr<Connections>> Open(
      client::ChannelOptions options, int connections, absl::Duration patience = absl::Seconds(30));

  // As LoadTarget's.
  absl::Status CreateQueues(const std::vector<std::string>& names,
                            const std::map<std::string, std::string>& attributes);
  absl::Status DeleteQueues();
  const std::string& queue(size_t index) const { return queues_[index]; }

  v1::QueueService::Stub& stub(size_t index) const { return *stubs_[index % stubs_.size()]; }
  // A connection after the other.
  v1::QueueService::Stub& next_stub() {
    return stub(next_.fetch_add(1, std::memory_order_relaxed));
  }

  // For a call that may wait so long at the broker.
  void SetDeadline(grpc::ClientContext& context, absl::Duration wait) const;
  // With the broker's name where it did not answer.
  absl::Status ToStatus(const grpc::Status& status) const;

 private:
  Connections(std::string server, absl::Duration patience)
      : server_(std::move(server)), patience_(patience) {}

  const std::string server_;
  const absl::Duration patience_;
  std::vector<std::unique_ptr<v1::QueueService::Stub>> stubs_;
  std::atomic<size_t> next_{0};  // relaxed: any spread will do
  std::vector<std::string> queues_;
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_GRPC_CONNECTIONS_H_
