#include "broker/server/consume_stream.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "barista/error.h"
#include "broker/server/delivery_frame.h"
#include "broker/server/frame_codec.h"
#include "broker/server/grpc_status.h"
#include "broker/server/message_codec.h"

namespace barista::server {
namespace {

constexpr absl::Duration kMaxWait = absl::Hours(1);  // of the engine's receives; then again
constexpr absl::Duration kMaxTimeout = absl::Hours(12);
constexpr absl::Duration kMinHeartbeatTimeout = absl::Seconds(1);
// Beats in a visibility timeout: one may be late.
constexpr int kBeats = 3;

absl::Status Wrong(const std::string& field, const std::string& value, const std::string& what,
                   const std::string& limit) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, absl::StrCat(field, " is ", value, ": ", what),
      {.reason = "InvalidParameterValue", .field = field, .value = value, .limit = limit});
}

// Calls `use(from, count)` for parts of `size` that one batch of the engine may have.
template <typename Use>
void InBatches(size_t size, Use use) {
  for (size_t from = 0; from < size; from += kMaxBatchEntries) {
    use(from, std::min(size - from, kMaxBatchEntries));
  }
}

// Of the stream's own receives: another consumer that has a message by now is left alone (I3).
VisibilityChange Change(const ReceiptHandle& handle, absl::Duration timeout) {
  return {handle, timeout, /*last_receive_only=*/true};
}

absl::StatusOr<absl::Duration> TimeoutOf(const google::protobuf::Duration& duration) {
  const auto timeout = DecodeDuration("VisibilityTimeout", duration);
  if (!timeout.ok()) return timeout.status();
  if (*timeout < absl::ZeroDuration() || *timeout > kMaxTimeout) {
    return Wrong("VisibilityTimeout", absl::FormatDuration(*timeout), "out of range", "0s to 12h");
  }
  return *timeout;
}

}  // namespace

ConsumeStream::ConsumeStream(Broker* broker, StreamAccess access, const Server& server)
    : StreamReactor(server), broker_(broker), access_(std::move(access)) {}

// ---- Requests ----

absl::Status ConsumeStream::Start(const v1::ConsumeStart& start) {
  absl::Status allowed = access_.CheckQueue(start.queue());
  if (!allowed.ok()) return allowed;
  absl::StatusOr<Queue> queue = broker_->GetQueue(start.queue());
  if (!queue.ok()) return queue.status();
  absl::StatusOr<QueueDescription> description = queue->Describe();
  if (!description.ok()) return description.status();
  absl::Duration timeout = description->attributes.visibility_timeout.value_or(absl::Seconds(30));
  if (start.has_visibility_timeout()) {
    const auto given = TimeoutOf(start.visibility_timeout());
    if (!given.ok()) return given.status();
    timeout = *given;
  }
  if (start.heartbeat() && timeout < kMinHeartbeatTimeout) {
    return Wrong("VisibilityTimeout", absl::FormatDuration(timeout),
                 "too short to be extended by a heartbeat", "1s to 12h with a heartbeat");
  }
  queue_ = *std::move(queue);
  options_.visibility_timeout = timeout;
  options_.wait = kMaxWait;
  heartbeat_ = start.heartbeat();
  receipt_handles_ = start.receipt_handles();
  return absl::OkStatus();
}

void ConsumeStream::OnRequest(grpc::ByteBuffer* bytes) {
  if (ending()) return;
  v1::ConsumeStreamRequest request;
  if (!FromByteBuffer(bytes, &request)) {
    error_ = MalformedRequest();
    return;
  }
  if (!begun_) {
    if (!request.has_start()) {
      error_ = MakeError(absl::StatusCode::kInvalidArgument,
                         "The first request must contain the parameter start.",
                         {.reason = "MissingParameter", .field = "start"});
      return;
    }
    error_ = Start(request.start());
    begun_ = error_.ok();
  } else if (request.has_start()) {
    error_ = Wrong("start", request.start().queue(), "the stream has begun already",
                   "in the first request only");
  }
  if (!error_.ok()) return;
  Asked asked;
  error_ = Read(request, &asked);
  if (error_.ok()) {
    Apply(std::move(asked));
  } else {
    // Nothing is done; all is released.
    open_.Reopen(asked.deletes);
    open_.Reopen(asked.releases);
  }
}

absl::Status ConsumeStream::Read(const v1::ConsumeStreamRequest& request, Asked* asked) {
  size_t budget = kMaxNamed;
  for (const v1::DeliveryRange& range : request.deletes()) {
    if (absl::Status status = open_.Take(range, &budget, &asked->deletes); !status.ok())
      return status;
  }
  for (const v1::DeliveryRelease& release : request.releases()) {
    const auto delay = TimeoutOf(release.delay());
    if (!delay.ok()) return delay.status();
    const size_t from = asked->releases.size();
    absl::Status status = open_.Take(release.deliveries(), &budget, &asked->releases);
    if (!status.ok()) return status;
    for (size_t i = from; i < asked->releases.size(); ++i)
      asked->changes.push_back(Change(asked->releases.handles[i], *delay));
  }
  for (const v1::DeliveryExtension& extension : request.extensions()) {
    if (!extension.has_visibility_timeout()) {
      return MakeError(absl::StatusCode::kInvalidArgument,
                       "The request must contain the parameter VisibilityTimeout.",
                       {.reason = "MissingParameter", .field = "VisibilityTimeout"});
    }
    const auto timeout = TimeoutOf(extension.visibility_timeout());
    if (!timeout.ok()) return timeout.status();
    const size_t from = asked->extensions.size();
    absl::Status status = open_.Find(extension.deliveries(), &budget, &asked->extensions);
    if (!status.ok()) return status;
    for (size_t i = from; i < asked->extensions.size(); ++i)
      asked->changes.push_back(Change(asked->extensions.handles[i], *timeout));
  }
  if (credit_ + open_.size() + request.credit() > kMaxCredit) {
    return Wrong(
        "credit", absl::StrCat(request.credit()),
        absl::StrCat("beside ", credit_, " not used and ", open_.size(), " open deliveries"),
        absl::StrCat(kMaxCredit, " together"));
  }
  credit_ += request.credit();
  return absl::OkStatus();
}

void ConsumeStream::Apply(Asked asked) {
  ++requests_;
  pending_.emplace_back();
  InBatches(asked.deletes.size(), [&](size_t from, size_t count) {
    queue_.DeleteBatchAsync(
        absl::MakeConstSpan(asked.deletes.handles).subspan(from, count),
        Settling(absl::MakeConstSpan(asked.deletes.numbers).subspan(from, count)));
  });
  std::vector<uint64_t> numbers = std::move(asked.releases.numbers);
  numbers.insert(numbers.end(), asked.extensions.numbers.begin(), asked.extensions.numbers.end());
  InBatches(numbers.size(), [&](size_t from, size_t count) {
    queue_.ChangeMessageVisibilityBatchAsync(
        absl::MakeConstSpan(asked.changes).subspan(from, count),
        Settling(absl::MakeConstSpan(numbers).subspan(from, count)));
  });
}

Queue::StatusesCallback ConsumeStream::Settling(absl::Span<const uint64_t> numbers) {
  ++pending_.back().settling;
  return [self = shared_from_this(), request = requests_,
          numbers = std::vector<uint64_t>(numbers.begin(), numbers.end())](
             std::vector<absl::Status> statuses) mutable {
    self->PostFromEngine([request, numbers = std::move(numbers),
                          statuses = std::move(statuses)](ConsumeStream& stream) {
      for (size_t i = 0; i < statuses.size(); ++i) {
        if (!statuses[i].ok()) AddFailure(request, numbers[i], 1, statuses[i], &stream.failures_);
      }
      // (Those before the first pending one are settled.)
      --stream.pending_[stream.pending_.size() - 1 - (stream.requests_ - request)].settling;
    });
  };
}

// ---- Delivering ----

void ConsumeStream::OnTurn() {
  if (ending()) {
    if (receive_ != nullptr) receive_->Cancel();
    Return(arrived_);
    arrived_.clear();
    ReleaseOpen();
    if (alarm_ != nullptr) alarm_->Cancel();
    return;
  }
  if (draining()) {
    if (receive_ != nullptr) receive_->Cancel();
  } else if (begun_ && !receiving_ && !writing() && arrived_.empty() && credit_ > 0) {
    Receive();
  }
}

void ConsumeStream::Receive() {
  options_.max_messages =
      static_cast<int>(std::min<uint64_t>(credit_, static_cast<uint64_t>(kMaxReceiveMessages)));
  options_.max_bytes = frame_bytes_;
  receiving_ = true;
  // (If it is answered at once, the event comes after this one.)
  receive_ = queue_.ReceiveAsync(options_, [self = shared_from_this()](auto received) {
    self->PostFromEngine([received = std::move(received)](ConsumeStream& stream) mutable {
      stream.OnReceived(std::move(received));
    });
  });
}

void ConsumeStream::OnReceived(absl::StatusOr<std::vector<ReceivedMessage>> received) {
  receiving_ = false;
  receive_ = nullptr;
  if (received.ok()) {
    arrived_ = *std::move(received);
    if (heartbeat_ && !arrived_.empty()) ArmHeartbeat();
    // Nothing comes after the news of the drain.
    if (draining()) {
      Return(arrived_);
      arrived_.clear();
    }
  } else if (!absl::IsCancelled(received.status()) && error_.ok()) {
    error_ = received.status();
  }
}

void ConsumeStream::Return(absl::Span<const ReceivedMessage> messages) {
  if (messages.empty()) return;
  std::vector<ReceiptHandle> handles;
  handles.reserve(messages.size());
  for (const ReceivedMessage& message : messages) handles.push_back(message.receipt_handle);
  queue_.ReturnUndelivered(handles);
}

bool ConsumeStream::FillResponse(grpc::ByteBuffer* bytes) {
  bool any = false;
  v1::ConsumeStreamResponse response;
  const bool deliver = !arrived_.empty() && !ending();
  if (deliver) {
    any = true;
    response.set_first_delivery(open_.next());
    written_first_ = open_.next();
    for (const ReceivedMessage& message : arrived_) open_.Add(message.receipt_handle);
    written_end_ = open_.next();
    credit_ -= arrived_.size();
  }
  for (int i = 0; !failures_.empty() && i < kMaxFailuresPerResponse; ++i) {
    any = true;
    *response.add_failures() = std::move(failures_.front());
    failures_.pop_front();
  }
  while (!pending_.empty() && pending_.front().settling == 0) pending_.pop_front();
  const uint64_t settled = requests_ - pending_.size();
  if (failures_.empty() && settled > settled_told_) {
    any = true;
    settled_told_ = settled;
  }
  response.set_settled(settled_told_);
  if (draining() && !draining_told_) any = draining_told_ = true;
  response.set_draining(draining());
  if (deliver) {
    *bytes = EncodeDeliveries(response, arrived_, receipt_handles_);
    arrived_.clear();
  } else if (any) {
    ToByteBuffer(response, bytes);
  }
  return any;
}

void ConsumeStream::OnWritten(bool ok) {
  if (ok) {
    if (written_end_ > written_first_) frame_bytes_ = std::min(2 * frame_bytes_, kMaxFrameBytes);
  } else {
    const Chosen lost = open_.TakeBetween(written_first_, written_end_);
    if (lost.size() > 0) queue_.ReturnUndelivered(lost.handles);
  }
  written_first_ = written_end_ = 0;
}

// ---- The end ----

void ConsumeStream::ReleaseOpen() {
  if (open_.size() == 0) return;
  const auto release = [this](const Chosen& chosen) {
    std::vector<VisibilityChange> changes;
    changes.reserve(chosen.size());
    for (const ReceiptHandle& handle : chosen.handles)
      changes.push_back(Change(handle, absl::ZeroDuration()));
    InBatches(changes.size(), [&](size_t from, size_t count) {
      ++releasing_;
      queue_.ChangeMessageVisibilityBatchAsync(
          absl::MakeConstSpan(changes).subspan(from, count),
          // (A message that is gone or another's by now needs no release.)
          [self = shared_from_this()](const std::vector<absl::Status>&) {
            self->PostFromEngine([](ConsumeStream& stream) { --stream.releasing_; });
          });
    });
  };
  if (!writing()) return release(open_.TakeBetween(0, open_.next()));
  // What is being written either leaves or does not: the end of the write tells.
  release(open_.TakeBetween(0, written_first_));
  release(open_.TakeBetween(written_end_, open_.next()));
}

std::optional<grpc::Status> ConsumeStream::End() const {
  if (gone()) return grpc::Status::CANCELLED;
  if (!ending() || writing() || receiving_ || releasing_ > 0 || !failures_.empty() ||
      open_.size() > 0)
    return std::nullopt;
  for (const Pending& pending : pending_) {
    if (pending.settling > 0) return std::nullopt;
  }
  if (!error_.ok()) return ToGrpcStatus(error_);
  return closed() ? grpc::Status::OK : ToGrpcStatus(ServerDraining());
}

// ---- Heartbeat ----

void ConsumeStream::ArmHeartbeat() {
  if (alarm_ != nullptr) return;
  alarm_ = std::make_unique<grpc::Alarm>();
  const absl::Duration period = *options_.visibility_timeout / kBeats;
  alarm_->Set(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(period),
              [self = shared_from_this()](bool) {
                self->Post([](ConsumeStream& stream) { stream.Beat(); });
              });
}

void ConsumeStream::Beat() {
  alarm_ = nullptr;
  if (ending()) return;
  std::vector<ReceiptHandle> handles = open_.Handles();
  for (const ReceivedMessage& message : arrived_) handles.push_back(message.receipt_handle);
  if (handles.empty()) return;
  ArmHeartbeat();
  if (beating_ > 0) return;  // The disk is slow; this beat is on its way.
  std::vector<VisibilityChange> changes;
  changes.reserve(handles.size());
  for (const ReceiptHandle& handle : handles)
    changes.push_back(Change(handle, *options_.visibility_timeout));
  InBatches(changes.size(), [&](size_t from, size_t count) {
    ++beating_;
    queue_.ChangeMessageVisibilityBatchAsync(
        absl::MakeConstSpan(changes).subspan(from, count),
        // (A message that is gone or another's by now needs no extension.)
        [self = shared_from_this()](const std::vector<absl::Status>&) {
          self->PostFromEngine([](ConsumeStream& stream) { --stream.beating_; });
        });
  });
}

}  // namespace barista::server
