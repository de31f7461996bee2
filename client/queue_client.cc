#include "client/queue_client.h"

#include <chrono>
#include <utility>

#include "client/channel.h"

namespace barista::client {
namespace {

// The longest time that a receive may wait by the queue's own setting
// (ReceiveMessageWaitTimeSeconds).
constexpr absl::Duration kMaxQueueWait = absl::Seconds(20);

void SetTimeout(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

absl::Duration WaitOf(const v1::ReceiveMessageRequest& request) {
  if (!request.has_wait()) return kMaxQueueWait;
  return absl::Seconds(request.wait().seconds()) + absl::Nanoseconds(request.wait().nanos());
}

}  // namespace

void CallCanceller::Cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  // TryCancel only asks; it does not wait and calls nothing of ours.
  for (grpc::ClientContext* call : calls_) call->TryCancel();
}

bool CallCanceller::cancelled() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return cancelled_;
}

void CallCanceller::Add(grpc::ClientContext* call) {
  std::lock_guard<std::mutex> lock(mutex_);
  calls_.insert(call);
  if (cancelled_) call->TryCancel();
}

void CallCanceller::Remove(grpc::ClientContext* call) {
  std::lock_guard<std::mutex> lock(mutex_);
  calls_.erase(call);
}

absl::StatusOr<std::unique_ptr<QueueClient>> QueueClient::Open(const ChannelOptions& options,
                                                               absl::Duration timeout) {
  auto channel = OpenChannel(options);
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<QueueClient>(
      new QueueClient(options.server, v1::QueueService::NewStub(*channel), timeout));
}

QueueClient::QueueClient(absl::string_view server, std::unique_ptr<v1::QueueService::Stub> stub,
                         absl::Duration timeout)
    : server_(server), stub_(std::move(stub)), timeout_(timeout) {}

absl::Status QueueClient::ToStatus(const grpc::Status& status) const {
  return FromCallStatus(status, server_, timeout_);
}

template <typename Request, typename Response>
absl::StatusOr<Response> QueueClient::Call(
    grpc::Status (v1::QueueService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const Request& request) {
  grpc::ClientContext context;
  SetTimeout(context, timeout_);
  Response response;
  absl::Status status = ToStatus((stub_.get()->*method)(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::CreateQueueResponse> QueueClient::CreateQueue(
    const v1::CreateQueueRequest& request) {
  return Call(&v1::QueueService::Stub::CreateQueue, request);
}

absl::StatusOr<v1::GetQueueResponse> QueueClient::GetQueue(const v1::GetQueueRequest& request) {
  return Call(&v1::QueueService::Stub::GetQueue, request);
}

absl::Status QueueClient::SetQueueAttributes(const v1::SetQueueAttributesRequest& request) {
  return Call(&v1::QueueService::Stub::SetQueueAttributes, request).status();
}

absl::Status QueueClient::DeleteQueue(const v1::DeleteQueueRequest& request) {
  return Call(&v1::QueueService::Stub::DeleteQueue, request).status();
}

absl::StatusOr<v1::ListQueuesResponse> QueueClient::ListQueues(
    const v1::ListQueuesRequest& request) {
  return Call(&v1::QueueService::Stub::ListQueues, request);
}

absl::Status QueueClient::PurgeQueue(const v1::PurgeQueueRequest& request) {
  return Call(&v1::QueueService::Stub::PurgeQueue, request).status();
}

absl::Status QueueClient::TagQueue(const v1::TagQueueRequest& request) {
  return Call(&v1::QueueService::Stub::TagQueue, request).status();
}

absl::Status QueueClient::UntagQueue(const v1::UntagQueueRequest& request) {
  return Call(&v1::QueueService::Stub::UntagQueue, request).status();
}

absl::StatusOr<v1::SendMessageResponse> QueueClient::SendMessage(
    const v1::SendMessageRequest& request) {
  return Call(&v1::QueueService::Stub::SendMessage, request);
}

absl::StatusOr<v1::ReceiveMessageResponse> QueueClient::ReceiveMessage(
    const v1::ReceiveMessageRequest& request, CallCanceller* canceller) {
  grpc::ClientContext context;
  SetTimeout(context, timeout_ + WaitOf(request));
  v1::ReceiveMessageResponse response;
  if (canceller != nullptr) canceller->Add(&context);
  const grpc::Status status = stub_->ReceiveMessage(&context, request, &response);
  if (canceller != nullptr) canceller->Remove(&context);
  if (!status.ok()) return ToStatus(status);
  return response;
}

absl::StatusOr<v1::DeleteMessageResponse> QueueClient::DeleteMessage(
    const v1::DeleteMessageRequest& request) {
  return Call(&v1::QueueService::Stub::DeleteMessage, request);
}

absl::StatusOr<v1::ChangeMessageVisibilityResponse> QueueClient::ChangeMessageVisibility(
    const v1::ChangeMessageVisibilityRequest& request) {
  return Call(&v1::QueueService::Stub::ChangeMessageVisibility, request);
}

absl::StatusOr<v1::PeekMessagesResponse> QueueClient::PeekMessages(
    const v1::PeekMessagesRequest& request) {
  return Call(&v1::QueueService::Stub::PeekMessages, request);
}

void QueueClient::StartSendMessage(std::unique_ptr<SendMessageCall> call,
                                   std::function<void(std::unique_ptr<SendMessageCall>)> done) {
  SendMessageCall* raw = call.release();  // back in the callback, which runs exactly once
  SetTimeout(raw->context, timeout_);
  stub_->async()->SendMessage(&raw->context, &raw->request, &raw->response,
                              [this, raw, done = std::move(done)](const grpc::Status& status) {
                                raw->status = ToStatus(status);
                                done(std::unique_ptr<SendMessageCall>(raw));
                              });
}

void QueueClient::StartDeleteMessage(std::unique_ptr<DeleteMessageCall> call,
                                     std::function<void(std::unique_ptr<DeleteMessageCall>)> done) {
  DeleteMessageCall* raw = call.release();  // back in the callback, which runs exactly once
  SetTimeout(raw->context, timeout_);
  stub_->async()->DeleteMessage(&raw->context, &raw->request, &raw->response,
                                [this, raw, done = std::move(done)](const grpc::Status& status) {
                                  raw->status = ToStatus(status);
                                  done(std::unique_ptr<DeleteMessageCall>(raw));
                                });
}

}  // namespace barista::client
