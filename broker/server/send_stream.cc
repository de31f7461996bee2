#include "broker/server/send_stream.h"

#include <utility>

#include "barista/error.h"
#include "broker/server/batch_reply.h"
#include "broker/server/frame_codec.h"
#include "broker/server/grpc_status.h"
#include "broker/server/message_codec.h"

namespace barista::server {

SendStream::SendStream(Broker* broker, StreamAccess access, const Server& server)
    : StreamReactor(server),
      broker_(broker),
      access_(std::move(access)),
      queue_(absl::UnknownError("no queue yet")) {}

void SendStream::Address(const std::string& name) {
  if (name.empty() || name == queue_name_) {
    // (A queue may have come since it was not there.)
    if (queue_.ok() || queue_name_.empty()) return;
  } else {
    queue_name_ = name;
  }
  error_ = access_.CheckQueue(queue_name_);
  if (error_.ok()) queue_ = broker_->GetQueue(queue_name_);
}

void SendStream::OnRequest(grpc::ByteBuffer* bytes) {
  if (!error_.ok() || gone()) return;
  SendFrame frame;
  if (!frame.Read(bytes)) {
    error_ = MalformedRequest();
    return;
  }
  const v1::SendStreamRequest& request = frame.request();
  ++requests_;
  if (!begun_) {
    begun_ = true;
    want_results_ = request.results();
    if (request.queue().empty()) {
      error_ = MakeError(absl::StatusCode::kInvalidArgument,
                         "The first request must contain the parameter QueueName.",
                         {.reason = "MissingParameter", .field = "QueueName"});
      return;
    }
  }
  Address(request.queue());
  if (!error_.ok() || frame.decoded().empty()) return;
  error_ = CheckEntries(static_cast<int>(frame.decoded().size()));
  if (!error_.ok()) return;

  Batch& batch = batches_.emplace_back();
  batch.request = requests_;
  batch.first = next_entry_;
  batch.count = frame.decoded().size();
  batch.bytes = bytes->Length();
  next_entry_ += batch.count;
  untold_entries_ += batch.count;
  untold_bytes_ += batch.bytes;
  Send(&batch, &frame);
}

void SendStream::Send(Batch* batch, SendFrame* frame) {
  batch->refused = queue_.status();
  batch->settled = true;
  if (!batch->refused.ok()) return;
  batch->decoded = frame->TakeDecoded();
  if (frame->messages().empty()) return;
  batch->settled = false;
  queue_->SendBatchAsync(frame->messages(), [self = shared_from_this(), batch](auto results) {
    self->PostFromEngine([batch, results = std::move(results)](SendStream& stream) mutable {
      // A queue of the name may come again.
      if (absl::IsNotFound(results.front().status())) stream.queue_ = results.front().status();
      batch->results = std::move(results);
      batch->settled = true;
    });
  });
}

void SendStream::OnWritten(bool) {
  untold_entries_ -= writing_entries_;
  untold_bytes_ -= writing_bytes_;
  writing_entries_ = 0;
  writing_bytes_ = 0;
}

bool SendStream::WantsRequest() const {
  return error_.ok() && !draining() && untold_entries_ < kMaxUntoldEntries &&
         untold_bytes_ < kMaxUntoldBytes;
}

bool SendStream::FillResponse(grpc::ByteBuffer* bytes) {
  const uint64_t before = settled_;
  v1::SendStreamResponse response;
  while (!batches_.empty() && batches_.front().settled &&
         response.results_size() < kMaxFailuresPerResponse &&
         response.failures_size() < kMaxFailuresPerResponse) {
    const Batch& batch = batches_.front();
    Tell(batch, &response);
    settled_ += batch.count;
    writing_entries_ += batch.count;
    writing_bytes_ += batch.bytes;
    batches_.pop_front();
  }
  if (settled_ == before) return false;
  response.set_settled(settled_);
  ToByteBuffer(response, bytes);
  return true;
}

void SendStream::Tell(const Batch& batch, v1::SendStreamResponse* response) {
  StreamFailures failures;
  if (!batch.refused.ok()) {
    AddFailure(batch.request, batch.first, batch.count, batch.refused, &failures);
  }
  size_t next = 0;
  for (uint64_t i = 0; i < batch.count; ++i) {
    v1::SendMessageResult* out = want_results_ ? response->add_results() : nullptr;
    if (!batch.refused.ok()) continue;
    const absl::StatusOr<SendResult>* result =
        batch.decoded[i].ok() ? &batch.results[next++] : nullptr;
    const absl::Status& status = result == nullptr ? batch.decoded[i] : result->status();
    if (!status.ok()) {
      AddFailure(batch.request, batch.first + i, 1, status, &failures);
    } else if (out != nullptr) {
      EncodeSendResult(**result, out);
    }
  }
  for (v1::StreamFailure& failure : failures) *response->add_failures() = std::move(failure);
}

std::optional<grpc::Status> SendStream::End() const {
  if (gone()) return grpc::Status::CANCELLED;
  if (writing() || !batches_.empty()) return std::nullopt;
  if (!error_.ok()) return ToGrpcStatus(error_);
  if (closed()) return grpc::Status::OK;
  if (draining()) return ToGrpcStatus(ServerDraining());
  return std::nullopt;
}

}  // namespace barista::server
