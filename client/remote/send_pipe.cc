#include "client/remote/send_pipe.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/error.h"
#include "broker/base/callback.h"
#include "broker/message/queue_errors.h"
#include "client/remote/retry.h"
#include "client/remote/wire.h"

namespace barista::client {
namespace {

bool Again(const absl::Status& status) { return MayRetry(status, Repeatable::kNo); }

}  // namespace

// One SendStream. It has a hold of gRPC for as long as it may be written to from outside of its
// reactions: until its responses have ended and no write is under way.
class SendPipe::Stream final
    : public grpc::ClientBidiReactor<v1::SendStreamRequest, v1::SendStreamResponse> {
 public:
  explicit Stream(std::shared_ptr<SendPipe> pipe)
      : pipe_(std::move(pipe)), context_(std::make_unique<grpc::ClientContext>()) {
    // A send must not be repeated: it is not begun before somebody is there.
    context_->set_wait_for_ready(true);
  }

  void Begin(const v1::SendStreamRequest* first) {
    grpc::ClientContext* context;
    {
      MutexLock lock(&mutex_);
      context = context_.get();
    }
    pipe_->connection_->api()->SendStream(context, this);
    AddHold();
    StartRead(&response_);
    StartWrite(first);
    StartCall();
  }
  void GiveUp() {
    MutexLock lock(&mutex_);
    if (context_ != nullptr) context_->TryCancel();  // only asks
  }

  void OnWriteDone(bool ok) override { pipe_->OnWritten(this, ok); }
  void OnWritesDoneDone(bool ok) override { pipe_->OnWritten(this, ok); }
  void OnReadDone(bool ok) override {
    if (!ok) return pipe_->OnNoMoreResponses(this);
    pipe_->OnResponse(this, response_);
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    {
      // Has a share of the channel, which must not outlive the stream (Connection).
      std::unique_ptr<grpc::ClientContext> context;
      MutexLock lock(&mutex_);
      context = std::move(context_);
    }
    const std::shared_ptr<SendPipe> pipe = std::move(pipe_);
    pipe->OnEnd(pipe->connection_->ToStatus(status));  // may destroy *this
  }

 private:
  std::shared_ptr<SendPipe> pipe_;
  Mutex mutex_;
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);  // null after the end
  v1::SendStreamResponse response_;
};

SendPipe::SendPipe(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

// ---- In ----

bool SendPipe::HasRoom(const SendBatch& batch) const {
  return entries_ == 0 || (entries_ + batch.counted_entries <= kMaxEntries &&
                           bytes_ + batch.counted_bytes <= kMaxBytes);
}

absl::Status SendPipe::WaitForRoom(const SendBatch& batch, bool wait) {
  while (!closed_ && !HasRoom(batch)) {
    const absl::Duration left = batch.deadline - absl::Now();
    if (!wait) {
      const bool many = entries_ + batch.counted_entries > kMaxEntries;
      const std::string value = many ? absl::StrCat(entries_ + batch.counted_entries, " messages")
                                     : absl::StrCat(bytes_ + batch.counted_bytes, " bytes");
      const std::string limit =
          many ? absl::StrCat(kMaxEntries, " messages") : absl::StrCat(kMaxBytes, " bytes");
      return MakeError(absl::StatusCode::kResourceExhausted,
                       absl::StrCat("with this batch ", value,
                                    " would be on their way to the broker; limit ", limit),
                       {.reason = "IntakeFull", .value = value, .limit = limit});
    }
    if (left <= absl::ZeroDuration()) {
      return connection_->ToStatus(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, ""));
    }
    changed_.WaitFor(&mutex_, left);
  }
  return closed_ ? internal::BrokerClosed() : absl::OkStatus();
}

void SendPipe::Send(std::unique_ptr<SendBatch> batch, bool wait) {
  batch->counted_entries = batch->entries.size();
  batch->counted_bytes = batch->bytes();
  std::unique_ptr<SendBatch> refused;
  Step step;
  {
    MutexLock lock(&mutex_);
    if (const absl::Status status = WaitForRoom(*batch, wait); status.ok()) {
      entries_ += batch->counted_entries;
      bytes_ += batch->counted_bytes;
      Append(std::move(batch));
      step = NextStep();
    } else {
      batch->Fail(status);
      refused = std::move(batch);
    }
  }
  if (refused == nullptr) return Do(step);
  RunCallback([&] { refused->done(std::move(refused->results)); });
}

void SendPipe::Append(std::unique_ptr<SendBatch> batch) {
  ++batch->attempts;
  SendFrame*& open = open_[batch->queue];
  if (open == nullptr || !open->HasRoomFor(*batch)) {
    open = pending_.emplace_back(std::make_unique<SendFrame>(batch->queue)).get();
  }
  open->Add(std::move(batch));
}

bool SendPipe::Pause(std::unique_ptr<SendBatch>* batch) {
  const RetryPolicy& retry = connection_->options().retry;
  const absl::Time next = absl::Now() + Backoff(retry, (*batch)->attempts);
  if (closed_ || (*batch)->attempts >= retry.max_attempts || next >= (*batch)->deadline) {
    return false;
  }
  SendBatch* const key = batch->get();
  Paused& paused = paused_[key];
  paused.batch = std::move(*batch);
  paused.alarm = std::make_unique<grpc::Alarm>();
  paused.alarm->Set(absl::ToChronoTime(next),
                    [self = shared_from_this(), key](bool) { self->Resume(key); });
  return true;
}

void SendPipe::Resume(SendBatch* key) {
  Paused paused;
  Step step;
  {
    MutexLock lock(&mutex_);
    const auto it = paused_.find(key);
    if (it == paused_.end()) return;
    paused = std::move(it->second);
    paused_.erase(it);
    if (!closed_) {
      Append(std::move(paused.batch));
      step = NextStep();
    }
  }
  if (paused.batch == nullptr) return Do(step);
  Batches over;  // as it was refused before the pause
  over.push_back(std::move(paused.batch));
  Finish(over);
}

// ---- Out ----

SendPipe::Step SendPipe::NextStep() {
  Watch();
  Step step;
  if (writing_ || broken_ || no_more_responses_ || pending_.empty()) return step;
  if (stream_ == nullptr) {
    stream_ = std::make_shared<Stream>(shared_from_this());
    step.begin = true;
  }
  step.stream = stream_;
  step.frame = pending_.front().get();
  const auto open = open_.find(step.frame->queue());
  if (open != open_.end() && open->second == step.frame) open_.erase(open);
  unsettled_.push_back(std::move(pending_.front()));
  pending_.pop_front();
  writing_ = true;
  written_ = step.frame;
  return step;
}

void SendPipe::Do(const Step& step) {
  if (step.frame == nullptr) return;
  const v1::SendStreamRequest* const request = step.frame->Request(step.begin);
  if (step.begin) {
    step.stream->Begin(request);
  } else {
    step.stream->StartWrite(request);
  }
}

void SendPipe::OnWritten(Stream* stream, bool ok) {
  std::unique_ptr<SendFrame> kept;
  Step step;
  bool release;
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    written_ = nullptr;
    kept = std::move(kept_);
    if (!ok) broken_ = true;
    release = no_more_responses_;
    if (!release) step = NextStep();
  }
  if (release) return stream->RemoveHold();
  Do(step);
}

// ---- Settling ----

bool SendPipe::Settle(const v1::SendStreamResponse& response, Batches* over) {
  if (response.settled() < settled_) return false;
  const uint64_t count = response.settled() - settled_;
  if (count != static_cast<uint64_t>(response.results_size())) return false;
  std::vector<const v1::Error*> errors(count, nullptr);
  for (const v1::StreamFailure& failure : response.failures()) {
    for (uint64_t n = 0; n < failure.count(); ++n) {
      const uint64_t entry = failure.first() + n - settled_ - 1;
      if (entry >= count) return false;
      errors[entry] = &failure.error();
    }
  }
  for (uint64_t i = 0; i < count; ++i) {
    if (unsettled_.empty()) return false;
    SendFrame& frame = *unsettled_.front();
    absl::StatusOr<SendResult> result =
        errors[i] != nullptr ? absl::StatusOr<SendResult>(DecodeError(*errors[i]))
                             : DecodeSendResult(response.results(static_cast<int>(i)));
    std::unique_ptr<SendBatch> batch = frame.Tell(std::move(result), Again);
    if (batch != nullptr && (batch->entries.empty() || !Pause(&batch))) {
      over->push_back(std::move(batch));
    }
    if (!frame.over()) continue;
    if (&frame == written_) kept_ = std::move(unsettled_.front());
    unsettled_.pop_front();
  }
  settled_ = response.settled();
  return true;
}

void SendPipe::OnResponse(Stream* stream, const v1::SendStreamResponse& response) {
  Batches over;
  bool sound;
  {
    MutexLock lock(&mutex_);
    sound = Settle(response, &over);
    if (!sound) broken_ = true;
  }
  if (!sound) stream->GiveUp();
  Finish(over);
}

void SendPipe::OnNoMoreResponses(Stream* stream) {
  {
    MutexLock lock(&mutex_);
    no_more_responses_ = true;
    if (writing_) return;  // OnWritten lets go.
  }
  stream->RemoveHold();
}

void SendPipe::OnEnd(const absl::Status& status) {
  std::shared_ptr<Stream> stream;  // outlives the lock
  std::unique_ptr<SendFrame> kept;
  Batches over;
  Step step;
  {
    MutexLock lock(&mutex_);
    stream = std::move(stream_);
    stream_ = nullptr;
    kept = std::move(kept_);
    writing_ = broken_ = no_more_responses_ = false;
    written_ = nullptr;
    settled_ = 0;
    ShareOut(std::exchange(unsettled_, {}), status, std::exchange(stalled_, false), &over);
    step = NextStep();
    changed_.NotifyAll();
  }
  Do(step);
  Finish(over);
}

void SendPipe::ShareOut(std::deque<std::unique_ptr<SendFrame>> frames, const absl::Status& status,
                        bool stalled, Batches* over) {
  const std::string reason = GetErrorInfo(status).reason;
  absl::Status failure = status;
  if (stalled) {
    failure = connection_->ToStatus(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, ""));
    // What was too old when we gave up and never left.
    while (!pending_.empty() && pending_.front()->deadline() <= absl::Now()) {
      const auto open = open_.find(pending_.front()->queue());
      if (open != open_.end() && open->second == pending_.front().get()) open_.erase(open);
      frames.push_back(std::move(pending_.front()));
      pending_.pop_front();
    }
  } else if (closed_ && absl::IsCancelled(status)) {
    failure = internal::BrokerClosed();
  } else if (reason.empty() && !absl::IsResourceExhausted(status)) {
    failure = connection_->ToStatus(grpc::Status(
        grpc::StatusCode::UNAVAILABLE, absl::StrCat("the stream ended: ", status.message())));
  }
  // Whether the broker says that it has not looked at anything behind the first frame.
  const bool first_only = !stalled && !reason.empty() && !absl::IsUnauthenticated(status);
  std::deque<std::unique_ptr<SendFrame>> again;
  bool first = true;
  for (const std::unique_ptr<SendFrame>& frame : frames) {
    auto rest = std::make_unique<SendFrame>(frame->queue());
    for (std::unique_ptr<SendBatch>& batch : frame->TakeRest()) {
      if (!stalled && Again(failure)) {
        for (const SendBatch::Entry& entry : batch->entries) batch->results[entry.place] = failure;
        if (!Pause(&batch)) over->push_back(std::move(batch));
      } else if (first_only && !first) {
        rest->Add(std::move(batch));
      } else {
        batch->Fail(failure);
        over->push_back(std::move(batch));
      }
    }
    if (!rest->over()) again.push_back(std::move(rest));
    first = false;
  }
  for (; !again.empty(); again.pop_back()) pending_.push_front(std::move(again.back()));
}

void SendPipe::Finish(const Batches& over) {
  if (over.empty()) return;
  size_t entries = 0;
  size_t bytes = 0;
  for (const std::unique_ptr<SendBatch>& batch : over) {
    entries += batch->counted_entries;
    bytes += batch->counted_bytes;
    RunCallback([&] { batch->done(std::move(batch->results)); });
    batch->done = nullptr;  // What it holds is let go before a Close that waits goes on.
  }
  MutexLock lock(&mutex_);
  entries_ -= entries;
  bytes_ -= bytes;
  changed_.NotifyAll();
}

// ---- Time and the end ----

const SendFrame* SendPipe::Oldest() const {
  if (!unsettled_.empty()) return unsettled_.front().get();
  return pending_.empty() ? nullptr : pending_.front().get();
}

void SendPipe::Watch() {
  const SendFrame* const oldest = Oldest();
  if (watch_ != nullptr || stalled_ || oldest == nullptr) return;
  watch_ = std::make_unique<grpc::Alarm>();
  watch_->Set(absl::ToChronoTime(oldest->deadline()), [weak = weak_from_this()](bool) {
    if (const std::shared_ptr<SendPipe> self = weak.lock()) self->OnWatch();
  });
}

void SendPipe::OnWatch() {
  std::unique_ptr<grpc::Alarm> rung;
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(&mutex_);
    rung = std::move(watch_);
    const SendFrame* const oldest = Oldest();
    if (oldest != nullptr && oldest->deadline() <= absl::Now()) {
      stalled_ = stream_ != nullptr;
      stream = stream_;
    } else {
      Watch();
    }
  }
  if (stream != nullptr) stream->GiveUp();
}

void SendPipe::Close() {
  std::shared_ptr<Stream> stream;
  bool orderly;
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    changed_.NotifyAll();
    for (const auto& [key, paused] : paused_) paused.alarm->Cancel();
    while (entries_ > 0) changed_.Wait(&mutex_);
    if (watch_ != nullptr) watch_->Cancel();
    if (stream_ == nullptr) return;
    stream = stream_;
    orderly = !writing_ && !broken_ && !no_more_responses_;
    if (orderly) writing_ = true;
  }
  if (orderly) {
    stream->StartWritesDone();
  } else {
    stream->GiveUp();
  }
  const absl::Time patience = absl::Now() + connection_->options().timeout;
  MutexLock lock(&mutex_);
  while (stream_ != nullptr) {
    if (absl::Now() >= patience) stream->GiveUp();
    changed_.WaitFor(&mutex_, std::max(patience - absl::Now(), absl::Seconds(1)));
  }
}

}  // namespace barista::client
