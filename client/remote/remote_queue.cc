#include "client/remote/remote_queue.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/error.h"
#include "broker/base/callback.h"
#include "broker/message/attributes.h"
#include "broker/message/validation.h"
#include "client/remote/remote_call.h"
#include "client/remote/remote_consumer.h"
#include "client/remote/text.h"
#include "client/remote/wire.h"

namespace barista::client {
namespace {

// The longest time that a receive waits by the queue's own setting (ReceiveMessageWaitTimeSeconds).
constexpr absl::Duration kMaxQueueWait = absl::Seconds(20);

// A send's rules but those that its queue sets, which the broker knows.
constexpr internal::MessageRules kAnyQueue{static_cast<int64_t>(kMaxMessageBytes),
                                           BodyCharset::kBinary};

absl::Status ValidateSend(const OutgoingMessage& message) {
  if (absl::Status status = internal::ValidateMessage(message, kAnyQueue); !status.ok()) {
    return status;
  }
  if (!message.sender_id.has_value()) return absl::OkStatus();
  return internal::InvalidParameter("SenderId", *message.sender_id,
                                    "it is set by the server, for the client's token.",
                                    "none through a server");
}

// The statuses of a call of `entries` entries, from its status and results.
template <typename Response>
std::vector<absl::Status> Statuses(size_t entries, const absl::Status& status,
                                   const Response& response) {
  // (A call of one entry that fails has the entry's error as its status.)
  if (!status.ok()) return std::vector<absl::Status>(entries, status);
  if (static_cast<size_t>(response.results_size()) != entries) {
    return std::vector<absl::Status>(
        entries, absl::InternalError(absl::StrCat("the broker answered ", response.results_size(),
                                                  " of ", entries, " entries")));
  }
  std::vector<absl::Status> statuses;
  statuses.reserve(entries);
  for (const v1::EntryResult& result : response.results()) {
    statuses.push_back(result.has_error() ? DecodeError(result.error()) : absl::OkStatus());
  }
  return statuses;
}

std::vector<absl::Status> Repeat(const absl::Status& status, size_t n) {
  return std::vector<absl::Status>(std::max<size_t>(n, 1), status);
}

absl::StatusOr<std::vector<ReceivedMessage>> Decode(const v1::ReceiveMessageResponse& response) {
  std::vector<ReceivedMessage> messages;
  messages.reserve(static_cast<size_t>(response.messages_size()));
  for (const v1::Message& message : response.messages()) {
    absl::StatusOr<ReceivedMessage> decoded = DecodeReceivedMessage(message);
    if (!decoded.ok()) return decoded.status();
    messages.push_back(*std::move(decoded));
  }
  return messages;
}

// Starts the call and, if `wait`, waits for its callback.
template <typename Request, typename Response>
void CallForStatuses(const std::shared_ptr<Connection>& connection,
                     Method<Request, Response> method, Request request, size_t entries, bool wait,
                     Queue::StatusesCallback done) {
  Notification finished;
  StartCall(connection, method, std::move(request), Repeatable::kYes,
            [entries, done = std::move(done), finished = wait ? &finished : nullptr](
                const absl::Status& status, Response& response) mutable {
              RunCallback([&] { done(Statuses(entries, status, response)); });
              if (finished != nullptr) finished->Notify();
            });
  if (wait) finished.Wait();
}

}  // namespace

RemoteQueue::RemoteQueue(std::shared_ptr<Connection> connection, std::shared_ptr<SendPipe> sends,
                         const QueueDescription& description)
    : connection_(std::move(connection)),
      sends_(std::move(sends)),
      name_(description.name),
      maximum_message_size_(kMaxMessageBytes) {
  Remember(description.attributes);
}

void RemoteQueue::Remember(const QueueAttributes& attributes) {
  if (!attributes.maximum_message_size.has_value()) return;
  maximum_message_size_.store(static_cast<size_t>(*attributes.maximum_message_size),
                              std::memory_order_relaxed);
}

// ---- Messages ----

void RemoteQueue::SendBatch(absl::Span<const OutgoingMessage> messages, Wait wait,
                            Queue::SendCallback done) {
  if (absl::Status status = internal::ValidateSendBatch(messages); !status.ok()) {
    const size_t results = std::max<size_t>(messages.size(), 1);
    return RunCallback(
        [&] { done(std::vector<absl::StatusOr<SendResult>>(results, std::move(status))); });
  }
  auto batch = std::make_unique<client::SendBatch>();
  batch->queue = name_;
  batch->deadline = absl::Now() + connection_->options().timeout;
  batch->results.reserve(messages.size());
  batch->entries.reserve(messages.size());
  for (const OutgoingMessage& message : messages) {
    absl::Status status = ValidateSend(message);
    if (status.ok()) {
      auto entry = std::make_unique<v1::SendMessageEntry>();
      EncodeEntry(message, entry.get());
      batch->entries.push_back({batch->results.size(), MessageSize(message), std::move(entry)});
      status = absl::UnknownError("not told yet");
    }
    batch->results.push_back(std::move(status));
  }
  if (batch->entries.empty()) {
    return RunCallback([&] { done(std::move(batch->results)); });
  }
  if (wait == Wait::kNo) {
    batch->done = std::move(done);
    return sends_->Send(std::move(batch), /*wait=*/false);
  }
  Notification finished;
  batch->done = [&](std::vector<absl::StatusOr<SendResult>> results) {
    done(std::move(results));
    finished.Notify();
  };
  sends_->Send(std::move(batch), /*wait=*/true);
  finished.Wait();
}

std::shared_ptr<PendingReceive> RemoteQueue::StartReceive(const ReceiveOptions& options,
                                                          Queue::ReceiveCallback done) {
  v1::ReceiveMessageRequest request;
  request.set_queue(name_);
  request.set_max_messages(options.max_messages);
  if (options.max_bytes != std::numeric_limits<int64_t>::max()) {
    request.set_max_bytes(options.max_bytes);
  }
  if (options.wait) EncodeDuration(*options.wait, request.mutable_wait());
  if (options.visibility_timeout) {
    EncodeDuration(*options.visibility_timeout, request.mutable_visibility_timeout());
  }
  using Call = UnaryCall<v1::ReceiveMessageRequest, v1::ReceiveMessageResponse>;
  auto call = std::make_shared<Call>(
      connection_,
      Method<v1::ReceiveMessageRequest, v1::ReceiveMessageResponse>(&QueueApi::ReceiveMessage),
      std::move(request), Repeatable::kYes, RemoteCall::AtClose::kGiveUp,
      connection_->options().timeout + options.wait.value_or(kMaxQueueWait),
      [done = std::move(done)](const absl::Status& status,
                               const v1::ReceiveMessageResponse& response) mutable {
        RunCallback([&] {
          if (status.ok()) {
            done(Decode(response));
          } else {
            done(status);
          }
        });
      });
  call->Start();
  return call;
}

std::shared_ptr<PendingReceive> RemoteQueue::ReceiveAsync(const ReceiveOptions& options,
                                                          Queue::ReceiveCallback done) {
  class Ended final : public PendingReceive {
    void Cancel() override {}
  };
  if (absl::Status status = internal::ValidateReceive(options); !status.ok()) {
    RunCallback([&] { done(std::move(status)); });
    return std::make_shared<Ended>();
  }
  return StartReceive(options, std::move(done));
}

absl::StatusOr<std::vector<ReceivedMessage>> RemoteQueue::Receive(const ReceiveOptions& options) {
  if (absl::Status status = internal::ValidateReceive(options); !status.ok()) return status;
  Notification finished;
  absl::StatusOr<std::vector<ReceivedMessage>> result;
  StartReceive(options, [&](absl::StatusOr<std::vector<ReceivedMessage>> received) {
    result = std::move(received);
    finished.Notify();
  });
  finished.Wait();
  return result;
}

absl::StatusOr<std::shared_ptr<internal::ConsumerState>> RemoteQueue::Consume(
    const ConsumeOptions& options) {
  if (absl::Status status = internal::ValidateConsume(options); !status.ok()) return status;
  auto consumer = std::make_shared<RemoteConsumer>(connection_, name_, options);
  if (absl::Status status = consumer->Begin(); !status.ok()) return status;
  return consumer;
}

void RemoteQueue::ReturnUndelivered(absl::Span<const ReceiptHandle> handles) {
  for (size_t first = 0; first < handles.size(); first += kMaxBatchEntries) {
    v1::ChangeMessageVisibilityRequest request;
    request.set_queue(name_);
    for (const ReceiptHandle& handle : handles.subspan(first, kMaxBatchEntries)) {
      v1::ChangeMessageVisibilityEntry& entry = *request.add_entries();
      entry.set_receipt_handle(handle.ToString());
      entry.set_undelivered(true);
    }
    // Not again: a later attempt could meet the next receive's handle.
    StartCall(connection_,
              Method<v1::ChangeMessageVisibilityRequest, v1::ChangeMessageVisibilityResponse>(
                  &QueueApi::ChangeMessageVisibility),
              std::move(request), Repeatable::kNo,
              [](const absl::Status&, const v1::ChangeMessageVisibilityResponse&) {});
  }
}

void RemoteQueue::DeleteBatch(absl::Span<const ReceiptHandle> handles, Wait wait,
                              Queue::StatusesCallback done) {
  if (absl::Status status =
          internal::ValidateBatch(handles.size(), "DeleteMessageBatchRequestEntry");
      !status.ok()) {
    return RunCallback([&] { done(Repeat(status, handles.size())); });
  }
  v1::DeleteMessageRequest request;
  request.set_queue(name_);
  for (const ReceiptHandle& handle : handles) request.add_receipt_handles(handle.ToString());
  CallForStatuses<v1::DeleteMessageRequest, v1::DeleteMessageResponse>(
      connection_, &QueueApi::DeleteMessage, std::move(request), handles.size(), wait == Wait::kYes,
      std::move(done));
}

void RemoteQueue::ChangeVisibilityBatch(absl::Span<const VisibilityChange> changes, Wait wait,
                                        Queue::StatusesCallback done) {
  absl::Status whole =
      internal::ValidateBatch(changes.size(), "ChangeMessageVisibilityBatchRequestEntry");
  if (!whole.ok()) {
    return RunCallback([&] { done(Repeat(whole, changes.size())); });
  }
  // Those that are out of range are refused here: not every duration can be sent.
  std::vector<absl::Status> results(changes.size());
  std::vector<size_t> places;
  v1::ChangeMessageVisibilityRequest request;
  request.set_queue(name_);
  for (size_t i = 0; i < changes.size(); ++i) {
    results[i] = internal::ValidateVisibilityTimeout(changes[i].visibility_timeout);
    if (!results[i].ok()) continue;
    places.push_back(i);
    v1::ChangeMessageVisibilityEntry& entry = *request.add_entries();
    entry.set_receipt_handle(changes[i].receipt_handle.ToString());
    EncodeDuration(changes[i].visibility_timeout, entry.mutable_visibility_timeout());
    entry.set_last_receive_only(changes[i].last_receive_only);
  }
  if (places.empty()) {
    return RunCallback([&] { done(std::move(results)); });
  }
  const size_t entries = places.size();
  CallForStatuses<v1::ChangeMessageVisibilityRequest, v1::ChangeMessageVisibilityResponse>(
      connection_, &QueueApi::ChangeMessageVisibility, std::move(request), entries,
      wait == Wait::kYes,
      [results = std::move(results), places = std::move(places),
       done = std::move(done)](std::vector<absl::Status> sent) mutable {
        for (size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(sent[i]);
        done(std::move(results));
      });
}

absl::Status RemoteQueue::Purge() {
  v1::PurgeQueueRequest request;
  request.set_queue(name_);
  return CallAndWait<v1::PurgeQueueRequest, v1::PurgeQueueResponse>(
             connection_, &QueueApi::PurgeQueue, std::move(request), Repeatable::kNo)
      .status();
}

absl::StatusOr<std::vector<PeekedMessage>> RemoteQueue::Peek(const PeekOptions& options) {
  if (options.max_messages < 1 || options.max_messages > kMaxReceiveMessages) {
    return internal::InvalidParameter("MaxNumberOfMessages", absl::StrCat(options.max_messages),
                                      "Must be between 1 and 1000.", "1 to 1000");
  }
  v1::PeekMessagesRequest request;
  request.set_queue(name_);
  request.set_max_messages(options.max_messages);
  const absl::StatusOr<v1::PeekMessagesResponse> response =
      CallAndWait<v1::PeekMessagesRequest, v1::PeekMessagesResponse>(
          connection_, &QueueApi::PeekMessages, std::move(request), Repeatable::kYes);
  if (!response.ok()) return response.status();
  std::vector<PeekedMessage> messages;
  messages.reserve(static_cast<size_t>(response->messages_size()));
  for (const v1::PeekedMessage& message : response->messages()) {
    absl::StatusOr<PeekedMessage> decoded = DecodePeekedMessage(message);
    if (!decoded.ok()) return decoded.status();
    messages.push_back(*std::move(decoded));
  }
  return messages;
}

// ---- Definition ----

absl::StatusOr<QueueDescription> RemoteQueue::Describe() {
  v1::GetQueueRequest request;
  request.set_queue(name_);
  const absl::StatusOr<v1::GetQueueResponse> response =
      CallAndWait<v1::GetQueueRequest, v1::GetQueueResponse>(connection_, &QueueApi::GetQueue,
                                                             std::move(request), Repeatable::kYes);
  if (!response.ok()) return response.status();
  absl::StatusOr<QueueDescription> description = DecodeDescription(response->queue());
  if (description.ok()) Remember(description->attributes);
  return description;
}

absl::Status RemoteQueue::SetAttributes(const QueueAttributes& attributes) {
  if (absl::Status status = internal::ValidateQueueAttributes(attributes); !status.ok()) {
    return status;
  }
  v1::SetQueueAttributesRequest request;
  request.set_queue(name_);
  if (absl::Status status = EncodeAttributes(attributes, request.mutable_attributes());
      !status.ok()) {
    return status;
  }
  absl::Status status =
      CallAndWait<v1::SetQueueAttributesRequest, v1::SetQueueAttributesResponse>(
          connection_, &QueueApi::SetQueueAttributes, std::move(request), Repeatable::kYes)
          .status();
  if (status.ok()) Remember(attributes);
  return status;
}

absl::Status RemoteQueue::Tag(const QueueTags& tags) {
  v1::TagQueueRequest request;
  request.set_queue(name_);
  if (absl::Status status = EncodeTags(tags, request.mutable_tags()); !status.ok()) return status;
  return CallAndWait<v1::TagQueueRequest, v1::TagQueueResponse>(
             connection_, &QueueApi::TagQueue, std::move(request), Repeatable::kYes)
      .status();
}

absl::Status RemoteQueue::Untag(absl::Span<const std::string> keys) {
  v1::UntagQueueRequest request;
  request.set_queue(name_);
  // (No queue has a tag with another key.)
  for (const std::string& key : keys) {
    if (IsText(key)) request.add_tag_keys(key);
  }
  return CallAndWait<v1::UntagQueueRequest, v1::UntagQueueResponse>(
             connection_, &QueueApi::UntagQueue, std::move(request), Repeatable::kYes)
      .status();
}

}  // namespace barista::client
