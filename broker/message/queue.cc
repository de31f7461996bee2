// The blocking forms of a Queue: each is its callback form, waited for.

#include "barista/queue.h"

#include <utility>

#include "broker/base/callback.h"
#include "broker/message/queue_state.h"

namespace barista {
namespace {

using internal::QueueState;

// One status for every entry of a batch that was refused whole.
std::vector<absl::Status> Repeat(const absl::Status& status, size_t n) {
  return std::vector<absl::Status>(n == 0 ? 1 : n, status);
}

}  // namespace

const std::string& Queue::name() const { return state_->name(); }

std::vector<absl::StatusOr<SendResult>> Queue::SendBatch(
    absl::Span<const OutgoingMessage> messages) {
  std::vector<absl::StatusOr<SendResult>> results;
  if (absl::Status status = CheckMayBlock(); !status.ok()) {
    results.assign(messages.empty() ? 1 : messages.size(), status);
    return results;
  }
  state_->SendBatch(
      messages, QueueState::Wait::kYes,
      [&results](std::vector<absl::StatusOr<SendResult>> r) { results = std::move(r); });
  return results;
}

absl::StatusOr<SendResult> Queue::Send(const OutgoingMessage& message) {
  return SendBatch(absl::MakeConstSpan(&message, 1)).front();
}

void Queue::SendBatchAsync(absl::Span<const OutgoingMessage> messages, SendCallback done) {
  state_->SendBatch(messages, QueueState::Wait::kNo, std::move(done));
}

absl::StatusOr<std::vector<ReceivedMessage>> Queue::Receive(const ReceiveOptions& options) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return state_->Receive(options);
}

std::shared_ptr<PendingReceive> Queue::ReceiveAsync(const ReceiveOptions& options,
                                                    ReceiveCallback done) {
  return state_->ReceiveAsync(options, std::move(done));
}

void Queue::ReturnUndelivered(absl::Span<const ReceiptHandle> handles) {
  state_->ReturnUndelivered(handles);
}

absl::StatusOr<std::unique_ptr<Consumer>> Queue::Consume(const ConsumeOptions& options) {
  absl::StatusOr<std::shared_ptr<internal::ConsumerState>> state = state_->Consume(options);
  if (!state.ok()) return state.status();
  return std::make_unique<Consumer>(*std::move(state));
}

std::vector<absl::Status> Queue::DeleteBatch(absl::Span<const ReceiptHandle> handles) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return Repeat(status, handles.size());
  std::vector<absl::Status> statuses;
  state_->DeleteBatch(handles, QueueState::Wait::kYes,
                      [&statuses](std::vector<absl::Status> s) { statuses = std::move(s); });
  return statuses;
}

absl::Status Queue::Delete(const ReceiptHandle& handle) {
  return DeleteBatch(absl::MakeConstSpan(&handle, 1)).front();
}

void Queue::DeleteBatchAsync(absl::Span<const ReceiptHandle> handles, StatusesCallback done) {
  state_->DeleteBatch(handles, QueueState::Wait::kNo, std::move(done));
}

std::vector<absl::Status> Queue::ChangeMessageVisibilityBatch(
    absl::Span<const VisibilityChange> changes) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return Repeat(status, changes.size());
  std::vector<absl::Status> statuses;
  state_->ChangeVisibilityBatch(
      changes, QueueState::Wait::kYes,
      [&statuses](std::vector<absl::Status> s) { statuses = std::move(s); });
  return statuses;
}

absl::Status Queue::ChangeMessageVisibility(const ReceiptHandle& handle, absl::Duration timeout) {
  const VisibilityChange change{handle, timeout};
  return ChangeMessageVisibilityBatch(absl::MakeConstSpan(&change, 1)).front();
}

void Queue::ChangeMessageVisibilityBatchAsync(absl::Span<const VisibilityChange> changes,
                                              StatusesCallback done) {
  state_->ChangeVisibilityBatch(changes, QueueState::Wait::kNo, std::move(done));
}

absl::Status Queue::Purge() {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return state_->Purge();
}
absl::StatusOr<std::vector<PeekedMessage>> Queue::Peek(const PeekOptions& options) {
  return state_->Peek(options);
}
absl::StatusOr<QueueDescription> Queue::Describe() { return state_->Describe(); }
size_t Queue::maximum_message_size() const { return state_->maximum_message_size(); }

absl::Status Queue::SetAttributes(const QueueAttributes& attributes) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return state_->SetAttributes(attributes);
}
absl::Status Queue::Tag(const QueueTags& tags) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return state_->Tag(tags);
}
absl::Status Queue::Untag(absl::Span<const std::string> keys) {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return state_->Untag(keys);
}

}  // namespace barista
