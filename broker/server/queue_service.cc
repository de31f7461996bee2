#include "broker/server/queue_service.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/server/admin_call.h"
#include "broker/server/batch_reply.h"
#include "broker/server/consume_stream.h"
#include "broker/server/grpc_caller.h"
#include "broker/server/grpc_status.h"
#include "broker/server/message_codec.h"
#include "broker/server/send_stream.h"
#include "broker/server/stream_access.h"
#include "broker/server/text.h"
#include "broker/server/trace_metadata.h"
#include "broker/server/unary_handler.h"
#include "broker/server/visibility_entries.h"

namespace barista::server {
namespace {

using TextMap = google::protobuf::Map<std::string, std::string>;

std::map<std::string, std::string> DecodeMap(const TextMap& map) {
  return std::map<std::string, std::string>(map.begin(), map.end());
}

void EncodeMap(const std::map<std::string, std::string>& from, TextMap* to) {
  for (const auto& [key, value] : from) (*to)[ToUtf8(key)] = ToUtf8(value);
}

}  // namespace

QueueService::QueueService(Broker* broker, Executor* executor, Access* access, DrainList* drains,
                           GrpcCalls* calls)
    : broker_(broker), executor_(executor), access_(access), drains_(drains), calls_(calls) {
  Serve("CreateQueue", &QueueService::CreateQueue);
  Serve("GetQueue", &QueueService::GetQueue);
  Serve("SetQueueAttributes", &QueueService::SetQueueAttributes);
  Serve("DeleteQueue", &QueueService::DeleteQueue);
  Serve("ListQueues", &QueueService::ListQueues);
  Serve("PurgeQueue", &QueueService::PurgeQueue);
  Serve("TagQueue", &QueueService::TagQueue);
  Serve("UntagQueue", &QueueService::UntagQueue);
  Serve("SendMessage", &QueueService::SendMessage);
  Serve("ReceiveMessage", &QueueService::ReceiveMessage);
  Serve("DeleteMessage", &QueueService::DeleteMessage);
  Serve("ChangeMessageVisibility", &QueueService::ChangeMessageVisibility);
  Serve("PeekMessages", &QueueService::PeekMessages);
}

template <typename Request, typename Response>
void QueueService::Serve(const std::string& method,
                         Reactor* (QueueService::*handle)(Context*, const Request*, Response*)) {
  const std::string full_name = absl::StrCat(v1::QueueService::service_full_name(), "/", method);
  const auto refuse = [this, full_name](Context* context) {
    const Unary unary = Begin(context, full_name);
    // It names no queue that could be looked at.
    const absl::Status allowed = Check(*context, "MalformedRequest", "");
    return unary.FinishNow(allowed.ok() ? MalformedRequest() : allowed);
  };
  MarkMethodCallback(
      IndexOfMethod(v1::QueueService::service_full_name(), method),
      new UnaryHandler<Request, Response>(
          [this, handle](Context* context, const Request* request, Response* response) {
            return (this->*handle)(context, request, response);
          },
          refuse));
}

QueueService::Unary QueueService::Begin(Context* context, absl::string_view method,
                                        absl::string_view queue) const {
  return {context->DefaultReactor(), calls_->Begin(context, method, queue)};
}

QueueService::Reactor* QueueService::Unary::FinishNow(const absl::Status& status) const {
  Finish(ToGrpcStatus(status));
  return reactor;
}

absl::Status QueueService::Check(const Context& context, absl::string_view action,
                                 absl::string_view queue) {
  return access_->Check(GrpcCaller(context), action, queue);
}

absl::Status QueueService::CheckRedrive(const Context& context, absl::string_view action,
                                        const QueueAttributes& attributes) {
  if (!attributes.redrive_policy.has_value()) return absl::OkStatus();
  const std::string& target = attributes.redrive_policy->dead_letter_queue;
  return target.empty() ? absl::OkStatus() : Check(context, action, target);
}

QueueService::Reactor* QueueService::Submit(Unary unary, absl::AnyInvocable<absl::Status()> work) {
  const bool accepted =
      executor_->TrySubmit([unary, work = std::move(work)]() mutable { unary.FinishNow(work()); });
  if (!accepted) unary.FinishNow(ServerBusy());
  return unary.reactor;
}

absl::Status QueueService::Describe(Queue queue, v1::Queue* out) const {
  const absl::StatusOr<QueueDescription> description = queue.Describe();
  if (!description.ok()) return description.status();
  out->set_name(description->name);
  out->set_arn(description->arn);
  out->set_url(absl::StrCat(url_prefix_, description->name));
  EncodeMap(FormatQueueAttributes(*description), out->mutable_attributes());
  EncodeMap(description->tags, out->mutable_tags());
  return absl::OkStatus();
}

// ---- Definition ----

QueueService::Reactor* QueueService::CreateQueue(Context* context,
                                                 const v1::CreateQueueRequest* request,
                                                 v1::CreateQueueResponse* response) {
  const Unary unary = Begin(context, "barista.v1.QueueService/CreateQueue", request->queue());
  const absl::Status allowed = Check(*context, "CreateQueue", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this]() -> absl::Status {
    const absl::StatusOr<QueueAttributes> attributes =
        ParseQueueAttributes(DecodeMap(request->attributes()));
    if (!attributes.ok()) return attributes.status();
    absl::Status redrive = CheckRedrive(*context, "CreateQueue", *attributes);
    if (!redrive.ok()) return redrive;
    const absl::StatusOr<Queue> queue =
        broker_->CreateQueue(request->queue(), *attributes, DecodeMap(request->tags()));
    if (!queue.ok()) return queue.status();
    return Describe(*queue, response->mutable_queue());
  });
}

QueueService::Reactor* QueueService::GetQueue(Context* context, const v1::GetQueueRequest* request,
                                              v1::GetQueueResponse* response) {
  const Unary unary = Begin(context, "barista.v1.QueueService/GetQueue", request->queue());
  const absl::Status allowed = Check(*context, "GetQueue", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this]() -> absl::Status {
    const absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
    if (!queue.ok()) return queue.status();
    return Describe(*queue, response->mutable_queue());
  });
}

QueueService::Reactor* QueueService::SetQueueAttributes(
    Context* context, const v1::SetQueueAttributesRequest* request,
    v1::SetQueueAttributesResponse*) {
  const Unary unary =
      Begin(context, "barista.v1.QueueService/SetQueueAttributes", request->queue());
  const absl::Status allowed = Check(*context, "SetQueueAttributes", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this]() -> absl::Status {
    const absl::StatusOr<QueueAttributes> attributes =
        ParseQueueAttributes(DecodeMap(request->attributes()));
    if (!attributes.ok()) return attributes.status();
    absl::Status redrive = CheckRedrive(*context, "SetQueueAttributes", *attributes);
    if (!redrive.ok()) return redrive;
    absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
    if (!queue.ok()) return queue.status();
    return queue->SetAttributes(*attributes);
  });
}

QueueService::Reactor* QueueService::DeleteQueue(Context* context,
                                                 const v1::DeleteQueueRequest* request,
                                                 v1::DeleteQueueResponse*) {
  const Unary unary = Begin(context, "barista.v1.QueueService/DeleteQueue", request->queue());
  const absl::Status allowed = Check(*context, "DeleteQueue", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this] { return broker_->DeleteQueue(request->queue()); });
}

QueueService::Reactor* QueueService::ListQueues(Context* context,
                                                const v1::ListQueuesRequest* request,
                                                v1::ListQueuesResponse* response) {
  const Unary unary = Begin(context, "barista.v1.QueueService/ListQueues");
  const absl::Status allowed = Check(*context, "ListQueues", request->prefix());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this]() -> absl::Status {
    ListQueuesOptions options;
    options.prefix = request->prefix();
    if (request->max_results() != 0) options.max_results = request->max_results();
    options.next_token = request->next_token();
    const absl::StatusOr<ListQueuesResult> page = broker_->ListQueues(options);
    if (!page.ok()) return page.status();
    for (const std::string& name : page->names) response->add_queues(name);
    response->set_next_token(page->next_token);
    return absl::OkStatus();
  });
}

QueueService::Reactor* QueueService::PurgeQueue(Context* context,
                                                const v1::PurgeQueueRequest* request,
                                                v1::PurgeQueueResponse*) {
  const Unary unary = Begin(context, "barista.v1.QueueService/PurgeQueue", request->queue());
  const absl::Status allowed = Check(*context, "PurgeQueue", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this]() -> absl::Status {
    absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
    if (!queue.ok()) return queue.status();
    return queue->Purge();
  });
}

QueueService::Reactor* QueueService::TagQueue(Context* context, const v1::TagQueueRequest* request,
                                              v1::TagQueueResponse*) {
  const Unary unary = Begin(context, "barista.v1.QueueService/TagQueue", request->queue());
  const absl::Status allowed = Check(*context, "TagQueue", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this]() -> absl::Status {
    absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
    if (!queue.ok()) return queue.status();
    return queue->Tag(DecodeMap(request->tags()));
  });
}

QueueService::Reactor* QueueService::UntagQueue(Context* context,
                                                const v1::UntagQueueRequest* request,
                                                v1::UntagQueueResponse*) {
  const Unary unary = Begin(context, "barista.v1.QueueService/UntagQueue", request->queue());
  const absl::Status allowed = Check(*context, "UntagQueue", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  return Submit(unary, [=, this]() -> absl::Status {
    absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
    if (!queue.ok()) return queue.status();
    return queue->Untag(
        std::vector<std::string>(request->tag_keys().begin(), request->tag_keys().end()));
  });
}

// ---- Messages ----

QueueService::Reactor* QueueService::SendMessage(Context* context,
                                                 const v1::SendMessageRequest* request,
                                                 v1::SendMessageResponse* response) {
  const Unary unary = Begin(context, "barista.v1.QueueService/SendMessage", request->queue());
  const absl::Status allowed = Check(*context, "SendMessage", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
  if (!queue.ok()) return unary.FinishNow(queue.status());
  const absl::Status checked = CheckEntries(request->entries_size());
  if (!checked.ok()) return unary.FinishNow(checked);

  std::vector<OutgoingMessage> messages;
  std::vector<absl::Status> decoded;
  messages.reserve(request->entries_size());
  decoded.reserve(request->entries_size());
  for (const v1::SendMessageEntry& entry : request->entries()) {
    absl::StatusOr<OutgoingMessage> message = DecodeEntry(entry);
    decoded.push_back(message.status());
    if (message.ok()) messages.push_back(*std::move(message));
  }
  if (const auto trace = TraceContextOf(context->client_metadata()); trace.has_value()) {
    AddTraceContext(*trace, queue->maximum_message_size(), &messages);
  }
  if (messages.empty()) {
    unary.Finish(ReplySends(decoded, {}, response));
    return unary.reactor;
  }
  queue->SendBatchAsync(messages, [unary, response, decoded = std::move(decoded)](auto results) {
    unary.Finish(ReplySends(decoded, results, response));
  });
  return unary.reactor;
}

QueueService::Reactor* QueueService::ReceiveMessage(Context* context,
                                                    const v1::ReceiveMessageRequest* request,
                                                    v1::ReceiveMessageResponse* response) {
  const GrpcCall counted =
      calls_->Begin(context, "barista.v1.QueueService/ReceiveMessage", request->queue());
  const absl::Status allowed = Check(*context, "ReceiveMessage", request->queue());
  if (!allowed.ok()) return Unary{context->DefaultReactor(), counted}.FinishNow(allowed);
  absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
  if (!queue.ok()) return Unary{context->DefaultReactor(), counted}.FinishNow(queue.status());
  auto* call =
      new ReceiveCall(context, request, response, access_, drains_, counted);  // deletes itself
  call->Start(*std::move(queue));
  return call;
}

QueueService::Reactor* QueueService::DeleteMessage(Context* context,
                                                   const v1::DeleteMessageRequest* request,
                                                   v1::DeleteMessageResponse* response) {
  const Unary unary = Begin(context, "barista.v1.QueueService/DeleteMessage", request->queue());
  const absl::Status allowed = Check(*context, "DeleteMessage", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
  if (!queue.ok()) return unary.FinishNow(queue.status());
  const absl::Status checked = CheckEntries(request->receipt_handles_size());
  if (!checked.ok()) return unary.FinishNow(checked);

  std::vector<ReceiptHandle> handles;
  std::vector<absl::Status> decoded;
  handles.reserve(request->receipt_handles_size());
  decoded.reserve(request->receipt_handles_size());
  for (const std::string& text : request->receipt_handles()) {
    const absl::StatusOr<ReceiptHandle> handle = ReceiptHandle::Parse(text);
    decoded.push_back(handle.status());
    if (handle.ok()) handles.push_back(*handle);
  }
  if (handles.empty()) {
    unary.Finish(ReplyStatuses(decoded, {}, response));
    return unary.reactor;
  }
  queue->DeleteBatchAsync(handles, [unary, response, decoded = std::move(decoded)](auto results) {
    unary.Finish(ReplyStatuses(decoded, results, response));
  });
  return unary.reactor;
}

QueueService::Reactor* QueueService::ChangeMessageVisibility(
    Context* context, const v1::ChangeMessageVisibilityRequest* request,
    v1::ChangeMessageVisibilityResponse* response) {
  const Unary unary =
      Begin(context, "barista.v1.QueueService/ChangeMessageVisibility", request->queue());
  const absl::Status allowed = Check(*context, "ChangeMessageVisibility", request->queue());
  if (!allowed.ok()) return unary.FinishNow(allowed);
  absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
  if (!queue.ok()) return unary.FinishNow(queue.status());
  const absl::Status checked = CheckEntries(request->entries_size());
  if (!checked.ok()) return unary.FinishNow(checked);

  VisibilityEntries entries(*request);
  if (!entries.undelivered().empty()) queue->ReturnUndelivered(entries.undelivered());
  if (entries.changes().empty()) {
    unary.Finish(ReplyStatuses(entries.decoded(), entries.ResultsWith({}), response));
    return unary.reactor;
  }
  const std::vector<VisibilityChange> changes = entries.changes();
  queue->ChangeMessageVisibilityBatchAsync(
      changes, [unary, response, entries = std::move(entries)](auto results) {
        unary.Finish(
            ReplyStatuses(entries.decoded(), entries.ResultsWith(std::move(results)), response));
      });
  return unary.reactor;
}

QueueService::Reactor* QueueService::PeekMessages(Context* context,
                                                  const v1::PeekMessagesRequest* request,
                                                  v1::PeekMessagesResponse* response) {
  // Deletes itself.
  auto* const call = new AdminCall(
      calls_->Begin(context, "barista.v1.QueueService/PeekMessages", request->queue()));
  const absl::Status allowed = Check(*context, "PeekMessages", request->queue());
  if (!allowed.ok()) {
    call->Refuse(allowed);
    return call;
  }
  call->Start(executor_, [=, this](const AdminCall::Cancelled&) -> absl::Status {
    absl::StatusOr<Queue> queue = broker_->GetQueue(request->queue());
    if (!queue.ok()) return queue.status();
    PeekOptions options;
    if (request->max_messages() != 0) options.max_messages = request->max_messages();
    const absl::StatusOr<std::vector<PeekedMessage>> messages = queue->Peek(options);
    if (!messages.ok()) return messages.status();
    // Before anything is copied: a refused reply holds no memory.
    size_t body_bytes = 0;
    for (const PeekedMessage& message : *messages) body_bytes += message.body.size();
    absl::StatusOr<std::optional<ClientLimit::Share>> room =
        access_->TakeReply(GrpcCaller(*context), std::min(body_bytes, kMaxReplyBytes));
    if (!room.ok()) return room.status();
    if (room->has_value()) call->Keep(**std::move(room));
    size_t bytes = 0;
    for (const PeekedMessage& message : *messages) {
      v1::PeekedMessage* out = response->add_messages();
      EncodePeekedMessage(message, out);
      bytes += out->ByteSizeLong() + 8;  // and its tag and length
      if (bytes > kMaxReplyBytes && response->messages_size() > 1) {
        response->mutable_messages()->RemoveLast();
        break;
      }
    }
    return absl::OkStatus();
  });
  return call;
}

// ---- Streams ----

RawStream* QueueService::SendStream(Context* context) {
  const GrpcCall counted = calls_->Begin(context, "barista.v1.QueueService/SendStream");
  StreamAccess access(access_, *context, "SendStream");
  if (absl::Status allowed = access.Open(); !allowed.ok()) {
    return new RefusedStream(allowed, counted);
  }
  return server::SendStream::Begin(std::make_shared<server::SendStream>(
      broker_, std::move(access), server::SendStream::Server{drains_, executor_, counted}));
}

RawStream* QueueService::ConsumeStream(Context* context) {
  const GrpcCall counted = calls_->Begin(context, "barista.v1.QueueService/ConsumeStream");
  StreamAccess access(access_, *context, "ConsumeStream");
  if (absl::Status allowed = access.Open(); !allowed.ok()) {
    return new RefusedStream(allowed, counted);
  }
  return server::ConsumeStream::Begin(std::make_shared<server::ConsumeStream>(
      broker_, std::move(access), server::ConsumeStream::Server{drains_, executor_, counted}));
}

}  // namespace barista::server
