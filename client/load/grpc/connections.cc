#include "client/load/grpc/connections.h"

#include <chrono>
#include <utility>

namespace barista::load {

absl::StatusOr<std::unique_ptr<Connections>> Connections::Open(client::ChannelOptions options,
                                                               int connections,
                                                               absl::Duration patience) {
  options.own_connection = true;
  auto result = std::unique_ptr<Connections>(new Connections(options.server, patience));
  for (int i = 0; i < connections; ++i) {
    auto channel = client::OpenChannel(options);
    if (!channel.ok()) return channel.status();
    result->stubs_.push_back(v1::QueueService::NewStub(*channel));
  }
  return result;
}

absl::Status Connections::CreateQueues(const std::vector<std::string>& names,
                                       const std::map<std::string, std::string>& attributes) {
  for (const std::string& name : names) {
    grpc::ClientContext context;
    SetDeadline(context, absl::ZeroDuration());
    v1::CreateQueueRequest request;
    request.set_queue(name);
    request.mutable_attributes()->insert(attributes.begin(), attributes.end());
    v1::CreateQueueResponse response;
    // Of a call that breaks it is not known whether there is a queue now.
    queues_.push_back(name);
    const grpc::Status status = next_stub().CreateQueue(&context, request, &response);
    if (!status.ok()) return ToStatus(status);
  }
  return absl::OkStatus();
}

absl::Status Connections::DeleteQueues() {
  absl::Status result;
  for (const std::string& name : queues_) {
    grpc::ClientContext context;
    SetDeadline(context, absl::ZeroDuration());
    v1::DeleteQueueRequest request;
    request.set_queue(name);
    v1::DeleteQueueResponse response;
    const absl::Status status = ToStatus(next_stub().DeleteQueue(&context, request, &response));
    if (!absl::IsNotFound(status)) result.Update(status);
    // Each other one would take as long to fail.
    if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) break;
  }
  return result;
}

void Connections::SetDeadline(grpc::ClientContext& context, absl::Duration wait) const {
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(wait + patience_));
}

absl::Status Connections::ToStatus(const grpc::Status& status) const {
  return client::FromCallStatus(status, server_, patience_);
}

}  // namespace barista::load
