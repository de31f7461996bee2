#include "client/remote/connection.h"

#include <utility>
#include <vector>

#include "broker/message/queue_errors.h"
#include "client/channel.h"

namespace barista::client {

Connection::Connection(const std::shared_ptr<grpc::Channel>& channel, const ConnectOptions& options)
    : stub_(v1::QueueService::NewStub(channel)), options_(options) {}

absl::Status Connection::ToStatus(const grpc::Status& status) const {
  return FromCallStatus(status, options_.server, options_.timeout);
}

absl::Status Connection::Begin(std::shared_ptr<UnderWay> call) {
  MutexLock lock(&mutex_);
  if (closed_) return internal::BrokerClosed();
  UnderWay* const key = call.get();
  calls_.emplace(key, std::move(call));
  return absl::OkStatus();
}

void Connection::End(UnderWay* call) {
  std::shared_ptr<UnderWay> last;  // outlives the lock
  MutexLock lock(&mutex_);
  const auto it = calls_.find(call);
  if (it == calls_.end()) return;
  last = std::move(it->second);
  calls_.erase(it);
  if (calls_.empty()) ended_.NotifyAll();
}

void Connection::Close() {
  std::vector<std::shared_ptr<UnderWay>> calls;
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& [key, call] : calls_) calls.push_back(call);
  }
  for (const std::shared_ptr<UnderWay>& call : calls) call->OnClose();
  calls.clear();
  MutexLock lock(&mutex_);
  while (!calls_.empty()) ended_.Wait(&mutex_);
}

void Connection::Release() {
  std::unique_ptr<v1::QueueService::Stub> stub;  // outlives the lock
  MutexLock lock(&mutex_);
  stub = std::move(stub_);
}

}  // namespace barista::client
