#include "broker/server/receive_call.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "broker/server/grpc_caller.h"
#include "broker/server/grpc_status.h"
#include "broker/server/message_codec.h"

namespace barista::server {

ReceiveCall::ReceiveCall(grpc::CallbackServerContext* context,
                         const v1::ReceiveMessageRequest* request,
                         v1::ReceiveMessageResponse* response, Access* access, DrainList* drains,
                         GrpcCall counted)
    : context_(context),
      request_(request),
      response_(response),
      access_(access),
      drains_(drains),
      counted_(counted) {}

void ReceiveCall::End(const grpc::Status& status) {
  counted_.End(status);
  Finish(status);  // may delete this
}

void ReceiveCall::Start(Queue queue) {
  queue_ = std::move(queue);
  ReceiveOptions options;
  options.max_bytes = kMaxReplyBytes;
  if (request_->max_messages() != 0) options.max_messages = request_->max_messages();
  if (request_->max_bytes() != 0) {
    options.max_bytes = std::min(options.max_bytes, request_->max_bytes());
  }
  if (request_->has_wait()) {
    const absl::StatusOr<absl::Duration> wait = DecodeDuration("WaitTimeSeconds", request_->wait());
    if (!wait.ok()) return End(ToGrpcStatus(wait.status()));
    options.wait = *wait;
  }
  if (request_->has_visibility_timeout()) {
    const absl::StatusOr<absl::Duration> timeout =
        DecodeDuration("VisibilityTimeout", request_->visibility_timeout());
    if (!timeout.ok()) return End(ToGrpcStatus(timeout.status()));
    options.visibility_timeout = *timeout;
  }
  // The callback may run at once and end the call, but OnDone does not run before the handler has
  // returned.
  pending_ =
      queue_.ReceiveAsync(options, [this](auto received) { OnReceived(std::move(received)); });
  if (pending_ == nullptr) return;
  absl::StatusOr<ClientLimit::Share> place = access_->TakeStream(GrpcCaller(*context_));
  if (!place.ok()) {
    // (Nobody else gives it up before the handler has returned.)
    refused_ = place.status();
    return pending_->Cancel();
  }
  place_.emplace(*std::move(place));
  if (place_settled_.exchange(true, std::memory_order_acq_rel)) place_.reset();
  drains_->Add(this, [pending = pending_] { pending->Cancel(); });
}

void ReceiveCall::OnReceived(absl::StatusOr<std::vector<ReceivedMessage>> received) {
  if (place_settled_.exchange(true, std::memory_order_acq_rel)) place_.reset();
  if (!received.ok()) {
    const bool given_up = received.status().code() == absl::StatusCode::kCancelled;
    if (given_up && !refused_.ok()) return End(ToGrpcStatus(refused_));
    if (given_up && context_->IsCancelled()) return End(grpc::Status::CANCELLED);
    if (given_up && drains_->draining()) return End(grpc::Status::OK);
    return End(ToGrpcStatus(received.status()));
  }
  End(ToGrpcStatus(FillReply(*received)));  // may delete this
}

absl::Status ReceiveCall::FillReply(const std::vector<ReceivedMessage>& messages) {
  std::vector<ReceiptHandle> left;
  // Before anything is copied: a refused reply holds no memory.
  size_t body_bytes = 0;
  for (const ReceivedMessage& message : messages) body_bytes += message.body.size();
  absl::StatusOr<std::optional<ClientLimit::Share>> room =
      access_->TakeReply(GrpcCaller(*context_), body_bytes);
  absl::Status refused = room.status();
  if (refused.ok() && room->has_value()) room_.emplace(**std::move(room));
  const bool gone = !refused.ok() || context_->IsCancelled();
  size_t bytes = 0;
  replied_.reserve(messages.size());
  for (const ReceivedMessage& message : messages) {
    if (gone || bytes > kMaxReplyBytes) {
      left.push_back(message.receipt_handle);
      continue;
    }
    v1::Message* out = response_->add_messages();
    EncodeReceivedMessage(message, out);
    bytes += out->ByteSizeLong() + 8;  // and its tag and length
    if (bytes > kMaxReplyBytes && !replied_.empty()) {
      response_->mutable_messages()->RemoveLast();
      left.push_back(message.receipt_handle);
    } else {
      replied_.push_back(message.receipt_handle);
    }
  }
  if (!left.empty()) queue_.ReturnUndelivered(left);
  return refused;
}

void ReceiveCall::OnCancel() {
  if (pending_ != nullptr) pending_->Cancel();
}

void ReceiveCall::OnDone() {
  // The reply was built, but could not be sent any more (I3: nobody has these handles).
  if (!replied_.empty() && context_->IsCancelled()) queue_.ReturnUndelivered(replied_);
  drains_->Remove(this);
  delete this;
}

}  // namespace barista::server
